"""From loss to a task's metric, and from compute to loss to metric.

metric = floor + (ceiling - floor) / (1 + exp(k (L - L_mid))): a sigmoid in the loss, from the floor, which a model of
high loss has (chance), to the ceiling (Bhagia et al. 2412.04403, section 3.2). Of a metric that is a share, such as
accuracy, neither end leaves 0 to 1. Chained after a law of the loss it forecasts the metric of a run that was not
trained: each drawn loss goes through a drawn sigmoid.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.fit import Fit
from chidu.laws.least_squares import descend
from chidu.laws.select import NDBool
from chidu.runs import RunTable
from chidu.stats import Array, Interval, quantile_interval

NAMES = ("floor", "ceiling", "k", "L_mid")
STEEPNESS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
"""Values of k that the starts try, per nat."""
MIDDLES = 13
REFIT = 20
"""Steps of each bootstrap refit from the fit itself."""
LEAST = 6
"""Runs below which four parameters cannot be told apart."""
FLAT = 3.0
"""The metric should move by this many times its noise over the runs, else they are all at chance or at the ceiling."""


@dataclass(frozen=True, eq=False)
class MetricLaw:
    """A sigmoid of the loss, fitted to runs."""

    metric: str
    """The column."""
    parameters: dict[str, float]
    intervals: dict[str, Interval]
    """90 % bootstrap intervals over runs."""
    noise: float
    """Sd of the metric of one run around the curve."""
    runs: int
    left_out: int
    """Rows without the metric."""
    losses: tuple[float, float]
    """Lowest and highest fitted loss, nats per token."""
    warnings: tuple[str, ...]
    draws: Array = field(repr=False)
    """Refits to resampled runs, [draws, 4]."""

    def at(self, loss: Array | float) -> Array:
        """The metric at losses, as their shape."""
        return sigmoid(np.array([self.parameters[name] for name in NAMES]), np.asarray(loss, dtype=float))[0]

    def __str__(self) -> str:
        """The curve, its parameters, the warnings."""
        lines = [f"{self.metric} of {self.runs} runs: a sigmoid of the loss"]
        for name in NAMES:
            lines.append(f"  {name:<8} {self.parameters[name]:<10.4g} 90 % bootstrap interval {self.intervals[name]}")
        lines.append(f"  noise    {self.noise:.4g} of {self.metric} between runs")
        lines += [f"  {self.left_out} rows without {self.metric} left out"] if self.left_out else []
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values, the draws left out."""
        return {
            "form": "metric",
            "metric": self.metric,
            "parameters": self.parameters,
            "intervals": {name: interval.to_json() for name, interval in self.intervals.items()},
            "noise": self.noise,
            "runs": self.runs,
            "left_out": self.left_out,
            "losses": list(self.losses),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class MetricForecast:
    """Where a run's metric will land."""

    metric: str
    median: float
    interval: Interval
    loss: float
    """Median of the loss that it comes through, nats per token."""
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """One line, then the warnings."""
        text = f"{self.metric} {self.median:.4g}, {self.interval.level:.0%} interval {self.interval}"
        lines = [f"{text}, through a loss of {self.loss:.4f} nats/token"]
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        interval = self.interval.to_json()
        warnings = list(self.warnings)
        return {
            "metric": self.metric,
            "median": self.median,
            "interval": interval,
            "loss": self.loss,
            "warnings": warnings,
        }


def sigmoid(theta_4: Array, loss: Array) -> tuple[Array, Array]:
    """The metric at losses [I], and its derivatives by floor, ceiling, k and L_mid, [I, 4]."""
    floor, ceiling, k, middle = theta_4
    high = 1.0 / (1.0 + np.exp(np.clip(k * (loss - middle), -500, 500)))
    bend = (ceiling - floor) * high * (1 - high)
    return floor + (ceiling - floor) * high, np.stack([1 - high, high, -bend * (loss - middle), bend * k], axis=-1)


def fit_metric(table: RunTable, metric: str, *, draws: int = 200, seed: int = 0) -> MetricLaw:
    """Fit a sigmoid of the loss to a metric column by least squares, weighing outliers down (Huber's loss).

    Args:
        table: the runs; the metric is one of the columns that they keep as they stand (`Run.extra`).
        metric: the column's name. Rows where it is empty are left out.
        draws: bootstrap refits over runs.
        seed: of the bootstrap.

    Raises:
        InputError: no such column, text in it, or too few rows with it.
        Refusal: the metric hardly moves with the loss.
    """
    loss, value = _read(table, metric)
    theta, noise = _fit(loss, value)
    span = float(np.ptp(sigmoid(theta, loss)[0]))
    if span < FLAT * noise:
        raise Refusal(
            f"{metric} hardly moves with the loss (by {span:.3g} over the runs, noise {noise:.3g}): "
            "no curve can be seen; add larger runs or take a metric that is above chance"
        )
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(len(loss), np.full(len(loss), 1 / len(loss)), draws).astype(float)
    delta = max(2 * noise, 1e-6)
    refits = np.array([_descend(loss, value, theta, w, delta, REFIT) for w in picks])
    return MetricLaw(
        metric=metric,
        parameters={name: float(theta[j]) for j, name in enumerate(NAMES)},
        intervals={name: quantile_interval(refits[:, j], 0.9) for j, name in enumerate(NAMES)},
        noise=noise,
        runs=len(loss),
        left_out=len(table) - len(loss),
        losses=(float(loss.min()), float(loss.max())),
        warnings=_warn(metric, theta, loss),
        draws=refits,
    )


def _read(table: RunTable, metric: str) -> tuple[Array, Array]:
    losses, values = [], []
    for i, run in enumerate(table.runs):
        text = run.extra.get(metric, "").strip()
        if not text:
            continue
        where = f"row {table.lines[i]}" if table.lines else f"run {i + 1}"
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{where}: {metric} is {text!r}, which is not a finite number; correct it")
        losses.append(run.loss)
        values.append(number)
    if not values:
        known = sorted({name for run in table.runs for name in run.extra})
        raise InputError(f"no run has a column {metric}; others than chidu's own are {', '.join(known) or 'none'}")
    if len(values) < LEAST:
        raise InputError(f"only {len(values)} runs have {metric}; a sigmoid needs {LEAST} or more")
    return np.array(losses), np.array(values)


def _fit(loss: Array, value: Array) -> tuple[Array, float]:
    """The best sigmoid from a grid of starts, whose floor and ceiling are projected out, and the noise around it."""
    best, lowest = np.zeros(4), np.inf
    for middle in np.linspace(loss.min(), loss.max(), MIDDLES):
        for k in STEEPNESS:
            high = 1.0 / (1.0 + np.exp(np.clip(k * (loss - middle), -500, 500)))
            ends = np.linalg.lstsq(np.stack([1 - high, high], axis=1), value, rcond=None)[0]
            misfit = float(((ends[0] * (1 - high) + ends[1] * high - value) ** 2).sum())
            if misfit < lowest:
                best, lowest = np.array([*ends, k, middle]), misfit
    every = np.ones(len(loss))
    theta = _descend(loss, value, best, every, np.inf)
    noise = _noise(value - sigmoid(theta, loss)[0])
    theta = _descend(loss, value, theta, every, max(2 * noise, 1e-6))
    return theta, _noise(value - sigmoid(theta, loss)[0])


def _descend(loss: Array, value: Array, start: Array, weights: Array, delta: float, iterations: int = 200) -> Array:
    """Fit from a start; of a share, an end that leaves 0 to 1 is held at the border and the rest fitted again."""
    held, theta = np.zeros(4, dtype=bool), start.copy()
    share = (value >= 0).all() and (value <= 1).all()
    while True:
        free = ~held

        def model(part: Array, free: NDBool = free, at: Array = theta) -> tuple[Array, Array]:
            whole = at.copy()
            whole[free] = part
            f, slopes = sigmoid(whole, loss)
            return f, slopes[:, free]

        found = descend(model, theta[free], value, weights_I=weights, delta=delta, iterations=iterations)
        theta = theta.copy()
        theta[free] = found[0]
        out = free & np.array([*((theta[:2] < 0) | (theta[:2] > 1)), False, False])
        if not share or not out.any():
            return theta if theta[2] > 0 else np.array([theta[1], theta[0], -theta[2], theta[3]])
        theta[out] = np.clip(theta[out], 0.0, 1.0)
        held |= out


def _noise(error: Array) -> float:
    """Sd of the residuals, corrected for the four parameters."""
    return float(np.sqrt((error**2).sum() / max(len(error) - 4, 1)))


def _warn(metric: str, theta: Array, loss: Array) -> tuple[str, ...]:
    middle = float(theta[3])
    if middle < loss.min():
        return (f"no run has passed the middle of the rise of {metric} (loss {middle:.3g}): its ceiling is a guess",)
    return ()


def forecast_metric(
    fit: Fit,
    law: MetricLaw,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
) -> MetricForecast:
    """Forecast a metric in two stages: the drawn losses of one new run, each through a drawn sigmoid, and its noise."""
    losses = fit.sample(fit.target(params, tokens, flops))[:, 0]
    rng = np.random.default_rng(fit.seed)
    curves = law.draws[rng.integers(len(law.draws), size=len(losses))]
    values = np.array([sigmoid(curve, np.array([loss]))[0][0] for curve, loss in zip(curves, losses, strict=True)])
    values = values + law.noise * rng.standard_normal(len(values))
    loss, warnings = float(np.median(losses)), law.warnings
    if loss < law.losses[0]:
        text = (
            f"the forecast loss {loss:.4f} lies below every fitted run's ({law.losses[0]:.4f}): the curve is extended"
        )
        warnings = (text, *warnings)
    return MetricForecast(law.metric, float(np.median(values)), quantile_interval(values, level), loss, warnings)
