"""Which runs to make for a budget of time: several sizes at each of several amounts of compute.

The law can tell parameters from tokens only where their ratio varies (2605.08541), so each compute budget is spent at
several ratios around the compute-optimal one, and the budgets are spread by a constant factor, for the lever.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chidu.accounting import law_flops
from chidu.config import TrainConfig
from chidu.errors import InputError
from chidu.ladder.plan import Plan, Role, Rung, Speed
from chidu.ladder.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Design:
    """The shape of a ladder, relative to its largest amount of compute."""

    budgets: int = 3
    """Amounts of compute."""
    spread: tuple[float, float] = (2.0, 3.0)
    """Least and most factor between one amount and the next; the most is taken as soon as the time allows."""
    ratios: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0)
    """Tokens per parameter aimed at, at every amount of compute."""
    bounds: tuple[float, float] = (3.5, 80.0)
    """Tokens per parameter of any rung. Below, runs are undertrained and say little of a well-trained target
    (2502.18969); above, a small width takes long to say what a larger one says sooner."""
    replicates: int = 2
    """Further seeds of one rung at the smallest amount of compute, which measure the noise between runs."""
    probe_factors: tuple[float, ...] = (0.5, 2.0)
    """Multiples of the recipe's rates tried at two sizes: the learning-rate gate."""


@dataclass(frozen=True)
class Corpus:
    """What a design needs to know of the data."""

    id: str
    vocab_size: int
    train_tokens: int
    evaluation_tokens: int
    """Tokens that are evaluated at the end of a run."""


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
    smallest = _smallest_budget(corpus, recipe, shape)
    least = smallest * shape.spread[0] ** (shape.budgets - 1)
    limit = _check_corpus(least, corpus, shape)

    def ladder(top: float) -> list[Rung]:
        factor = (top / smallest) ** (1 / (shape.budgets - 1))
        factor = min(max(factor, shape.spread[0]), shape.spread[1])
        budgets = [top / factor**i for i in range(shape.budgets)]
        return _rungs(budgets, corpus, speed, recipe, shape, seed)

    def makespan(top: float) -> float:
        return schedule_seconds([rung.seconds for rung in ladder(top)], speed.workers)

    if makespan(least) > budget_seconds:
        shape = replace(shape, probe_factors=(), replicates=0)
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
    return Plan(recipe, corpus.id, budget_seconds, makespan(top), speed, tuple(ladder(top)), seed)


def _largest(makespan: Callable[[float], float], least: float, limit: float, budget_seconds: float) -> float:
    """Largest compute up to the limit whose ladder fits the budget, by bisection of its log."""
    low, high = least, least * 2
    while high < limit and makespan(high) <= budget_seconds:
        low, high = high, high * 2
    high = min(high, limit)
    for _ in range(30):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if makespan(middle) <= budget_seconds else (low, middle)
    return low


def schedule_seconds(seconds: Sequence[float], workers: int) -> float:
    """Wall-clock time of jobs given to workers, longest first (Graham 1969): what the launcher does."""
    free = [0.0] * workers
    for job in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def _smallest_budget(corpus: Corpus, recipe: Recipe, shape: Design) -> float:
    """Least compute, FLOPs, at which the two smallest widths are both trained enough to be rungs."""
    params = recipe.params(recipe.widths()[1], corpus.vocab_size)
    return law_flops(params, shape.bounds[0] * params)


def _rungs(
    budgets: Sequence[float], corpus: Corpus, speed: Speed, recipe: Recipe, shape: Design, seed: int
) -> list[Rung]:
    """All runs of a ladder with these amounts of compute, FLOPs, the largest first."""

    def rung(config: TrainConfig, role: Role = "rung") -> Rung:
        return Rung(config, speed.seconds(config, corpus.evaluation_tokens), role)

    def at(width: int, flops: float, seed: int = seed, factor: float = 1.0) -> TrainConfig:
        tokens = flops / (6 * recipe.params(width, corpus.vocab_size))
        return recipe.scaled(factor).config(width, tokens, corpus.vocab_size, corpus.id, seed)

    rungs = []
    for flops in budgets:
        rungs += [rung(at(width, flops)) for width in _widths(flops, corpus, recipe, shape)]
    widths = _widths(budgets[-1], corpus, recipe, shape)
    middle = widths[len(widths) // 2]
    rungs += [rung(at(middle, budgets[-1], seed + 1 + i), "replicate") for i in range(shape.replicates)]
    for width in (widths[0], widths[-1]):
        for factor in shape.probe_factors:
            rungs.append(rung(at(width, budgets[-1], factor=factor), "probe"))
    return rungs


def _widths(flops: float, corpus: Corpus, recipe: Recipe, shape: Design) -> list[int]:
    """Distinct widths for one amount of compute, nearest to the wanted tokens per parameter.

    The law is for fresh text, and repeats bend it (2305.16264): no run may need more tokens than there are.
    """
    allowed = []
    for width in recipe.widths():
        params = recipe.params(width, corpus.vocab_size)
        tokens = flops / 6 / params
        fits = shape.bounds[0] * (1 - 1e-9) <= tokens / params <= shape.bounds[1]
        if tokens > corpus.train_tokens or not fits:
            continue
        if recipe.config(width, tokens, corpus.vocab_size, corpus.id).tokens <= corpus.train_tokens:  # whole batches
            allowed.append((math.log(params), width))
    chosen: list[int] = []
    for ratio in shape.ratios:
        left = [(abs(size - math.log(flops / 6 / ratio) / 2), width) for size, width in allowed if width not in chosen]
        if left:
            chosen.append(min(left)[1])
    return sorted(chosen)


def _check_corpus(least: float, corpus: Corpus, shape: Design) -> float:
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
