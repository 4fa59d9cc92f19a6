"""The loss curve of a run under its learning-rate schedule: the multi-power law (Luo et al. 2503.12811, eq. 1).

    L(t) = L_0 + A S(t)^-alpha - B sum_k (eta_(k-1) - eta_k) G(eta_k^-gamma S_k(t)),   G(x) = 1 - (1 + C x)^-beta

with eta the rate of each step, S(t) its sum up to t (warm-up included), and S_k(t) that from step k on. The first two
terms are the curve at a constant rate; the sum is what each drop of the rate after the warm-up has saved by step t.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.forms.form import bounded_exp
from chidu.laws.least_squares import descend
from chidu.runs import RunTable
from chidu.stats import Array

NAMES = ("L_0", "A", "alpha", "B", "C", "beta", "gamma")
DELTAS = ((0.1, 20), (0.01, 30), (1e-3, 40))
"""Huber's loss on log losses, brought down to the published delta, and the steps at each."""
BLOCK, MANY = 16, 500
"""Steps that share one drop of the rate, where it changes at more steps than this."""
STARTS = ((0.5, 1.0, 0.5, 0.5), (0.3, 1.0, 1.0, 0.5), (0.5, 0.1, 0.5, 1.0), (0.4, 2.0, 0.6, 0.3))
"""(alpha, C, beta, gamma) that the fit starts from."""


@dataclass(frozen=True, eq=False)
class LossCurve:
    """One run's losses, with the rate of every step."""

    name: str
    step: Array
    """Steps at which the loss was taken, rising, [n]."""
    loss: Array
    """Nats per token, [n]."""
    rate: Array
    """Learning rate of each step, the first being step 0, [steps]."""
    warmup: int = 0
    """Steps before which the rate rises; its changes there count as no drops."""

    def __post_init__(self) -> None:
        """Check the lengths.

        Raises:
            InputError: no steps, steps that do not rise or lie beyond the schedule, or values that are not positive.
        """
        if len(self.step) == 0 or len(self.step) != len(self.loss):
            raise InputError(f"curve {self.name}: it needs a loss for each of its steps")
        if (np.diff(self.step) <= 0).any() or self.step[0] < 0 or self.step[-1] >= len(self.rate):
            raise InputError(
                f"curve {self.name}: its steps must rise, and lie within the {len(self.rate)} of the schedule"
            )
        if not (np.isfinite(self.loss) & (self.loss > 0)).all() or not (self.rate >= 0).all():
            raise InputError(f"curve {self.name}: losses must be positive, and rates not negative")
        if not np.cumsum(self.rate)[int(self.step[0])] > 0:
            raise InputError(f"curve {self.name}: the rate is zero up to the first loss")


@dataclass(frozen=True, eq=False)
class CurveLaw:
    """The multi-power law, fitted to curves."""

    parameters: dict[str, float]
    objective: float
    """Sum of Huber's losses (delta 1e-3) of the log losses."""
    error: float
    """Mean |fitted / observed - 1|, over the curves' own means."""
    curves: tuple[str, ...]
    points: int
    theta: Array = field(repr=False)
    """Logs of the parameters, [7]."""

    def loss(self, curve: LossCurve) -> Array:
        """The law's loss at the steps of a curve, whose own losses are not looked at, [n]."""
        return np.exp(_Sums([curve]).log_loss(self.theta)[0])

    def mean_error(self, curve: LossCurve) -> float:
        """Mean |law / observed - 1| of a curve."""
        return float(np.abs(self.loss(curve) / curve.loss - 1).mean())

    def __str__(self) -> str:
        """The parameters and the error."""
        lines = [f"multi-power law of {len(self.curves)} curves ({self.points} losses): {', '.join(self.curves)}"]
        lines += [f"  {name:<6} {self.parameters[name]:.5g}" for name in NAMES]
        return "\n".join([*lines, f"  mean error {self.error:.2%} of the loss"])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "form": "curve",
            "parameters": self.parameters,
            "objective": self.objective,
            "error": self.error,
            "curves": list(self.curves),
            "points": self.points,
        }


class _Sums:
    """What the law needs of curves, whatever its parameters: sums of rates, and the drops with the rate after each."""

    def __init__(self, curves: Sequence[LossCurve]) -> None:
        self.total = np.concatenate([np.cumsum(curve.rate)[curve.step.astype(int)] for curve in curves])
        self.parts = [_drops(curve) for curve in curves]

    def log_loss(self, theta_7: Array) -> tuple[Array, Array]:
        """Log losses of all points [I], and their derivatives by the logs of the parameters [I, 7]."""
        l_0, a, alpha, b, c, beta, gamma = np.exp(np.clip(theta_7, -30, 30))
        power = a * self.total**-alpha
        saved, by_c, by_beta, by_gamma = (np.concatenate(p) for p in zip(*self._saved(c, beta, gamma), strict=True))
        loss = np.maximum(l_0 + power - b * saved, 1e-6)
        slopes = [
            np.full_like(loss, l_0),
            power,
            -alpha * power * np.log(self.total),
            -b * saved,
            -b * by_c,
            -b * by_beta,
            -b * by_gamma,
        ]
        return np.log(loss), np.stack(slopes, axis=-1) / loss[:, None]

    def _saved(self, c: float, beta: float, gamma: float) -> list[tuple[Array, Array, Array, Array]]:
        """The sum over drops at each point of each curve, and its derivatives by log C, log beta and log gamma."""
        out = []
        for drop, log_rate, since in self.parts:
            x = bounded_exp(np.log(c) - gamma * log_rate) * since
            log_x = np.log1p(x)
            left = np.exp(-beta * log_x)
            by_log_x = beta * left * x / (1.0 + x)
            out.append(
                (
                    (1 - left) @ drop,
                    by_log_x @ drop,
                    (beta * log_x * left) @ drop,
                    -gamma * by_log_x @ (drop * log_rate),
                )
            )
        return out


def _drops(curve: LossCurve) -> tuple[Array, Array, Array]:
    """Drops of the rate after the warm-up [J], log of the rate after each [J], and sums of rates since each [n, J].

    Where the rate falls at every step, BLOCK steps make one drop; a sum is zero before its drop, and the drop then
    saves nothing.
    """
    rate, sums = curve.rate, np.concatenate([[0.0], np.cumsum(curve.rate)])
    changes = np.arange(curve.warmup + 1, len(rate))
    changes = changes[rate[changes] != rate[changes - 1]]
    block = BLOCK if len(changes) > MANY else 1
    first = changes[::block]
    last = np.append(changes[block - 1 :: block], changes[-1:])[: len(first)]
    middle = (first + last) // 2
    since = np.maximum(sums[curve.step.astype(int) + 1][:, None] - sums[middle], 0.0)
    return rate[first - 1] - rate[last], np.log(np.maximum(rate[middle], 1e-12)), since


def curves_of(table: RunTable, *, warmup: int = 0) -> list[LossCurve]:
    """Read curves from a table with a row a checkpoint: run (or group), step, learning_rate, loss.

    Between the steps of the table the rate is taken as linear; before the first it rises from zero over `warmup` steps
    to the first rate, and stays there.

    Raises:
        InputError: a run without a step or a rate.
        Refusal: runs of several sizes.
    """
    groups = defaultdict(list)
    for run in table:
        if run.step is None or run.learning_rate is None:
            raise InputError("the law of loss curves needs a step and a learning_rate in every row; map with --column")
        groups[run.run or run.group or "curve"].append((run.step, run.learning_rate, run.loss))
    sizes = {run.params for run in table if run.params is not None}
    if len(sizes) > 1:
        raise Refusal(
            f"the curves are of {len(sizes)} sizes ({min(sizes):.3g} to {max(sizes):.3g} params), but one law of loss "
            "curves is of one size; keep the rows of one"
        )
    return [make_curve(name, *np.array(sorted(rows)).T, warmup=warmup) for name, rows in groups.items()]


def make_curve(name: str, step: Array, rate: Array, loss: Array, *, warmup: int = 0) -> LossCurve:
    """A curve from the rates at its own steps, [n] each; see `curves_of` for the rates between and before them."""
    if len(step) == 0 or not (np.isfinite(step).all() and step[0] >= 0):
        raise InputError(f"curve {name}: its steps must be numbers from 0 on")
    every = np.interp(np.arange(int(step[-1]) + 1), step, rate)
    rising = min(warmup, int(step[0]))
    every[:rising] = rate[0] * np.arange(rising) / max(rising, 1)
    return LossCurve(name, np.asarray(step, dtype=float), np.asarray(loss, dtype=float), every, rising)


def fit_curves(curves: Sequence[LossCurve]) -> CurveLaw:
    """Fit the multi-power law to curves under several schedules: Huber's loss (delta 1e-3) of log losses, as published.

    Raises:
        InputError: fewer points than parameters.
        Refusal: no curve's rate ever drops.
    """
    points = sum(len(curve.step) for curve in curves)
    if points < len(NAMES):
        raise InputError(f"{points} losses, but the law of loss curves has {len(NAMES)} parameters; add some")
    sums = _Sums(curves)
    if not any((drop > 0).any() for drop, _, _ in sums.parts):
        raise Refusal("the rate of no curve ever drops: what a drop saves cannot be seen; add a schedule that decays")
    y = np.log(np.concatenate([curve.loss for curve in curves]))
    best = min((_descend(sums, start, y) for start in _starts(sums, y)), key=lambda found: found[1])
    theta, objective = descend(sums.log_loss, best[0], y, delta=DELTAS[-1][0], iterations=500)
    means, at = [], 0
    fitted = np.exp(sums.log_loss(theta)[0] - y)
    for curve in curves:
        means.append(float(np.abs(fitted[at : at + len(curve.step)] - 1).mean()))
        at += len(curve.step)
    parameters = {name: float(np.exp(theta[j])) for j, name in enumerate(NAMES)}
    names = tuple(curve.name for curve in curves)
    return CurveLaw(parameters, objective, float(np.mean(means)), names, points, theta)


def _starts(sums: _Sums, y: Array) -> list[Array]:
    """L_0, A and B by least squares of the relative error for each start of the others."""
    starts, relative = [], np.exp(-y)
    for alpha, c, beta, gamma in STARTS:
        saved = np.concatenate([part[0] for part in sums._saved(c, beta, gamma)])
        columns = np.stack([np.ones_like(saved), sums.total**-alpha, -saved], axis=1) * relative[:, None]
        linear = np.linalg.lstsq(columns, np.ones_like(saved), rcond=None)[0]
        linear = np.maximum(linear, 1e-3 / np.maximum(np.abs(columns).mean(0), 1e-12))
        starts.append(np.log([linear[0], linear[1], alpha, linear[2], c, beta, gamma]))
    return starts


def _descend(sums: _Sums, start: Array, y: Array) -> tuple[Array, float]:
    theta, objective = start, np.inf
    for delta, iterations in DELTAS:
        theta, objective = descend(sums.log_loss, theta, y, delta=delta, iterations=iterations)
    return theta, objective
