"""A task's metric of a run that was not trained: compute to loss, loss to metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.forecast.loss import forecast_targets, target_points
from chidu.forecast.targets import Target
from chidu.laws.fit import Fit
from chidu.laws.metric import MetricLaw, sigmoid
from chidu.stats import Array, Interval, quantile_interval


@dataclass(frozen=True)
class MetricForecast:
    """Where a run's metric will land."""

    metric: str
    median: float
    interval: Interval
    loss: float
    """Median of the loss that it comes through, nats per token."""
    loss_interval: Interval
    params: float | None
    tokens: float | None
    flops: float
    distance: float
    """The target's FLOPs over the largest fitted run's."""
    warnings: tuple[str, ...]
    signature: str = ""
    """Of the fit of the loss."""

    def __str__(self) -> str:
        """Two lines, then the warnings."""
        size = f"{self.params:.4g} params on {self.tokens:.4g} tokens" if self.params and self.tokens else "a run"
        lines = [
            f"{size} ({self.flops:.3g} FLOPs, {self.distance:.3g} times the largest run):",
            f"  {self.metric} {self.median:.4g}, {self.interval.level:.0%} interval of one new run {self.interval}, "
            f"through a loss of {self.loss:.4f} {self.loss_interval} nats/token",
        ]
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "metric": self.metric,
            "median": self.median,
            "interval": self.interval.to_json(),
            "loss": self.loss,
            "loss_interval": self.loss_interval.to_json(),
            "params": self.params,
            "tokens": self.tokens,
            "flops": self.flops,
            "distance": self.distance,
            "warnings": list(self.warnings),
            "signature": self.signature,
        }


def forecast_metric(
    fit: Fit,
    law: MetricLaw,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> MetricForecast:
    """Forecast a metric in two stages: the drawn losses of one new run, each through a drawn sigmoid, and its noise.

    Raises:
        InputError, Refusal: as `forecast_loss`.
    """
    target = Target(params=params, tokens=tokens, flops=flops, unique_tokens=unique_tokens)
    return forecast_metrics(fit, law, [target], level)[0]


def forecast_metrics(fit: Fit, law: MetricLaw, targets: Sequence[Target], level: float = 0.9) -> list[MetricForecast]:
    """Forecast many targets; each as `forecast_metric` would.

    Raises:
        InputError, Refusal: as `forecast_targets`.
    """
    out = []
    for target, loss in zip(targets, forecast_targets(fit, targets, level), strict=True):
        losses = fit.sample(target_points(fit, [target]))[:, 0]
        values = metric_draws(law, losses, fit.seed)
        median = float(np.median(values))
        warnings = (*loss.warnings, *law.warnings)
        if loss.median < law.losses[0]:
            text = f"the forecast loss {loss.median:.4f} lies below every fitted run's ({law.losses[0]:.4f}): "
            warnings = (f"{text}the curve is extended", *warnings)
        size = (loss.params, loss.tokens, loss.flops, loss.distance)
        out.append(
            MetricForecast(
                law.metric,
                median,
                quantile_interval(values, level),
                loss.median,
                loss.interval,
                *size,
                warnings,
                fit.signature,
            )
        )
    return out


def metric_draws(law: MetricLaw, losses: Array, seed: int) -> Array:
    """The metric of one new run for each drawn loss, [draws]; none lies beyond the best value."""
    rng = np.random.default_rng(seed)
    curves = law.draws[rng.integers(len(law.draws), size=len(losses))]
    values = np.array([sigmoid(curve, np.array([loss]))[0][0] for curve, loss in zip(curves, losses, strict=True)])
    values = values + law.noise * rng.standard_normal(len(values))
    if law.best is None:
        return values
    rising = law.parameters["ceiling"] >= law.parameters["floor"]
    return np.minimum(values, law.best) if rising else np.maximum(values, law.best)
