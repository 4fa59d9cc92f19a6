"""Intervals, and the bootstrap over any values."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Interval:
    """A central interval: `level` of the probability lies in [lower, upper], half of the rest on either side."""

    lower: float
    upper: float
    level: float

    def __contains__(self, value: float) -> bool:
        """Whether the value lies inside, ends included."""
        return self.lower <= value <= self.upper

    def __str__(self) -> str:
        """Print as `[lower, upper]`, four significant digits."""
        return f"[{self.lower:.4g}, {self.upper:.4g}]"

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return asdict(self)


def quantile_interval(values: Array, level: float) -> Interval:
    """Take the central interval of draws, [n] -> Interval.

    Raises:
        ValueError: no values, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    if len(values) == 0:
        raise ValueError("no values to take an interval of")
    tail = (1 - level) / 2
    lower, upper = np.quantile(values, [tail, 1 - tail])
    return Interval(float(lower), float(upper), level)


def standard_error(values: Array) -> float:
    """Standard error of the mean of independent values, [n]; needs two of them or more."""
    if len(values) < 2:
        raise ValueError("a standard error needs two values or more")
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def bootstrap(values: Array, statistic: Callable[[Array], float], *, samples: int = 1000, seed: int = 0) -> Array:
    """Bootstrap a statistic of values along the first axis (Efron 1979): [n, ...] -> [samples]."""
    if len(values) == 0:
        raise ValueError("no values to resample")
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(samples, len(values)))
    return np.array([statistic(values[pick]) for pick in picks])
