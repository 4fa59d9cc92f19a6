"""The best learning rate of a size: a sweep in steps of a constant factor, and the parabola through its lowest part.

A rate that is best at one size and wrong at another bends the law and the forecast with it (2406.19146; 2203.03466).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from chidu.config import TrainConfig
from chidu.ladder.recipe import Recipe
from chidu.runs import Run

STEP = 1.5
"""Factor between neighbouring rates of a sweep."""
FIRST = (-2, -1, 0, 1, 2)
"""Steps from the recipe's rates that a sweep begins with; it goes on past an end that is the best so far."""
NEAR = 2
"""Steps on either side of the lowest loss that the parabola goes through."""
FARTHEST = 8
"""Most steps from the recipe's rates, either way."""


@dataclass(frozen=True)
class RateProbe:
    """Losses of one size at several multiples of the recipe's rates."""

    width: int
    factors: tuple[float, ...]
    losses: tuple[float | None, ...]
    """Nats per token, mean over seeds; None where a run diverged."""
    best_factor: float
    """Where the parabola through the lowest points has its minimum, within the range tried."""
    gain: float
    """How much lower than at the recipe's rate, as a fraction of the loss."""
    layers: int = 0
    """0: as many as the recipe gives the width."""

    @property
    def label(self) -> str:
        """The size in words."""
        return f"width {self.width}" + (f", {self.layers} layers" if self.layers else "")

    @property
    def lowest_factor(self) -> float:
        """The tried factor of the lowest loss; 1 where every run diverged."""
        known = [(loss, factor) for factor, loss in zip(self.factors, self.losses, strict=True) if loss is not None]
        return min(known)[1] if known else 1.0

    def __str__(self) -> str:
        """Print where the best rate is and what it is worth."""
        return f"{self.label}: best rate {self.best_factor:.2f} x the recipe's, worth {self.gain:.2%} of the loss"


@dataclass(frozen=True)
class RateCheck:
    """Sweeps of a small and a large model."""

    recipe: str
    parametrisation: str
    tokens: int
    """Of each run."""
    seeds: int
    probes: tuple[RateProbe, ...]

    @property
    def drift(self) -> float:
        """Steps of `STEP` by which the best rate of the last size lies above the first's, by parabola."""
        return math.log(self.probes[-1].best_factor / self.probes[0].best_factor) / math.log(STEP)

    @property
    def grid_drift(self) -> int:
        """The same by the lowest of the rates tried."""
        return round(math.log(self.probes[-1].lowest_factor / self.probes[0].lowest_factor) / math.log(STEP))

    @property
    def transfers(self) -> bool:
        """Whether the best rate moves by at most one step."""
        return abs(self.drift) <= 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a forecast has to say of it."""
        if self.transfers:
            return ()
        first, last = self.probes[0].label, self.probes[-1].label
        return (f"the best learning rate drifts by {self.drift:+.1f} steps of x{STEP} from {first} to {last}",)

    def __str__(self) -> str:
        """Print every loss, a column a size, and the verdict."""
        factors = sorted({factor for probe in self.probes for factor in probe.factors})
        lines = [
            f"learning rates of {self.recipe} ({self.parametrisation}), {self.tokens:,} tokens, {self.seeds} seeds",
            f"{'x rate':>8} " + " ".join(f"{probe.label:>20}" for probe in self.probes),
        ]
        for factor in factors:
            cells = []
            for probe in self.probes:
                there = dict(zip(probe.factors, probe.losses, strict=True))
                loss = there.get(factor)
                cells.append("" if factor not in there else "diverged" if loss is None else f"{loss:.4f}")
            lines.append(f"{factor:8.3f} " + " ".join(f"{cell:>20}" for cell in cells))
        lines += [str(probe) for probe in self.probes]
        verdict = "at most one: it transfers" if self.transfers else "more than one: it does NOT transfer"
        return "\n".join([*lines, f"the best rate moves by {self.drift:+.2f} steps of x{STEP}, {verdict}"])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {"drift": self.drift, "grid_drift": self.grid_drift, "transfers": self.transfers}
        return {**asdict(self), **found, "warnings": list(self.warnings)}


def sweep(
    recipe: Recipe,
    shape: tuple[int, int | None],
    tokens: float,
    data: tuple[str, int],
    train: Callable[[Sequence[TrainConfig]], Sequence[Run]],
    *,
    seeds: int = 3,
) -> RateProbe:
    """Find the best rate of one shape: a few multiples of the recipe's, and further ones while the best is at an end.

    Args:
        recipe: whose rates are multiplied, at a batch that follows from the tokens alone.
        shape: width and layers, None for the recipe's depth.
        tokens: of each run; batch and tokens are the same for every shape.
        data: id and vocabulary size of the data set.
        train: trains configs and returns their runs in the same order.
        seeds: runs at each rate.
    """
    equal = replace(recipe, reference_ratio=0.0)
    losses: dict[int, float | None] = {}
    wanted = list(FIRST)
    while wanted:
        configs = [
            equal.scaled(STEP**k).config(shape[0], tokens, data[1], data[0], seed, layers=shape[1])
            for k in wanted
            for seed in range(seeds)
        ]
        runs = list(train(configs))
        for i, k in enumerate(wanted):
            losses[k] = _mean(runs[seeds * i : seeds * (i + 1)])
        wanted = _further(losses)
    return make_probe(shape[0], {STEP**k: losses[k] for k in sorted(losses)}, layers=shape[1] or 0)


def make_probe(width: int, losses: dict[float, float | None], layers: int = 0) -> RateProbe:
    """Describe the losses at multiples of a recipe's rates, lowest first."""
    factors = tuple(losses)
    best, lowest = find_lowest(factors, tuple(losses.values()))
    own = losses[min(factors, key=lambda factor: abs(math.log(factor)))]
    gain = (own - lowest) / own if own is not None else 1.0
    return RateProbe(width, factors, tuple(losses.values()), best, gain, layers)


def find_lowest(factors: Sequence[float], losses: Sequence[float | None]) -> tuple[float, float]:
    """Factor and loss at the lowest point of a parabola in log2 of the factor, kept within the range tried.

    It is fitted to the lowest loss and up to `NEAR` on either side; where it has no minimum there, the lowest loss
    is taken.
    """
    points = sorted((math.log2(factor), loss) for factor, loss in zip(factors, losses, strict=True) if loss is not None)
    if not points:
        return 1.0, math.inf
    at = min(range(len(points)), key=lambda i: points[i][1])
    where, loss = points[at]
    near = points[max(at - NEAR, 0) : at + NEAR + 1]
    if len(near) >= 3:
        x, y = np.array(near).T
        curve = np.polyfit(x, y, 2)
        vertex = -curve[1] / (2 * curve[0]) if curve[0] > 0 else where
        if x.min() <= vertex <= x.max():
            where, loss = float(vertex), float(np.polyval(curve, vertex))
    return 2**where, min(loss, points[at][1])


def _further(losses: dict[int, float | None]) -> list[int]:
    """The next rate past an end that is the best so far; after a divergence, lower ones."""
    known = {k: loss for k, loss in losses.items() if loss is not None}
    low, high = min(losses), max(losses)
    best = min(known, key=lambda k: known[k]) if known else low
    if best == low and low > -FARTHEST:
        return [low - 1]
    return [high + 1] if best == high and high < FARTHEST else []


def _mean(runs: Sequence[Run]) -> float | None:
    """Mean loss; None where one of the runs diverged."""
    return sum(run.loss for run in runs) / len(runs) if all(run.status == "done" for run in runs) else None
