"""What a metric is made of: a number for any resampling of the examples, so that every score has an interval.

Shapes: N examples, K columns that add up, B bootstrap samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array, Interval, quantile_interval

SAMPLES = 1000
"""Bootstrap samples of a score."""
WHOLE_SAMPLES = 200
"""Of a metric that must be computed anew for each."""


class Measure(Protocol):
    """A metric of N examples."""

    @property
    def count(self) -> int:
        """Number of examples, N."""

    def value(self) -> float:
        """Of the examples as they are."""

    def draws(self, seed: int) -> Array:
        """Of bootstrap samples, [B]; equal seeds and counts pick equal examples."""


@dataclass(frozen=True)
class Tally:
    """A metric of sums: accuracy, F1, BLEU. Row i holds what example i adds to each sum."""

    rows_NK: Array
    of_sums: Callable[[Array], float]
    """The metric from the K sums."""

    @property
    def count(self) -> int:
        """See Measure."""
        return len(self.rows_NK)

    def value(self) -> float:
        """See Measure."""
        return float(self.of_sums(self.rows_NK.sum(axis=0)))

    def draws(self, seed: int) -> Array:
        """See Measure."""
        picks = _picks(self.count, SAMPLES, seed)
        return np.array([self.of_sums(_times(pick, self.count) @ self.rows_NK) for pick in picks])


@dataclass(frozen=True)
class Whole:
    """A metric without sums, such as distinct n-grams: computed anew for each sample of indices, [N] -> number."""

    count: int
    of_picks: Callable[[NDArray[np.int64]], float]

    def value(self) -> float:
        """See Measure."""
        return float(self.of_picks(np.arange(self.count)))

    def draws(self, seed: int) -> Array:
        """See Measure."""
        return np.array([self.of_picks(pick) for pick in _picks(self.count, WHOLE_SAMPLES, seed)])


def mean_of(values_N: Array) -> Tally:
    """The metric that is the mean over examples, times 100 where `values` are shares: give them so."""
    rows = np.column_stack([values_N, np.ones(len(values_N))]).astype(float)
    return Tally(rows, lambda sums: sums[0] / sums[1])


def ratio_of(above_N: Array, below_N: Array) -> Tally:
    """The metric that is a ratio of two sums, such as bits per byte."""
    return Tally(np.column_stack([above_N, below_N]).astype(float), lambda sums: sums[0] / sums[1])


def interval_of(measure: Measure, level: float, seed: int) -> Interval:
    """Bootstrap interval of a metric over its examples (Efron 1979; Koehn 2004 for BLEU)."""
    return quantile_interval(measure.draws(seed), level)


def margin_of(measure: Measure, other: Measure, level: float, seed: int) -> Interval:
    """Interval of the first metric minus the second on the same examples: a paired bootstrap.

    Raises:
        ValueError: they do not count the same examples, or draw different numbers of samples.
    """
    if measure.count != other.count:
        raise ValueError(f"{measure.count} and {other.count} examples cannot be paired")
    return quantile_interval(measure.draws(seed) - other.draws(seed), level)


def _picks(count: int, samples: int, seed: int) -> "list[NDArray[np.int64]]":
    if count == 0:
        raise ValueError("no examples to resample")
    rng = np.random.default_rng(seed)
    return [rng.integers(count, size=count) for _ in range(samples)]


def _times(pick: NDArray[np.int64], count: int) -> Array:
    """How often each example was picked, [N]."""
    return np.bincount(pick, minlength=count).astype(float)
