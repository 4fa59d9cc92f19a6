"""From loss to a task's metric: a sigmoid in the loss.

metric = floor + (ceiling - floor) / (1 + exp(k (L - L_mid))), from the floor, which a model of high loss has (chance),
to the ceiling (Bhagia et al. 2412.04403, section 3.2). Of a metric that is a share, such as accuracy, neither end
leaves 0 to 1. `chidu.forecast.metric` chains it after a law of the loss.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.ends import Range, draw_curves, fit_between
from chidu.laws.least_squares import descend
from chidu.laws.select import NDBool
from chidu.runs import NUMBERS, RunTable
from chidu.stats import Array, Interval, quantile_interval
from chidu.store import hash_json

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
    """Of the curve of least squares; a floor that is known is held."""
    intervals: dict[str, Interval]
    """90 % of the plausible curves."""
    drawn: bool
    """Whether the ends of these were drawn from what is possible (`ends.py`); else the runs were resampled."""
    noise: float
    """Sd of the metric of one run around the curve."""
    runs: int
    left_out: int
    """Rows without the metric."""
    losses: tuple[float, float]
    """Lowest and highest fitted loss, nats per token."""
    warnings: tuple[str, ...]
    draws: Array = field(repr=False)
    """Plausible curves, [draws, 4]."""
    chance: float | None = None
    """What guessing gets, where that is known."""
    best: float | None = None
    """The best value that there can be, where that is known; 1 or 0 of a share."""
    table_hash: str = ""
    """Of the fitted losses and values."""

    def at(self, loss: Array | float) -> Array:
        """The metric at losses, as their shape."""
        return sigmoid(np.array([self.parameters[name] for name in NAMES]), np.asarray(loss, dtype=float))[0]

    def band(self, loss_I: Array, level: float) -> Array:
        """Median, lower and upper end of the plausible curves at losses, [3, I]."""
        curves_BI = np.array([sigmoid(curve, loss_I)[0] for curve in self.draws])
        return np.quantile(curves_BI, [0.5, (1 - level) / 2, (1 + level) / 2], axis=0)

    def __str__(self) -> str:
        """The curve, its parameters, the warnings."""
        lines = [f"{self.metric} of {self.runs} runs: a sigmoid of the loss"]
        how = "of plausible curves" if self.drawn else "bootstrap interval"
        for name in NAMES:
            lines.append(f"  {name:<8} {self.parameters[name]:<10.4g} 90 % {how} {self.intervals[name]}")
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
            "drawn": self.drawn,
            "noise": self.noise,
            "runs": self.runs,
            "left_out": self.left_out,
            "losses": list(self.losses),
            "chance": self.chance,
            "best": self.best,
            "table_hash": self.table_hash,
            "warnings": list(self.warnings),
        }


def sigmoid(theta_4: Array, loss: Array) -> tuple[Array, Array]:
    """The metric at losses [I], and its derivatives by floor, ceiling, k and L_mid, [I, 4]."""
    floor, ceiling, k, middle = theta_4
    high = 1.0 / (1.0 + np.exp(np.clip(k * (loss - middle), -500, 500)))
    bend = (ceiling - floor) * high * (1 - high)
    return floor + (ceiling - floor) * high, np.stack([1 - high, high, -bend * (loss - middle), bend * k], axis=-1)


@dataclass(frozen=True)
class Ends:
    """What is known of both ends before the fit."""

    chance: float | None
    """The floor."""
    best: float | None
    """A bound of the ceiling."""
    low: float
    high: float
    """Between which both ends lie."""


def fit_metric(
    table: RunTable,
    metric: str,
    *,
    chance: float | None = None,
    best: float | None = None,
    draws: int = 400,
    seed: int = 0,
) -> MetricLaw:
    """Fit a sigmoid of the loss to a metric column by least squares, weighing outliers down (Huber's loss).

    The plausible curves, from which forecasts are drawn, have ends between the runs and what is possible (`ends.py`).
    Of a metric without a known best value they are bootstrap refits over runs.

    Args:
        table: the runs; the metric is one of the columns that they keep as they stand (`Run.extra`), or a number of
            chidu's own, such as `unseen_loss`.
        metric: the column's name. Rows where it is empty are left out.
        chance: what guessing gets, which the floor is held at.
        best: the best value that the metric can have; 1 or 0 where all values are shares.
        draws: plausible curves.
        seed: of these.

    Raises:
        InputError: no such column, text in it, too few rows with it, or chance and best that cannot be.
        Refusal: the metric hardly moves with the loss, or stays at chance.
    """
    loss, value = _read(table, metric)
    ends = _known_ends(metric, value, chance, best)
    theta, noise = _fit(loss, value, ends)
    _check_moves(metric, theta, loss, value, noise, ends)
    rising = theta[1] >= theta[0]
    plausible = _draw(loss, value, theta, noise, ends, rising, draws, seed)
    drawn = plausible is not None
    if plausible is None:
        plausible = _refit(loss, value, theta, noise, ends, draws, seed)
    bound = ends.high if rising else ends.low
    return MetricLaw(
        metric=metric,
        parameters={name: float(theta[j]) for j, name in enumerate(NAMES)},
        intervals={name: quantile_interval(plausible[:, j], 0.9) for j, name in enumerate(NAMES)},
        drawn=drawn,
        noise=noise,
        runs=len(loss),
        left_out=len(table) - len(loss),
        losses=(float(loss.min()), float(loss.max())),
        warnings=_warn(metric, theta, loss),
        draws=plausible,
        chance=chance,
        best=bound if math.isfinite(bound) else None,
        table_hash=hash_json([loss.tolist(), value.tolist()]),
    )


def _read(table: RunTable, metric: str) -> tuple[Array, Array]:
    losses, values = [], []
    for i, run in enumerate(table.runs):
        own = getattr(run, metric) if metric in NUMBERS else None
        text = str(own) if own is not None else run.extra.get(metric, "").strip()
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
        raise InputError(f"no run has a column {metric}; columns that may be metrics: {', '.join(known) or 'none'}")
    if len(values) < LEAST:
        raise InputError(f"only {len(values)} runs have {metric}; a sigmoid needs {LEAST} or more")
    return np.array(losses), np.array(values)


def _known_ends(metric: str, value: Array, chance: float | None, best: float | None) -> Ends:
    """Both ends as far as they are known, checked against the values."""
    low, high = float(value.min()), float(value.max())
    share = low >= 0 and high <= 1
    ends = [-math.inf, math.inf]
    if share:
        ends = [0.0, 1.0]
    if best is not None:
        if not math.isfinite(best) or low < best < high:
            raise InputError(
                f"a best value of {best:g} is none: {metric} of the runs goes from {low:.4g} to {high:.4g}"
            )
        ends[int(best >= high)] = best
    if chance is not None:
        if not math.isfinite(chance) or chance == best:
            raise InputError(f"chance cannot be {chance:g}; give what guessing gets, or leave it out")
        if best is not None:
            ends[int(best < high)] = chance
    return Ends(chance, best, ends[0], ends[1])


def _check_moves(metric: str, theta: Array, loss: Array, value: Array, noise: float, ends: Ends) -> None:
    """Refuse where no curve can be seen."""
    span = float(np.ptp(sigmoid(theta, loss)[0]))
    wrong = ends.best is not None and ends.chance is not None and (theta[1] > theta[0]) != (ends.best > ends.chance)
    if span >= FLAT * noise and theta[2] > 0 and not wrong:
        return
    if ends.chance is not None and abs(float(np.median(value)) - ends.chance) < FLAT * noise:
        raise Refusal(
            f"{metric} stays at chance ({ends.chance:.3g}): the runs go from {value.min():.3g} to {value.max():.3g} "
            f"with a noise of {noise:.2g}; add larger runs or take an easier task"
        )
    raise Refusal(
        f"{metric} hardly moves with the loss (by {span:.3g} over the runs, noise {noise:.3g}): "
        "no curve can be seen; add larger runs or take a metric that is above chance"
    )


def _draw(
    loss: Array, value: Array, theta: Array, noise: float, ends: Ends, rising: bool, draws: int, seed: int
) -> Array | None:
    """Curves with ends from the prior; None where nothing is known of the ends, or the runs show them."""
    sign = 1.0 if rising else -1.0
    low, high = sorted((sign * ends.low, sign * ends.high))
    if not math.isfinite(high) or (ends.chance is None and not math.isfinite(low)):
        return None
    if ends.chance is not None:
        low = sign * ends.chance
    error = value - sigmoid(theta, loss)[0]
    range_ = Range(low, high, ends.chance is not None)
    misfit = float((error**2).sum())
    curves = draw_curves(loss, sign * value, range_, noise, best_misfit=misfit, draws=draws, seed=seed)
    return None if curves is None else curves * [sign, sign, 1.0, 1.0]


def _refit(loss: Array, value: Array, theta: Array, noise: float, ends: Ends, draws: int, seed: int) -> Array:
    """Refits to resampled runs, [draws, 4]."""
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(len(loss), np.full(len(loss), 1 / len(loss)), draws).astype(float)
    delta = max(2 * noise, 1e-6)
    return np.array([_descend(loss, value, theta, w, delta, ends, REFIT) for w in picks])


def _fit(loss: Array, value: Array, ends: Ends) -> tuple[Array, float]:
    """The best sigmoid from a grid of starts, whose unknown ends are projected out, and the noise around it."""
    best, lowest = np.zeros(4), np.inf
    for middle in np.linspace(loss.min(), loss.max(), MIDDLES):
        for k in STEEPNESS:
            high = 1.0 / (1.0 + np.exp(np.clip(k * (loss - middle), -500, 500)))
            if ends.chance is None:
                floor, ceiling = np.linalg.lstsq(np.stack([1 - high, high], axis=1), value, rcond=None)[0]
            else:
                floor = ends.chance
                ceiling = floor + float(high @ (value - floor)) / max(float(high @ high), 1e-300)
            misfit = float(((floor * (1 - high) + ceiling * high - value) ** 2).sum())
            if misfit < lowest:
                best, lowest = np.array([floor, ceiling, k, middle]), misfit
    every = np.ones(len(loss))
    theta = _descend(loss, value, best, every, np.inf, ends)
    noise = _noise(value - sigmoid(theta, loss)[0])
    theta = _descend(loss, value, theta, every, max(2 * noise, 1e-6), ends)
    return theta, _noise(value - sigmoid(theta, loss)[0])


def _descend(
    loss: Array, value: Array, start: Array, weights: Array, delta: float, ends: Ends, iterations: int = 200
) -> Array:
    """Fit from a start; an end that leaves what is possible is held at the border and the rest fitted again."""
    held, theta = np.array([ends.chance is not None, False, False, False]), start.copy()
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
        out = free & np.array([*((theta[:2] < ends.low) | (theta[:2] > ends.high)), False, False])
        if not out.any():
            turned = theta[2] <= 0 and ends.chance is None
            return np.array([theta[1], theta[0], -theta[2], theta[3]]) if turned else theta
        theta[out] = np.clip(theta[out], ends.low, ends.high)
        theta[2:] = _between(loss, value, theta, weights)
        held |= out


def _between(loss: Array, value: Array, theta: Array, weights: Array) -> Array:
    """k and L_mid that fit best between given ends: those of the free fit may lie far away once an end is moved."""
    sign = 1.0 if theta[1] >= theta[0] else -1.0
    a, b, _ = fit_between(loss, sign * value, weights[None], sign * theta[None, :2])[0]
    slope = b if abs(b) > 1e-9 else -1e-9
    return np.array([-slope, loss.mean() - a / slope])


def _noise(error: Array) -> float:
    """Sd of the residuals, corrected for the four parameters."""
    return float(np.sqrt((error**2).sum() / max(len(error) - 4, 1)))


def _warn(metric: str, theta: Array, loss: Array) -> tuple[str, ...]:
    middle = float(theta[3])
    if middle < loss.min():
        return (f"no run has passed the middle of the rise of {metric} (loss {middle:.3g}): its ceiling is a guess",)
    return ()
