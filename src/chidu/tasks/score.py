"""A score: a number with its interval, its count, what reproduces it, and beside it what the simplest method gets."""

from dataclasses import asdict, dataclass, field
from typing import Any

from chidu import __version__
from chidu.errors import InputError
from chidu.stats import Interval, quantile_interval
from chidu.tasks.measure import Measure, Whole, interval_of, margin_of

LEVEL = 0.95
"""Probability that a score's interval holds."""


@dataclass(frozen=True)
class BaselineScore:
    """What the best simple method of a task gets on the same examples."""

    name: str
    value: float
    interval: Interval
    margin: Interval
    """Of the model's score minus this one, on the same resampled examples: the model is better where it excludes 0."""
    chosen_among: dict[str, float] = field(default_factory=dict)
    """Value of each candidate on the validation split; empty where there was only one, or no such split."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "interval": self.interval.to_json(), "margin": self.margin.to_json()}


@dataclass(frozen=True)
class Score:
    """One metric of one task."""

    task: str
    metric: str
    value: float
    interval: Interval | None
    """Bootstrap over the examples; None where another harness gives neither sums nor a standard error."""
    count: int
    """Examples."""
    signature: str
    """What reproduces the number: settings of the metric and of the bootstrap, versions."""
    baseline: BaselineScore | None = None
    standard_error: float | None = None
    """Sd of the bootstrap, or what another harness says it is."""
    chance: float | None = None
    """What guessing gets, where that is known."""
    best: float | None = None
    """The best value that there can be, where there is one."""

    def __str__(self) -> str:
        """One line, two with a baseline."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        ends = "" if self.interval is None else f" {self.interval}"
        line = f"{self.metric} {self.value:.4g}{error}{ends} (n {self.count}; {self.signature})"
        if self.baseline is None:
            return line
        best = self.baseline
        return f"{line}\n  best simple baseline: {best.name} {best.value:.4g} {best.interval}, margin {best.margin}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        value = {**asdict(self), "interval": self.interval.to_json() if self.interval else None}
        return {**value, "baseline": self.baseline.to_json() if self.baseline else None}


@dataclass(frozen=True)
class Metric:
    """A metric before its interval: the name, what it is made of, and its settings as `key:value` pairs."""

    name: str
    measure: Measure
    settings: str = ""
    lower_is_better: bool = False
    chance: float | None = None
    """See `Score`."""
    best: float | None = None


def make_score(
    task: str,
    metric: Metric,
    *,
    level: float = LEVEL,
    seed: int = 0,
    baseline: tuple[str, Metric] | None = None,
    chosen_among: dict[str, float] | None = None,
) -> Score:
    """Give a metric its interval and its baseline.

    Raises:
        InputError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"--level {level}: it lies between 0 and 1, such as {LEVEL}")
    draws = metric.measure.draws(seed)
    beside = None
    if baseline is not None:
        name, other = baseline
        beside = BaselineScore(
            name,
            other.measure.value(),
            interval_of(other.measure, level, seed),
            margin_of(metric.measure, other.measure, level, seed),
            dict(chosen_among or {}),
        )
    return Score(
        task=task,
        metric=metric.name,
        value=metric.measure.value(),
        interval=quantile_interval(draws, level),
        count=metric.measure.count,
        signature=sign(metric, level, seed),
        baseline=beside,
        standard_error=float(draws.std(ddof=1)),
        chance=metric.chance,
        best=metric.best,
    )


def sign(metric: Metric, level: float, seed: int) -> str:
    """What reproduces a score, in sacrebleu's manner."""
    kind = "pseudo-values" if isinstance(metric.measure, Whole) else "sums"
    settings = f"{metric.settings}|" if metric.settings else ""
    return f"{settings}level:{level:g}|bootstrap:{kind}|seed:{seed}|chidu:{__version__}"
