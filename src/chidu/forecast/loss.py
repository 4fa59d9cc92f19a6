"""The loss of a run that was not trained, with an interval that widens with distance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import ONE_RATIO, optimal_params
from chidu.forecast.targets import Target
from chidu.laws.fit import Fit, Of
from chidu.stats import Array, Interval

FAR = 100.0
"""Times the largest fitted run's compute beyond which published ladders say little about the error."""
BELOW = 1e-3
"""Of the largest run's compute, below which a target is out of sight of the law."""
OUTSIDE = 3.0
"""How many times outside the runs' tokens/param a target may lie without a warning."""
SAME = 0.05
"""Log range within which a column counts as never varied, and a target as of the same size."""
CHUNK = 1000


@dataclass(frozen=True)
class Forecast:
    """Where a run will land. Loss in nats per token."""

    params: float | None
    tokens: float | None
    flops: float
    """6 params tokens, as the laws count, unless the target gave its own to a law of compute."""
    median: float
    interval: Interval
    of: Of
    """`run`: where one new run will land; `law`: where the curve is."""
    distance: float
    """The target's FLOPs over the largest fitted run's."""
    warnings: tuple[str, ...]
    signature: str
    """What reproduces the fit behind it."""

    def __str__(self) -> str:
        """The forecast, its distance, its warnings."""
        size = f"{self.params:.4g} params on {self.tokens:.4g} tokens" if self.params and self.tokens else "a run"
        what = "one new run" if self.of == "run" else "the law"
        lines = [
            f"{size} ({self.flops:.3g} FLOPs, {self.distance:.3g} times the largest run):",
            f"  loss {self.median:.4f} nats/token, {self.interval.level:.0%} interval of {what} {self.interval}",
        ]
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "params": self.params,
            "tokens": self.tokens,
            "flops": self.flops,
            "median": self.median,
            "interval": self.interval.to_json(),
            "of": self.of,
            "distance": self.distance,
            "warnings": list(self.warnings),
            "signature": self.signature,
        }


def forecast_loss(
    fit: Fit,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    unique_tokens: float | None = None,
    level: float = 0.9,
    of: Of = "run",
) -> Forecast:
    """Forecast one target: `params` and `tokens`, or `flops` (split compute-optimally,
    or at the runs' own tokens/param where they have but one). A law of repeated data reads `unique_tokens` too;
    without them all tokens are fresh.

    Raises:
        InputError: a number is missing or not positive, or a level outside (0, 1).
        Refusal: the runs cannot answer (one single size asked for another).
    """
    target = Target(params=params, tokens=tokens, flops=flops, unique_tokens=unique_tokens)
    return forecast_targets(fit, [target], level, of)[0]


def forecast_targets(fit: Fit, targets: Sequence[Target], level: float = 0.9, of: Of = "run") -> list[Forecast]:
    """Forecast many targets at once; each as `forecast_loss` would.

    Raises:
        InputError: as `forecast_loss`.
        Refusal: as `forecast_loss`.
    """
    if not 0 < level < 1:
        raise InputError(f"a level lies between 0 and 1, not {level}; 0.9 is usual")
    if of not in ("run", "law"):
        raise InputError(f"of is 'run' or 'law', not {of!r}")
    if not targets:
        return []
    points, split = _points(fit, targets)
    _check_answerable(fit, points)
    tails = [0.5, (1 - level) / 2, (1 + level) / 2]
    chunks = np.array_split(points, -(-len(points) // CHUNK))
    median, lower, upper = np.concatenate([np.quantile(fit.sample(c, of), tails, axis=0) for c in chunks], axis=1)
    flops = points[:, 0] if points.shape[1] == 1 else law_flops(1.0, 1.0) * points[:, :2].prod(1)
    largest = float(_fitted_flops(fit).max())
    signature, seen = fit.signature, _ratios(fit)
    out = []
    for t, target in enumerate(targets):
        size = (float(points[t, 0]), float(points[t, 1])) if points.shape[1] > 1 else (target.params, target.tokens)
        warnings = _warn(points[t], float(flops[t]) / largest, seen)
        if split[t]:
            warnings = (f"no split was given: taken at {size[0]:.3g} params on {size[1]:.3g} tokens", *warnings)
        interval = Interval(float(lower[t]), float(upper[t]), level)
        distance = float(flops[t]) / largest
        out.append(Forecast(*size, float(flops[t]), float(median[t]), interval, of, distance, warnings, signature))
    return out


def target_points(fit: Fit, targets: Sequence[Target]) -> Array:
    """Targets as `Fit.sample` takes them, [T, K]; those that come without a split are split here."""
    return _points(fit, targets)[0]


def _points(fit: Fit, targets: Sequence[Target]) -> tuple[Array, Array]:
    """Targets as the law reads them, [T, K], and which of them were split here, [T]."""
    two = len(fit.inputs) > 1
    split = np.array([two and t.params is None and t.tokens is None and t.flops is not None for t in targets])
    points = np.empty((len(targets), len(fit.inputs)))
    for i, target in enumerate(targets):
        if not split[i]:
            points[i] = fit.target(target.params, target.tokens, target.flops, target.unique_tokens)[0]
    if split.any():
        budget = np.array([t.flops for t, here in zip(targets, split, strict=True) if here], dtype=np.float64)
        _check_positive(budget)
        params = _split(fit, budget)
        points[split] = fit.complete(np.stack([params, budget / (6 * params)], axis=1))
    _check_positive(points)
    return points, split


def _split(fit: Fit, flops: Array) -> Array:
    """Params for budgets that come without a split, [T]: compute-optimal, or at the runs' one tokens/param."""
    ratio = fit.runs.column("tokens") / fit.runs.column("params")
    if ratio.max() < ONE_RATIO * ratio.min():
        return np.sqrt(flops / (6 * np.median(ratio)))
    return optimal_params(fit, flops)


def _check_positive(values: Array) -> None:
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError("a target's params, tokens and flops must be positive, finite numbers")


def _check_answerable(fit: Fit, points: Array) -> None:
    """Refuse what was never varied and is asked for elsewhere."""
    for j, name in enumerate(fit.inputs):
        seen = np.log(fit.runs.column(name))
        away = np.maximum(np.log(points[:, j]) - seen.max(), seen.min() - np.log(points[:, j])).max()
        if np.ptp(seen) < SAME and away > SAME:
            raise Refusal(
                f"all runs have {name} of about {np.exp(seen.mean()):.3g}: they cannot say what other {name} would do; "
                f"add runs at two or more other {name}"
            )


def _fitted_flops(fit: Fit) -> Array:
    if len(fit.inputs) == 1:
        return fit.runs.column("flops")
    return law_flops(1.0, 1.0) * fit.runs.column("params") * fit.runs.column("tokens")


def _ratios(fit: Fit) -> tuple[float, float]:
    """Least and most tokens/param of the runs; any where they are not known."""
    if len(fit.inputs) == 1:
        return 0.0, np.inf
    ratio = fit.runs.column("tokens") / fit.runs.column("params")
    return float(ratio.min()), float(ratio.max())


def _warn(point: Array, distance: float, seen: tuple[float, float]) -> tuple[str, ...]:
    """What is special about a target, `distance` times the largest run, after runs of `seen` tokens/param."""
    out = []
    if distance > FAR:
        out.append(f"the target is {distance:.0f} times the largest run: beyond {FAR:.0f} any method is weak")
    if distance < BELOW:
        out.append(
            f"the target is {1 / distance:.0f} times smaller than the largest run: small runs bend away from the law"
        )
    if len(point) > 1:
        ratio, (least, most) = point[1] / point[0], seen
        if not least / OUTSIDE <= ratio <= OUTSIDE * most:
            out.append(f"its {ratio:.3g} tokens/param lie outside the runs' ({least:.3g} to {most:.3g})")
    return tuple(out)
