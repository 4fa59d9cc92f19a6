"""How to split a compute budget between params and tokens, and how much freedom there is in it.

The optimum is flat: the range of splits within a small margin of the best loss says more than the best split, whose
place one fitted point would pretend to know (2603.22339, 2605.08541).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.fit import Fit
from chidu.stats import Array, Interval, quantile_interval

MARGINS = (0.001, 0.01)
"""How far above the best loss a split may lie to count as near-optimal."""
SPLIT_SD, SPLIT_SD_DECADE = 0.15, 0.2
"""Error of the log of the optimal params that the draws do not know of, at the largest run and for each decade beyond.

From 22 experiments of Porian et al. (2406.19146), fitted 10 and 100 times below the budget whose isoFLOP minimum was
known: without it 45 % of the minima lay inside a 90 % interval, with (0.1, 0.2) 91 %, with these all."""
ONE_RATIO = 1.2
"""Runs whose tokens/param lie within this factor have but one ratio."""
LOG10_RATIO = np.linspace(-1.5, 5.5, 281)
"""Tokens per parameter that are searched, log10."""


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal split of a budget, with the splits that are nearly as good."""

    flops: float
    params: float
    tokens: float
    loss: float
    """At the optimum, of the law, nats per token."""
    loss_interval: Interval
    params_interval: Interval
    """Of the optimal params."""
    reference_params: float | None
    """Optimum of the reference fit in closed form, Approach 3 of the papers; None for a form that has none."""
    near: dict[float, tuple[float, float]]
    """Margin above the best loss -> lowest and highest params within it."""
    warnings: tuple[str, ...]
    curve_params: Array = field(repr=False)
    curve_loss: Array = field(repr=False)

    @property
    def tokens_per_param(self) -> float:
        """At the optimum."""
        return self.tokens / self.params

    def curve(self, points: int = 101) -> tuple[Array, Array, Array]:
        """The isoFLOP curve around the optimum: params, tokens = flops / (6 params), and the law's loss, [points] each.

        It spans the splits within 10 % of the best loss.
        """
        close = np.flatnonzero(self.curve_loss <= 1.1 * self.loss)
        ends = np.log(self.curve_params[[close[0], close[-1]]])
        params = np.exp(np.linspace(ends[0], ends[1], points))
        loss = np.interp(np.log(params), np.log(self.curve_params), self.curve_loss)
        return params, self.flops / (6 * params), loss

    def __str__(self) -> str:
        """The split and its range."""
        lines = [
            f"{self.flops:.3g} FLOPs: {self.params:.3g} params on {self.tokens:.3g} tokens "
            f"({self.tokens_per_param:.3g} tokens/param), loss {self.loss:.4f} {self.loss_interval}",
            f"  optimal params, {self.params_interval.level:.0%} interval {self.params_interval}",
        ]
        if self.reference_params is not None:
            lines.append(f"  the reference fit's own optimum (Approach 3): {self.reference_params:.3g} params")
        for margin, (lower, upper) in self.near.items():
            lines.append(f"  within {margin:.1%} of the best loss: {lower:.3g} to {upper:.3g} params")
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values, the curve left out."""
        return {
            "flops": self.flops,
            "params": self.params,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens_per_param,
            "loss": self.loss,
            "loss_interval": self.loss_interval.to_json(),
            "params_interval": self.params_interval.to_json(),
            "reference_params": self.reference_params,
            "near": {str(margin): list(bounds) for margin, bounds in self.near.items()},
            "warnings": list(self.warnings),
        }


def compute_optimal(fit: Fit, *, flops: float, level: float = 0.9) -> Allocation:
    """Find the params and tokens of the lowest loss under C = 6 N D (Hoffmann et al. 2203.15556, section 3.3).

    The loss of a split is the posterior's mean law. The interval of the params is of each drawn law's own optimum,
    wider by what published isoFLOP tables showed (`SPLIT_SD`).

    Raises:
        InputError: flops that are not positive.
        Refusal: the fit does not tell params from tokens.
    """
    check_split(fit, flops)
    line = isoflop(fit, flops)
    best = optima(fit, flops, line)
    optimum, lowest = float(np.exp(best.best)), float(np.exp(best.lowest))
    return Allocation(
        flops=float(flops),
        params=optimum,
        tokens=float(flops / (6 * optimum)),
        loss=lowest,
        loss_interval=quantile_interval(np.exp(best.log_losses), level),
        params_interval=quantile_interval(np.exp(best.log_params), level),
        reference_params=_reference_params(fit, flops),
        near=line.near(lowest),
        warnings=warn_split(fit, flops / (6 * optimum**2), best.at_edge),
        curve_params=np.exp(line.log_params),
        curve_loss=np.exp(line.mean),
    )


@dataclass(frozen=True, eq=False)
class Line:
    """The drawn laws along a line of splits, params ascending; G splits, S draws."""

    log_params: Array
    mean: Array
    """Log loss of the mean law, [G]."""
    draws: Array
    """Log loss, [S, G]."""

    def lowest(self) -> tuple[Array, Array]:
        """Log params and log loss of the lowest point, of the mean law first, then of each draw, [1 + S] each."""
        at, height = _lowest(np.concatenate([self.mean[None], self.draws]))
        return np.interp(at, np.arange(len(self.log_params)), self.log_params), height

    def near(self, lowest: float) -> dict[float, tuple[float, float]]:
        """Lowest and highest params of the splits within each margin of the best loss."""
        curve = np.exp(self.mean)
        return {margin: _within(self.log_params, curve, lowest * (1 + margin)) for margin in MARGINS}


def survey(fit: Fit, params_G: Array, points_GK: Array) -> Line:
    """The laws at some splits, params ascending, each read at its point: its params and tokens, or their worth."""
    draws = np.log(fit.sample(points_GK, of="law"))
    return Line(np.log(params_G), draws.mean(0), draws)


def isoflop(fit: Fit, flops: float) -> Line:
    """The laws along the splits of training FLOPs."""
    params = np.sqrt(flops / (6 * 10**LOG10_RATIO))[::-1]
    return survey(fit, params, np.stack([params, flops / (6 * params)], axis=1))


@dataclass(frozen=True, eq=False)
class Optima:
    """Where the laws along a line have their lowest points; S draws."""

    best: float
    """Log params of the mean law's optimum."""
    lowest: float
    """Its log loss."""
    log_params: Array
    """Of each draw's optimum, with the error that the draws do not know of (`SPLIT_SD`), [S]."""
    log_losses: Array
    """Of each draw at its own optimum, [S]."""
    at_edge: float
    """Part of the draws whose optimum is at the line's end, of small params."""


def optima(fit: Fit, flops: float, line: Line | None = None) -> Optima:
    """Find the optimum of each drawn law for training FLOPs, along the isoFLOP line or another one."""
    line = line or isoflop(fit, flops)
    places, heights = line.lowest()
    beyond = max(np.log10(flops) - fit.posterior.top, 0.0)
    drawn = places[1:] + (SPLIT_SD + SPLIT_SD_DECADE * beyond) * fit.posterior.normal
    at_edge = float((drawn <= line.log_params[0]).mean())
    return Optima(float(places[0]), float(heights[0]), drawn, heights[1:], at_edge)


def optimal_params(fit: Fit, flops: Array) -> Array:
    """Compute-optimal params at many budgets, [T] -> [T]; between budgets by interpolation in logs."""
    budgets = np.unique(flops)
    knots = budgets if len(budgets) <= 9 else np.geomspace(budgets[0], budgets[-1], 9)
    params = [compute_optimal(fit, flops=float(budget)).params for budget in knots]
    return np.exp(np.interp(np.log(flops), np.log(knots), np.log(params)))


def check_split(fit: Fit, flops: float) -> None:
    """Refuse a split that these runs cannot tell.

    Raises:
        InputError: flops that are not positive.
        Refusal: the fit does not tell params from tokens.
    """
    if not (np.isfinite(flops) and flops > 0):
        raise InputError(f"flops must be a positive number, not {flops}")
    if len(fit.inputs) == 1:
        raise Refusal("these runs were fitted on compute alone and cannot say how to split it; give params and tokens")
    for name in ("params", "tokens"):
        values = fit.runs.column(name)
        if np.log(values.max() / values.min()) < 0.05:
            raise Refusal(f"all runs have the same {name}: they cannot say how to split compute; add runs with others")
    ratio = fit.runs.column("tokens") / fit.runs.column("params")
    if ratio.max() < ONE_RATIO * ratio.min():
        raise Refusal(
            f"every run has about {np.median(ratio):.3g} tokens/param, so the runs cannot say which ratio is best; "
            "add runs at half and twice that ratio"
        )


def reference_optimum(
    fit: Fit, flops: float, parameters: Mapping[str, float] | None = None
) -> tuple[float, float] | None:
    """Exponent a and optimal params of the reference law, or of other parameters of its form; None without an optimum.

    N = G (C / 6)^a, a = beta / (alpha + beta), G = (alpha A / (beta B))^(1 / (alpha + beta)) (2203.15556, eq. 4). In
    the coupled form both terms stand inside one power k: (A / B)^(1 / k) and exponents over k take their places.
    """
    p = fit.parameters if parameters is None else parameters
    if fit.form not in ("chinchilla", "tied", "coupled"):
        return None
    alpha, beta, k = p["alpha"], p.get("beta", p["alpha"]), p.get("k", 1.0)
    if min(alpha, beta, p["A"], p["B"]) <= 0:
        return None
    a = beta / (alpha + beta)
    log_g = k * (np.log(alpha / beta) + np.log(p["A"] / p["B"]) / k) / (alpha + beta)
    return float(a), float(np.exp(log_g + a * np.log(flops / 6)))


def _reference_params(fit: Fit, flops: float) -> float | None:
    optimum = reference_optimum(fit, flops)
    return optimum[1] if optimum else None


def _lowest(log_loss: Array) -> tuple[Array, Array]:
    """Place (in grid points) and height of each row's lowest point, [rows, grid]; a parabola through three points."""
    at = np.clip(log_loss.argmin(1), 1, log_loss.shape[1] - 2)
    rows = np.arange(len(log_loss))
    before, middle, after = (log_loss[rows, at + j] for j in (-1, 0, 1))
    bend = np.maximum(before - 2 * middle + after, 1e-15)
    shift = np.clip(0.5 * (before - after) / bend, -1, 1)
    return at + shift, middle - 0.25 * (before - after) * shift


def _within(log_params: Array, curve: Array, limit: float) -> tuple[float, float]:
    """Lowest and highest params whose loss is at most `limit`, linear between grid points."""
    inside = np.flatnonzero(curve <= limit)
    if len(inside) == 0:
        inside = np.array([int(curve.argmin())])
    first, last = inside[0], inside[-1]
    lower, upper = log_params[first], log_params[last]
    if first > 0:
        part = (curve[first - 1] - limit) / (curve[first - 1] - curve[first])
        lower = log_params[first - 1] + min(part, 1.0) * (log_params[first] - log_params[first - 1])
    if last < len(curve) - 1:
        part = (limit - curve[last]) / (curve[last + 1] - curve[last])
        upper = log_params[last] + max(part, 0.0) * (log_params[last + 1] - log_params[last])
    return float(np.exp(lower)), float(np.exp(upper))


def warn_split(fit: Fit, ratio: float, at_edge: float) -> tuple[str, ...]:
    """Is the best tokens/param one that the runs have seen?"""
    seen = fit.runs.column("tokens") / fit.runs.column("params")
    out = []
    if not seen.min() / 1.5 <= ratio <= 1.5 * seen.max():
        out.append(
            f"the best {ratio:.3g} tokens/param lies outside the runs' ({seen.min():.3g} to {seen.max():.3g}): "
            "the split is an extrapolation"
        )
    if at_edge > 0.01:
        out.append(f"{at_edge:.0%} of the drawn laws have no optimum in the range searched")
    return tuple(out)
