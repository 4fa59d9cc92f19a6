"""How good forecasts were, once the runs have landed.

Every figure is relative to the loss that came: an error of 0.01 is one percent of it. Suffixes: L levels, T targets.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.errors import Refusal
from chidu.stats import Array

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Probabilities whose intervals are looked at for the calibration."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What one method said of T targets, nats per token."""

    levels: tuple[float, ...]
    median: Array
    """[T]."""
    lower: Array
    """Ends of the intervals of each level, [L, T]."""
    upper: Array

    def at(self, level: float) -> tuple[Array, Array]:
        """Ends of the intervals of one of the levels, [T] each."""
        return self.lower[self.levels.index(level)], self.upper[self.levels.index(level)]

    def check(self) -> "Answers":
        """The same answers, if they are answers.

        Raises:
            Refusal: a number is not finite, or an interval ends before it begins.
        """
        finite = all(np.isfinite(part).all() for part in (self.median, self.lower, self.upper))
        if not finite or (self.lower > self.upper).any():
            raise Refusal("it gave no finite interval")
        return self


@dataclass(frozen=True, eq=False)
class Marks:
    """Each forecast beside what came, [T] each."""

    error: Array
    """median / loss - 1: positive where the forecast was too high."""
    inside: NDArray[np.bool_]
    """Whether the loss lies in the interval, ends included."""
    width: Array
    """(upper - lower) / loss."""
    score: Array
    """Interval score over loss: width + 2 / (1 - level) times the distance by which the loss lies outside.

    Gneiting and Raftery 2007, eq. 43 (after Winkler 1972). It is the one number to minimise: short intervals win only
    if they hold."""


def mark(median: Array, lower: Array, upper: Array, loss: Array, level: float) -> Marks:
    """Mark forecasts, [T] each, whose intervals were to hold with probability `level`."""
    outside = np.maximum(lower - loss, 0) + np.maximum(loss - upper, 0)
    width = upper - lower
    return Marks(median / loss - 1, outside == 0, width / loss, (width + 2 / (1 - level) * outside) / loss)


@dataclass(frozen=True)
class Grade:
    """The mean marks of some forecasts, each counted alike."""

    targets: int
    level: float
    error: float
    """Mean of |median / loss - 1|."""
    bias: float
    """Mean of median / loss - 1."""
    held: int
    """How many intervals held."""
    width: float
    score: float
    """Mean interval score; smaller is better."""

    @property
    def cover(self) -> float:
        """The share of the intervals that held; `level` is what it should be."""
        return self.held / self.targets

    def __str__(self) -> str:
        """One line."""
        held = f"{self.level:.0%} intervals held {self.held} of {self.targets}"
        return f"mean error {self.error:.2%}, bias {self.bias:+.2%}, {held}, width {self.width:.2%}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "cover": self.cover}


def grade(answers: Sequence[Answers], losses: Sequence[Array], level: float) -> Grade:
    """Grade one method's answers to one trial or several, each with the losses that came, [T] each."""
    pairs = list(zip(answers, losses, strict=True))
    marks = [mark(said.median, *said.at(level), loss, level) for said, loss in pairs]
    error, inside, width, score = (
        np.concatenate([getattr(part, name) for part in marks]) for name in ("error", "inside", "width", "score")
    )
    return Grade(
        targets=len(error),
        level=level,
        error=float(np.abs(error).mean()),
        bias=float(error.mean()),
        held=int(inside.sum()),
        width=float(width.mean()),
        score=float(score.mean()),
    )


def coverage(answers: Sequence[Answers], losses: Sequence[Array]) -> tuple[float, ...]:
    """The share of the intervals of each level that held, [L]."""
    pairs = zip(answers, losses, strict=True)
    held = np.concatenate([(said.lower <= loss) & (loss <= said.upper) for said, loss in pairs], axis=1)
    return tuple(float(share) for share in held.mean(1))


def percent(value: float, sign: str = "") -> str:
    """A share in percent for a table, two digits behind the point; what a bootstrap ran off to as a power of ten."""
    return f"{100 * value:{sign}.2f}" if abs(value) < 100 else f"{100 * value:{sign}.0e}"
