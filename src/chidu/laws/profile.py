"""Profile likelihood: how well a law can still fit when one thing about it is held to another value.

The thing is a parameter, such as the floor E, or the loss that the law forecasts at a point. For each value on a grid
the objective of the reference fit is minimised over everything else, all values in one batch: a stiff spring pulls the
law there, and the value that it reaches is the one reported, so that no spring is left in the figures. What does not
raise the objective by much is not identified by the runs. Where "much" begins is told by the likelihood-ratio test for
an objective that is no likelihood (Schrader and Hettmansperger 1980): 2 (F - F_best) mean(psi') / mean(psi^2), with psi
the derivative of Huber's loss at the residuals, is a chi-square of one degree of freedom; Student's t^2 with I - P
degrees for small tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.design import make_arrays
from chidu.laws.fit import Fit
from chidu.laws.forms import FORMS, Form
from chidu.laws.solver import DELTA, huber, minimise, second_derivatives
from chidu.stats import Array, Index

POINTS = 41
STIFFNESS = 1e4
"""Of the spring, relative to the profile's own curvature."""
REACH = 3.5
"""Standard deviations to either side that are tried first; then wider or narrower, as the profile turns out."""
ROUNDS = 6
FARTHEST = float(np.log(100.0))
"""Beyond a factor of 100 nobody needs to know: from the estimate, and for the floor below the lowest loss."""
SWEEPS = 6
RESOLUTION = 1e-5
"""Losses are printed with so many digits: no residual says more than this, in log loss."""
BARS = "▁▂▃▄▅▆▇█"
LOSS = "loss"

Quantity = Callable[[Array], tuple[Array, Array]]
"""Laws [B, P] -> the thing in the scale that it is profiled in, [B], and its derivatives, [B, P]."""


@dataclass(frozen=True, eq=False)
class _Trace:
    """A profile in the scale of its quantity."""

    found: Array
    """Values reached, increasing, [G]."""
    objective: Array
    ratio: Array
    """Likelihood-ratio statistics, [G]."""

    def crossings(self, threshold: float) -> tuple[float | None, float | None]:
        """Where the statistic first passes the threshold below and above its least, between points of the grid."""
        return self._crossing(threshold, -1), self._crossing(threshold, 1)

    def _crossing(self, threshold: float, side: int) -> float | None:
        least = int(np.argmin(self.ratio))
        places = np.arange(least, len(self.found)) if side > 0 else np.arange(least, -1, -1)
        beyond = np.flatnonzero(self.ratio[places] > threshold)
        if len(beyond) == 0:
            return None
        outer, inner = places[beyond[0]], places[beyond[0] - 1]
        low, high = np.sqrt(self.ratio[inner]), np.sqrt(self.ratio[outer])
        part = (np.sqrt(threshold) - low) / (high - low)
        return float(self.found[inner] + part * (self.found[outer] - self.found[inner]))


@dataclass(frozen=True, eq=False)
class Profile:
    """The lowest objective for each value of one thing."""

    name: str
    """A parameter's name, or `loss`."""
    at: dict[str, float]
    """The point of `loss`; empty for a parameter."""
    estimate: float
    """At the reference optimum."""
    lower: float | None
    """End of the likelihood-ratio interval; None where the runs set no bound on this side."""
    upper: float | None
    level: float
    values: Array
    """Increasing, [G]."""
    objective: Array
    """The lowest objective with each value, [G]."""
    ratio: Array
    """Likelihood-ratio statistic of each value against the optimum, [G]."""
    threshold: float
    """Where the statistic leaves the interval."""

    def __str__(self) -> str:
        """The interval in words, the profile as bars and as a table."""
        top = 4 * self.threshold
        bars = "".join(BARS[int(7 * min(part, 1.0))] for part in self.ratio / top)
        where = " at " + ", ".join(f"{key} {value:.3g}" for key, value in self.at.items()) if self.at else ""
        lines = [f"profile of {self.name}{where}: {self.estimate:.5g}, {self._words()}"]
        lines.append(f"  {self.values[0]:.4g} {bars} {self.values[-1]:.4g}")
        lines.append(
            f"  {self.name:>10} {'objective':>12} {'likelihood ratio':>17}  (outside from {self.threshold:.2f})"
        )
        shown = np.unique(np.linspace(0, len(self.values) - 1, 9).round().astype(int))
        lines += [f"  {self.values[i]:>10.5g} {self.objective[i]:>12.6g} {self.ratio[i]:>17.2f}" for i in shown]
        return "\n".join(lines)

    def _words(self) -> str:
        level = f"{self.level:.0%}".replace("%", " %")
        least, most = f"{self.values[0]:.3g}", f"{self.values[-1]:.3g}"
        if self.lower is not None and self.upper is not None:
            return f"{level} likelihood-ratio interval [{self.lower:.4g}, {self.upper:.4g}]"
        if self.upper is not None:
            return f"{level} below {self.upper:.4g}; no lower bound: any value down to {least} fits as well"
        if self.lower is not None:
            return f"{level} above {self.lower:.4g}; no upper bound: any value up to {most} fits as well"
        return f"but any value from {least} to {most} fits as well: these runs do not identify it"

    def to_json(self) -> dict[str, Any]:
        """Plain values; an end of the interval that is not there is null."""
        return {
            "name": self.name,
            "at": self.at,
            "estimate": self.estimate,
            "interval": {"lower": self.lower, "upper": self.upper, "level": self.level},
            "threshold": self.threshold,
            "values": self.values.tolist(),
            "objective": self.objective.tolist(),
            "likelihood_ratio": self.ratio.tolist(),
        }


def profile(
    fit: Fit,
    name: str,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
) -> Profile:
    """Profile a parameter, or with `loss` the loss at a point.

    Args:
        fit: the fitted law.
        name: one of `fit.names`, or `loss`.
        params: of the point.
        tokens: of the point.
        flops: of the point, for a law of compute.
        level: of the interval.

    Raises:
        InputError: an unknown name, or a point that is not given whole.
        Refusal: no runs are left over to tell the noise from.
    """
    form = FORMS[fit.form]
    x, y, centre = make_arrays(fit.runs, form)
    if len(y) <= len(form.names):
        raise Refusal(
            f"{len(y)} runs fix the {len(form.names)} parameters and tell no noise: a profile needs more runs"
        )
    at: dict[str, float] = {}
    if name == LOSS:
        target = fit.target(params, tokens, flops)
        if not (np.isfinite(target) & (target > 0)).all():
            raise InputError("the point of a profile must be of positive, finite numbers")
        at = dict(zip(form.inputs, map(float, target[0]), strict=True))
        quantity, in_logs = _loss_at(form, np.log(target) - centre), True
    elif name in form.names:
        place = form.names.index(name)
        in_logs = bool(form.natural(fit.theta[None], centre)[0, place] > 0)
        quantity = _parameter(form, place, centre, in_logs)
    else:
        raise InputError(f"the {fit.form} law has no {name!r} to profile; it has {', '.join(form.names)}, or {LOSS}")
    best, theta = float(quantity(fit.theta[None])[0][0]), fit.theta
    limits = np.array([best - FARTHEST, best + FARTHEST])
    if name == "E":
        # a floor far below the losses is none, however far
        limits = np.array([y.min() - FARTHEST, y.max()])
        theta = np.concatenate([np.clip(theta[:1], *limits), theta[1:]])
    threshold = _threshold(level, len(y) - len(form.names))
    made = _trace(form, theta, x, y, quantity, limits, threshold)
    back = np.exp if in_logs else np.asarray
    lower, upper = (None if end is None else float(back(end)) for end in made.crossings(threshold))
    values, estimate = back(made.found), float(back(best))
    return Profile(name, at, estimate, lower, upper, level, values, made.objective, made.ratio, threshold)


def _threshold(level: float, freedom: int) -> float:
    """Square of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2) ** 2)


def _parameter(form: Form, place: int, centre_K: Array, in_logs: bool) -> Quantity:
    """A parameter as papers write it, in logs where it is positive; its derivatives by central differences."""

    def value(theta: Array) -> Array:
        column = form.natural(theta, centre_K)[:, place]
        return np.log(np.maximum(column, 1e-300)) if in_logs else column

    def quantity(theta: Array) -> tuple[Array, Array]:
        steps = 1e-6 * np.eye(theta.shape[1])
        slopes = [(value(theta + step) - value(theta - step)) / 2e-6 for step in steps]
        return value(theta), np.stack(slopes, axis=1)

    return quantity


def _loss_at(form: Form, x_1K: Array) -> Quantity:
    """Log of the loss at a point."""

    def quantity(theta: Array) -> tuple[Array, Array]:
        f, _, slopes = form.gradient(theta, x_1K)
        return f[:, 0], slopes[:, 0]

    return quantity


def noise_spread(residuals: Array, parameters: int) -> float:
    """mean(psi^2) / mean(psi') of Huber's loss at the residuals, [I]: the variance of a row, for least squares.

    The residuals that the fit made nearly nothing, one a parameter, are left out. mean(psi'), the part of the rows
    within delta, is a density at zero in disguise, and estimated as such, by the rows within the rule-of-thumb width of
    a rectangular kernel (Silverman 1986) where that is wider.
    """
    size = np.sort(np.abs(residuals))[parameters:]
    sd = max(1.4826 * float(np.median(size)), RESOLUTION)
    width = max(DELTA, 1.84 * sd * len(size) ** -0.2)
    inside = max(float((size <= width).mean()), 1 / len(size)) * DELTA / width
    return max(float((np.minimum(size, DELTA) ** 2).mean()), RESOLUTION**2) / inside


def _trace(form: Form, theta: Array, x: Array, y: Array, quantity: Quantity, limits: Array, threshold: float) -> _Trace:
    """Walk away from the optimum on both sides, until the profile has risen past the threshold or to the limits."""
    spread = noise_spread(y - form.log_loss(theta[None], x)[0], len(theta))
    start, slope = (part[0] for part in quantity(theta[None]))
    middle = float(start)
    inverse = _inverse(second_derivatives(form, theta[None], x, y, DELTA)[0])
    variance = float(slope @ inverse @ slope)
    direction = inverse @ slope / variance
    stiffness = STIFFNESS * max(1 / variance, spread / FARTHEST**2)
    room = np.abs(limits - middle)
    reach = np.minimum(REACH * float(np.sqrt(spread * variance)), room)
    for _ in range(ROUNDS):
        wanted = _grid(middle, reach)
        laws, objective = _hold(form, theta, direction, x, y, quantity, wanted, stiffness)
        found = quantity(laws)[0]
        order = np.argsort(found, kind="stable")
        ratio = 2 * (objective - objective.min()) / spread
        made = _Trace(found[order], objective[order], ratio[order])
        ends = made.crossings(threshold)
        better = reach.copy()
        for side, end in enumerate(ends):
            if end is None:
                better[side] = min(3 * reach[side], room[side])
            elif abs(end - middle) < 0.3 * reach[side]:
                better[side] = 1.5 * abs(end - middle)
        if (better == reach).all():
            break
        reach = better
    return made


def _grid(middle: float, reach: Array) -> Array:
    """Values evenly on each side of the middle, increasing."""
    half = (POINTS - 1) // 2
    sides = [np.arange(half, 0, -1) * -reach[0], np.zeros(1), np.arange(1, half + 1) * reach[1]]
    return np.unique(middle + np.concatenate(sides) / half)


def _inverse(curvature: Array) -> Array:
    """Of second derivatives that may be flat or bent down in some direction: there, nearly flat."""
    unit = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(curvature)), 1e-300))
    values, vectors = np.linalg.eigh(curvature * unit[:, None] * unit)
    values = np.maximum(values, 1e-6 * max(values.max(), 1e-300))
    return (vectors / values) @ vectors.T * unit[:, None] * unit


def _hold(
    form: Form, best: Array, direction: Array, x: Array, y: Array, quantity: Quantity, wanted: Array, stiffness: float
) -> tuple[Array, Array]:
    """The best laws that a spring holds to the wanted values, [G, P], and their objectives without the spring, [G]."""
    ones = np.ones((1, len(y)))

    def settle(starts: Array, goals: Array, delta: float, iterations: int, exact: bool) -> tuple[Array, Array]:
        def spring(theta: Array, place: Index) -> tuple[Array, Array, Array]:
            value, slopes = quantity(theta)
            gap = goals[place] - value
            squares = stiffness * slopes[:, :, None] * slopes[:, None]
            return 0.5 * stiffness * gap**2, stiffness * gap[:, None] * slopes, squares

        return minimise(form, starts, x, y, ones, delta, iterations, exact=exact, tie=spring)

    away = wanted - float(quantity(best[None])[0][0])
    starts = best + np.clip(away[:, None] * direction, -3.0, 3.0)
    laws, _ = settle(starts, wanted, 10 * DELTA, 15, False)
    laws, objective = settle(laws, wanted, DELTA, 60, True)
    for _ in range(SWEEPS):
        # each may do better from where its neighbours are
        neighbours = np.concatenate([laws[:1], laws[:-1], laws[1:], laws[-1:]])
        tried, reached = settle(neighbours, np.tile(wanted, 2), DELTA, 60, True)
        before = objective
        for half in (slice(0, len(wanted)), slice(len(wanted), None)):
            better = reached[half] < objective
            laws, objective = np.where(better[:, None], tried[half], laws), np.where(better, reached[half], objective)
        if (before - objective <= 1e-6 * before).all():
            break
    return laws, huber(y - form.log_loss(laws, x), DELTA).sum(1)
