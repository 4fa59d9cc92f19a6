"""How to split compute when the model will also be served (Sardana et al. 2401.00448, eq. 2).

    minimise  6 N D + 2 k N S   over N params and D tokens, so that L(N, D) is a given loss
    minimise  L(N, D)           over N params and D tokens, so that 6 N D + 2 k N S is a given total

with S served tokens. In FLOPs k = 1; in dollars k is the price of a FLOP of serving over that of one of training. The
two are duals: the first is the smallest total whose second reaches the loss. Served models are smaller and trained for
longer than compute-optimal ones; with nothing served both are the compute-optimal split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import LOG10_RATIO, Line, check_split, optima, survey, warn_split
from chidu.forecast.cost import say_dollars
from chidu.forecast.ownership import SERVE_FLOPS, SERVE_UTILISATION, Ownership, check_served, own
from chidu.laws.fit import Fit
from chidu.stats import Array, Interval, quantile_interval

Unit = Literal["flops", "dollars"]
UNITS = ("flops", "dollars")
ABOVE_FLOOR = 1.001
"""A loss closer to the floor than this factor cannot be bought: what it would cost depends on the floor alone."""
MOST_FLOPS = 1e40


@dataclass(frozen=True)
class ServedAllocation:
    """The split that is best over a model's life."""

    serve_tokens: float
    params: float
    tokens: float
    loss: float
    """Of the law, nats per token."""
    loss_interval: Interval
    params_interval: Interval
    """Of the optimal params."""
    near: dict[float, tuple[float, float]]
    """Margin above the best loss -> lowest and highest params of the same total."""
    unit: Unit
    """What was minimised, or given."""
    total: float
    """Training and serving, in that unit."""
    compute_optimal_total: float
    """What the compute-optimal model of the same loss would cost in all, in that unit."""
    compute_optimal: tuple[float, float]
    """Its params and tokens."""
    ownership: Ownership
    warnings: tuple[str, ...]

    @property
    def train_flops(self) -> float:
        """6 params tokens."""
        return law_flops(self.params, self.tokens)

    @property
    def serve_flops(self) -> float:
        """2 params served tokens."""
        return SERVE_FLOPS * self.params * self.serve_tokens

    @property
    def tokens_per_param(self) -> float:
        """At the optimum."""
        return self.tokens / self.params

    @property
    def saved(self) -> float:
        """Part of the compute-optimal model's total that is saved at the same loss."""
        return 1 - self.total / self.compute_optimal_total

    def __str__(self) -> str:
        """The split, what it saves, what it costs."""
        whole, plain = (
            say_dollars(value) if self.unit == "dollars" else f"{value:.3g} FLOPs"
            for value in (self.total, self.compute_optimal_total)
        )
        other = f"{self.compute_optimal[0]:.3g} params on {self.compute_optimal[1]:.3g} tokens"
        lines = [
            f"serving {self.serve_tokens:.3g} tokens: {self.params:.3g} params on {self.tokens:.3g} tokens "
            f"({self.tokens_per_param:.3g} tokens/param), loss {self.loss:.4f} {self.loss_interval}",
            f"  {whole} in all, {self.train_flops:.3g} FLOPs of training; compute-optimal for the same loss is "
            f"{other}: {plain} in all, {self.saved:.1%} saved",
            f"  optimal params, {self.params_interval.level:.0%} interval {self.params_interval}",
        ]
        for margin, (lower, upper) in self.near.items():
            lines.append(f"  within {margin:.1%} of the best loss for that total: {lower:.3g} to {upper:.3g} params")
        lines += [f"  {self.ownership}".replace("\n", "\n  ")]
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = ("serve_tokens", "params", "tokens", "tokens_per_param", "train_flops", "serve_flops", "loss")
        return {
            **{name: getattr(self, name) for name in plain},
            "loss_interval": self.loss_interval.to_json(),
            "params_interval": self.params_interval.to_json(),
            "near": {str(margin): list(bounds) for margin, bounds in self.near.items()},
            "unit": self.unit,
            "total": self.total,
            "compute_optimal_total": self.compute_optimal_total,
            "compute_optimal": list(self.compute_optimal),
            "saved": self.saved,
            "ownership": self.ownership.to_json(),
            "warnings": list(self.warnings),
        }


def serving_optimal(
    fit: Fit,
    *,
    serve_tokens: float,
    loss: float | None = None,
    flops: float | None = None,
    dollars: float | None = None,
    minimise: Unit = "flops",
    hardware: str = "h100",
    serve_utilisation: float = SERVE_UTILISATION,
    level: float = 0.9,
) -> ServedAllocation:
    """Find the params and tokens that are best when the model serves so many tokens; one goal is given.

    Args:
        fit: the runs.
        serve_tokens: over the model's life, prompts and answers; 0 gives the compute-optimal split.
        loss: the goal: reach it at the lowest total of what `minimise` names.
        flops: the goal: the lowest loss with so many FLOPs of training and serving in all.
        dollars: the goal: the lowest loss for so many dollars of training and serving in all.
        minimise: `flops` or `dollars`, for a goal of loss.
        hardware: the device for both (`hardware.yaml`).
        serve_utilisation: part of its peak that serving reaches.
        level: of the intervals.

    Raises:
        InputError: not one goal, or a number out of range.
        Refusal: the fit does not tell params from tokens, or the loss is at or below the floor.
    """
    check_served(serve_tokens)
    goal, value, unit = _read_goal({"loss": loss, "flops": flops, "dollars": dollars}, minimise)
    dear = own(1.0, 1.0, 1.0, hardware=hardware, serve_utilisation=serve_utilisation)
    per_flop = dear.training.dollars / law_flops(1.0, 1.0) if unit == "dollars" else 1.0
    weight = dear.serving.dollars / SERVE_FLOPS / per_flop if unit == "dollars" else 1.0
    check_split(fit, 1.0)
    served = weight * serve_tokens
    total = _cheapest(fit, value, served) if goal == "loss" else value / per_flop
    line = _line(fit, total, served)
    params = float(np.exp(line.lowest()[0][0]))
    tokens = total / (6 * params) - served / 3
    best = optima(fit, law_flops(params, tokens), line)
    reached = float(np.exp(best.lowest))
    plain = total if served == 0 else _cheapest(fit, reached, 0.0)
    size = params if served == 0 else float(np.exp(optima(fit, plain).best))
    return ServedAllocation(
        serve_tokens=float(serve_tokens),
        params=params,
        tokens=tokens,
        loss=reached,
        loss_interval=quantile_interval(np.exp(best.log_losses), level),
        params_interval=quantile_interval(np.exp(best.log_params), level),
        near=line.near(reached),
        unit=unit,
        total=total * per_flop,
        compute_optimal_total=(plain + SERVE_FLOPS * served * size) * per_flop,
        compute_optimal=(size, plain / (6 * size)),
        ownership=own(params, tokens, serve_tokens, hardware=hardware, serve_utilisation=serve_utilisation),
        warnings=warn_split(fit, tokens / params, best.at_edge),
    )


def _read_goal(goals: Mapping[str, float | None], minimise: Unit) -> tuple[str, float, Unit]:
    """The one goal that was given, its value, and the unit that is minimised or spent."""
    given = [(name, value) for name, value in goals.items() if value is not None]
    if len(given) != 1:
        raise InputError("give one goal: the loss to reach, or the total flops, or the total dollars")
    ((goal, value),) = given
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{goal} must be a positive number, not {value}")
    if minimise not in UNITS:
        raise InputError(f"minimise is flops or dollars, not {minimise!r}")
    return goal, value, "dollars" if goal == "dollars" or (goal == "loss" and minimise == "dollars") else "flops"


def _line(fit: Fit, total: float, served: float, every: int = 1) -> Line:
    """The laws along the splits of one total: for each D/N = r, the N with 6 r N^2 + 2 N served = total."""
    ratio = 10 ** LOG10_RATIO[::-1][::every]
    params: Array = 2 * total / (2 * served + np.sqrt(4 * served**2 + 24 * ratio * total))
    return survey(fit, params, np.stack([params, ratio * params], axis=1))


def _cheapest(fit: Fit, loss: float, served: float) -> float:
    """The least total, in FLOPs of training, whose best split has this loss under the mean law.

    Raises:
        Refusal: the loss is at or below the floor, or out of any reach.
    """
    floor = float(np.exp(np.log(np.maximum(fit.posterior.floor, 1e-300)).mean()))
    if loss <= ABOVE_FLOOR * floor:
        raise Refusal(f"a loss of {loss:.4g} is at or below the law's floor of {floor:.4g}: no compute reaches it")
    wanted = np.log(loss - floor)

    def excess(log_total: float) -> float:
        line = _line(fit, float(np.exp(log_total)), served, every=2)
        return float(np.log(np.exp(line.lowest()[1][0]) - floor)) - wanted

    low, high = np.log(1e3), np.log(MOST_FLOPS)
    if excess(high) > 0:
        raise Refusal(f"a loss of {loss:.4g} would take more than {MOST_FLOPS:.0e} FLOPs under this law")
    if excess(low) < 0:
        raise InputError(f"a loss of {loss:.4g} is above that of any run; name one that is to be reached")
    at, slope = fit.posterior.top * np.log(10), -0.15
    for _ in range(60):
        error = excess(at)
        low, high = (at, high) if error > 0 else (low, at)
        if abs(error) < 1e-7 or high - low < 1e-9:
            break
        step = at - error / slope
        after = step if low < step < high else (low + high) / 2
        if after != at:
            slope = min((excess(after) - error) / (after - at), -1e-3)
        at = after
    return float(np.exp(at))
