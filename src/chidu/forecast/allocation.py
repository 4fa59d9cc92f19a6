"""How to split a compute budget between params and tokens, and how much freedom there is in it.

The optimum is flat: the range of splits within a small margin of the best loss says more than the best split, whose
place one fitted point would pretend to know (2603.22339, 2605.08541).
"""

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
    _check(fit, flops)
    ratio = 10**LOG10_RATIO
    params = np.sqrt(flops / (6 * ratio))[::-1]
    draws = np.log(fit.sample(np.stack([params, flops / (6 * params)], axis=1), of="law"))
    mean = draws.mean(0)
    log_params = np.log(params)
    best, lowest = (float(values[0]) for values in _lowest(log_params, mean[None]))
    optima, losses = _lowest(log_params, draws)
    beyond = max(np.log10(flops) - fit.posterior.top, 0.0)
    optima = optima + (SPLIT_SD + SPLIT_SD_DECADE * beyond) * fit.posterior.normal
    curve = np.exp(mean)
    near = {margin: _within(log_params, curve, np.exp(lowest) * (1 + margin)) for margin in MARGINS}
    optimum = float(np.exp(best))
    return Allocation(
        flops=float(flops),
        params=optimum,
        tokens=float(flops / (6 * optimum)),
        loss=float(np.exp(lowest)),
        loss_interval=quantile_interval(np.exp(losses), level),
        params_interval=quantile_interval(np.exp(optima), level),
        reference_params=_reference_params(fit, flops),
        near=near,
        warnings=_warn(fit, flops / (6 * optimum**2), float((optima <= log_params[0]).mean())),
        curve_params=params,
        curve_loss=curve,
    )


def optimal_params(fit: Fit, flops: Array) -> Array:
    """Compute-optimal params at many budgets, [T] -> [T]; between budgets by interpolation in logs."""
    budgets = np.unique(flops)
    knots = budgets if len(budgets) <= 9 else np.geomspace(budgets[0], budgets[-1], 9)
    params = [compute_optimal(fit, flops=float(budget)).params for budget in knots]
    return np.exp(np.interp(np.log(flops), np.log(knots), np.log(params)))


def _check(fit: Fit, flops: float) -> None:
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


def _reference_params(fit: Fit, flops: float) -> float | None:
    """N = G (C / 6)^(beta / (alpha + beta)), G = (alpha A / (beta B))^(1 / (alpha + beta)) (2203.15556, eq. 4)."""
    if fit.form not in ("chinchilla", "tied"):
        return None
    p = fit.parameters
    alpha, beta = p["alpha"], p.get("beta", p["alpha"])
    if min(alpha, beta) <= 0:
        return None
    log_g = np.log(alpha * p["A"] / (beta * p["B"])) / (alpha + beta)
    return float(np.exp(log_g + np.log(flops / 6) * beta / (alpha + beta)))


def _lowest(log_params: Array, log_loss: Array) -> tuple[Array, Array]:
    """Place and height of each row's lowest point, [rows, grid] -> [rows] each; a parabola through three points."""
    at = np.clip(log_loss.argmin(1), 1, log_loss.shape[1] - 2)
    rows = np.arange(len(log_loss))
    before, middle, after = (log_loss[rows, at + j] for j in (-1, 0, 1))
    bend = np.maximum(before - 2 * middle + after, 1e-15)
    shift = np.clip(0.5 * (before - after) / bend, -1, 1)
    step = log_params[1] - log_params[0]
    return log_params[at] + shift * step, middle - 0.25 * (before - after) * shift


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


def _warn(fit: Fit, ratio: float, at_edge: float) -> tuple[str, ...]:
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
