"""Which runs to make for a budget of time: the shapes that a ladder may have, and the largest of a shape that fits.

The law can tell parameters from tokens only where their ratio varies (2605.08541), so every shape has several ratios
around the compute-optimal one, and amounts of compute that lie a constant factor apart, for the lever:

- `isoflop`: a few amounts of compute, each spent at several tokens per parameter;
- `grid`: a few sizes, each on the same few numbers of tokens;
- `trunk`: sizes at several ratios of the largest amount of compute, each with shorter budgets, which are branches of
  its trunk where the recipe allows it (`trunks.py`).

A fourth, `optimal`, is searched for and needs to know what a run teaches: `designs.py` offers them all.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from chidu.accounting import law_flops
from chidu.config import TrainConfig
from chidu.errors import InputError
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.price import Job, ladder_seconds, price_jobs
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Role, Rung

Shape = Literal["isoflop", "grid", "trunk"]
Cell = tuple[int, float]
"""A width and (at least) its tokens."""
HALVINGS = 20
"""Of the log of the largest compute, until the budget is met."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """The shape of a ladder, relative to its largest amount of compute."""

    kind: Shape = "isoflop"
    budgets: int = 3
    """Amounts of compute of `isoflop`, sizes and numbers of tokens of `grid`."""
    spread: tuple[float, float] = (2.0, 3.0)
    """Least and most factor between one amount and the next; the most is taken as soon as the time allows. `grid` takes
    the least for params and for tokens, `trunk` for tokens."""
    ratios: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0)
    """Tokens per parameter aimed at, at every amount of compute."""
    trunk_ratios: tuple[float, ...] = (6.0, 18.0, 54.0)
    """Tokens per parameter of the longest run of each size of `trunk`."""
    trunk_budgets: int = 4
    """Most runs of a size of `trunk`."""
    bounds: tuple[float, float] = (3.5, 80.0)
    """Tokens per parameter of any rung. Below, runs are undertrained and say little of a well-trained target
    (2502.18969); above, a small width takes long to say what a larger one says sooner."""
    replicates: int = 2
    """Further seeds of one rung at the smallest amount of compute, which measure the noise between runs."""
    probe_factors: tuple[float, ...] = (0.5, 2.0)
    """Multiples of the recipe's rates tried at two sizes: the learning-rate gate."""

    def bare(self) -> "Design":
        """The same without probes and replicates, for a budget that has no room for them."""
        return replace(self, probe_factors=(), replicates=0)


@dataclass(frozen=True)
class Corpus:
    """What a design needs to know of the data."""

    id: str
    vocab_size: int
    train_tokens: int
    evaluation_tokens: int
    """Tokens that are evaluated at the end of a run."""


@dataclass(frozen=True)
class Site:
    """What all runs of a ladder have in common: the text, the machine, the recipe, the seed."""

    corpus: Corpus
    speed: Speed
    recipe: Recipe
    seed: int

    @cached_property
    def sizes(self) -> dict[int, int]:
        """Parameters of each width."""
        return {width: self.recipe.params(width, self.corpus.vocab_size) for width in self.recipe.widths()}

    def params(self, width: int) -> int:
        """Parameters of a width."""
        return self.sizes[width]

    def nearest(self, params: float) -> int:
        """The width whose parameters are nearest on a log scale."""
        return min(self.sizes, key=lambda width: abs(math.log(self.sizes[width] / params)))

    def config(self, cell: Cell, further: int = 0, factor: float = 1.0) -> TrainConfig:
        """The run of a cell; `further` counts other seeds, `factor` multiplies the recipe's rates, as for a probe."""
        (width, tokens), recipe = cell, self.recipe if factor == 1 else self.recipe.scaled(factor)
        return recipe.config(width, tokens, self.corpus.vocab_size, self.corpus.id, self.seed + further)

    def rung(self, config: TrainConfig, role: Role = "rung") -> Rung:
        """A run with its price."""
        return Rung(config, self.speed.seconds(config, self.corpus.evaluation_tokens), role)

    def seconds(self, rungs: Sequence[Rung]) -> float:
        """Wall-clock seconds of some runs."""
        return ladder_seconds(self.jobs(rungs), self.speed.workers)

    def jobs(self, rungs: Sequence[Rung]) -> list[Job]:
        """What some runs cost."""
        return price_jobs(rungs, self.speed, self.corpus.evaluation_tokens)

    def allows(self, cell: Cell, shape: Design) -> bool:
        """Whether a run's tokens per parameter are within bounds and its text is fresh.

        The law is for fresh text, and repeats bend it (2305.16264): no run may need more tokens than there are.
        """
        width, tokens = cell
        low, high = shape.bounds
        if tokens > self.corpus.train_tokens or not low * (1 - 1e-9) <= tokens / self.params(width) <= high:
            return False
        # Whole batches may be more tokens than were asked for, but never twice as many.
        return 2 * tokens <= self.corpus.train_tokens or self.config(cell).tokens <= self.corpus.train_tokens

    def plan(self, budget_seconds: float, rungs: Sequence[Rung], design: str) -> Plan:
        """The plan of some runs."""
        seconds = self.seconds(rungs)
        return Plan(
            self.recipe, self.corpus.id, budget_seconds, seconds, self.speed, tuple(rungs), self.seed, design=design
        )


def design(
    budget_seconds: float,
    corpus: Corpus,
    speed: Speed,
    *,
    recipe: Recipe = Recipe(),
    shape: Design = Design(),
    seed: int = 0,
) -> Plan:
    """Design the largest ladder of that shape whose predicted wall-clock time fits the budget.

    Where not even the smallest fits, it is tried without probes and replicates: a plan without `probe` runs says that
    its rates were not checked.

    Raises:
        InputError: the budget is too small for the smallest ladder, or the corpus too small for the one that fits.
    """
    site = Site(corpus, speed, recipe, seed)
    smallest = smallest_compute(site, shape)
    least = smallest * shape.spread[0] ** (shape.budgets - 1)
    limit = check_corpus(least, corpus, shape)

    def ladder(top: float) -> list[Rung]:
        return _rungs(top, smallest, site, shape)

    def makespan(top: float) -> float:
        return site.seconds(ladder(top))

    if makespan(least) > budget_seconds:
        shape = shape.bare()
    needed = makespan(least)
    if needed > budget_seconds:
        raise InputError(
            f"a budget of {budget_seconds:.0f} s is too small: the smallest ladder takes about {needed:.0f} s on this "
            f"machine; give --budget {math.ceil(needed)}s or more"
        )
    enough = math.ceil(max(needed, makespan(limit)))
    if enough < budget_seconds:
        raise InputError(
            f"the corpus is smaller than the plan needs: {corpus.train_tokens:,} training tokens are enough for a "
            f"ladder of {enough} s, but the budget is {budget_seconds:.0f} s; add text, or give --budget {enough}s"
        )
    top = _largest(makespan, least, limit, budget_seconds)
    return site.plan(budget_seconds, ladder(top), shape.kind)


def _largest(makespan: Callable[[float], float], least: float, limit: float, budget_seconds: float) -> float:
    """Largest compute up to the limit whose ladder fits the budget, by bisection of its log."""
    low, high = least, least * 2
    while high < limit and makespan(high) <= budget_seconds:
        low, high = high, high * 2
    high = min(high, limit)
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if makespan(middle) <= budget_seconds else (low, middle)
    return low


def smallest_compute(site: Site, shape: Design) -> float:
    """Least compute, FLOPs, at which the two smallest widths are both trained enough to be rungs."""
    params = site.params(site.recipe.widths()[1])
    return law_flops(params, shape.bounds[0] * params)


def _rungs(top: float, smallest: float, site: Site, shape: Design) -> list[Rung]:
    """All runs of a ladder of a shape whose largest run takes `top` FLOPs, the largest first."""
    if shape.kind == "isoflop":
        factor = (top / smallest) ** (1 / (shape.budgets - 1))
        factor = min(max(factor, shape.spread[0]), shape.spread[1])
        levels = [isoflop_cells(top / factor**i, site, shape) for i in range(shape.budgets)]
        cheapest = levels[-1]
        return assemble([cell for level in levels for cell in level], _middle(cheapest), _ends(cheapest), site, shape)
    cells = _grid_cells(top, site, shape) if shape.kind == "grid" else _trunk_cells(top, site, shape)
    cheapest = sorted(cells, key=lambda cell: (law_flops(site.params(cell[0]), cell[1]), cell))
    probed = dict.fromkeys(cell[0] for cell in cheapest)
    cells_of = {width: next(cell for cell in cheapest if cell[0] == width) for width in probed}
    return assemble(cells, cheapest[0], tuple(cells_of.values())[:2], site, shape)


def assemble(cells: Sequence[Cell], replicated: Cell, probed: Sequence[Cell], site: Site, shape: Design) -> list[Rung]:
    """The runs of some cells, the further seeds of one of them, and the probes of some.

    A cell that is there twice is trained with another seed the second time.
    """
    seen: Counter[Cell] = Counter()
    rungs, further = [], []
    for cell in [*cells, *[replicated] * shape.replicates]:
        config = site.config(cell, seen[cell])
        if seen[cell]:
            further.append(site.rung(config, "replicate"))
        else:
            rungs.append(site.rung(config))
        seen[cell] += 1
    probes = [site.rung(site.config(cell, factor=factor), "probe") for cell in probed for factor in shape.probe_factors]
    return [*rungs, *further, *probes]


def isoflop_cells(flops: float, site: Site, shape: Design) -> list[Cell]:
    """One amount of compute at distinct widths, nearest to the wanted tokens per parameter, by width."""
    spent = [(width, flops / 6 / site.params(width)) for width in site.sizes]
    allowed = [cell for cell in spent if site.allows(cell, shape)]
    chosen: list[Cell] = []
    for ratio in shape.ratios:
        wanted = math.log(flops / 6 / ratio) / 2
        left = [(abs(math.log(site.params(cell[0])) - wanted), cell) for cell in allowed if cell not in chosen]
        if left:
            chosen.append(min(left)[1])
    return sorted(chosen)


def _grid_cells(top: float, site: Site, shape: Design) -> list[Cell]:
    """Sizes and numbers of tokens a constant factor apart; the largest of both are compute-optimal (2203.15556)."""
    params, factor = math.sqrt(top / 6 / shape.ratios[2]), shape.spread[0]
    widths = {site.nearest(params / factor**i) for i in range(shape.budgets)}
    longest = top / 6 / site.params(max(widths))
    cells = [(width, longest / factor**i) for width in widths for i in range(shape.budgets)]
    return _allowed(cells, top, site, shape)


def _trunk_cells(top: float, site: Site, shape: Design) -> list[Cell]:
    """Sizes that spend the largest amount of compute at a few ratios, and each size's shorter budgets."""
    widths = {site.nearest(math.sqrt(top / 6 / ratio)) for ratio in shape.trunk_ratios}
    cells = [
        (width, top / 6 / site.params(width) / shape.spread[0] ** i)
        for width in widths
        for i in range(shape.trunk_budgets)
    ]
    return _allowed(cells, top, site, shape)


def _allowed(cells: Sequence[Cell], top: float, site: Site, shape: Design) -> list[Cell]:
    """The cells that a corpus and the bounds allow; where these are of one width, an isoFLOP's beside them."""
    found = sorted(cell for cell in cells if site.allows(cell, shape))
    if len({width for width, _ in found}) < 2:
        found = sorted({*found, *isoflop_cells(top, site, shape)})
    return found


def _middle(cells: Sequence[Cell]) -> Cell:
    return cells[len(cells) // 2]


def _ends(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The smallest and the largest width's; of one cell, that."""
    return tuple(dict.fromkeys((cells[0], cells[-1])))


def check_corpus(least: float, corpus: Corpus, shape: Design) -> float:
    """Largest compute, FLOPs, whose compute-optimal run the text is enough for.

    Raises:
        InputError: that is less than what the smallest ladder needs.
    """
    limit = 6 * corpus.train_tokens**2 / shape.ratios[1]
    if limit < least:
        needed = math.sqrt(shape.ratios[1] * least / 6)
        raise InputError(
            f"the corpus is smaller than the plan needs: {corpus.train_tokens:,} training tokens, but even the "
            f"smallest ladder trains a run on {needed:,.0f}; add text"
        )
    return limit
