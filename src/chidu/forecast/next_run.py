"""Which run to train next: the affordable one that narrows the target's interval most for its FLOPs.

Method: the draws of the law are joint draws of the loss at the target and at every candidate. Observing a candidate
with its noise narrows the target's log loss as in linear-Gaussian regression (MacKay 1992, expected information):
var' = var - cov^2 / (var_candidate + noise^2). What the forecast does not let runs speak about stays: the spread
between the nodes of the floor's prior, and one run's own noise. Runs far below the top carry the noise that the
posterior gives them. Candidates that reach half of the greatest narrowing are kept; of these the one with most
narrowing per FLOP is chosen.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.forecast.cost import Cost, price
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.laws import priors
from chidu.laws.discrepancy import coordinates
from chidu.laws.fit import Fit
from chidu.laws.laplace import Index
from chidu.stats import Array, Interval

BUDGET = 3.0
"""Default budget, in largest fitted runs."""
DECADES, STEPS = 2.0, 9
"""Candidates' compute: this many decades down from the budget, in so many steps."""
RATIOS = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
"""Candidates' tokens per parameter."""
KEEP = 0.5
LEVEL = 0.9
RUNNERS_UP = 4


@dataclass(frozen=True)
class Candidate:
    """A run that could be trained, and the interval that it is expected to leave."""

    params: float | None
    tokens: float | None
    flops: float
    interval_after: Interval
    """Of the target's loss, nats per token; expected, centred on today's median."""
    narrowing: float
    """1 - expected width / width before."""

    def __str__(self) -> str:
        """One line."""
        size = f"{self.params:.3g} params on {self.tokens:.3g} tokens" if self.params and self.tokens else "a run"
        return f"{size} ({self.flops:.3g} FLOPs): interval {self.interval_after}, {self.narrowing:.0%} narrower"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "interval_after": self.interval_after.to_json()}


@dataclass(frozen=True)
class NextRun:
    """The run to train next."""

    params: float | None
    tokens: float | None
    flops: float
    cost: Cost
    interval_before: Interval
    interval_after: Interval
    reason: str
    runners_up: tuple[Candidate, ...]

    def __str__(self) -> str:
        """The run, why, and what else was close."""
        size = f"{self.params:.3g} params on {self.tokens:.3g} tokens" if self.params and self.tokens else "a run"
        lines = [f"next: {size}, {self.flops:.3g} FLOPs", f"  {self.reason}", f"  {self.cost}".replace("\n", "\n  ")]
        lines += [f"  or {candidate}" for candidate in self.runners_up]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "params": self.params,
            "tokens": self.tokens,
            "flops": self.flops,
            "cost": self.cost.to_json(),
            "interval_before": self.interval_before.to_json(),
            "interval_after": self.interval_after.to_json(),
            "reason": self.reason,
            "runners_up": [candidate.to_json() for candidate in self.runners_up],
        }


def next_run(
    fit: Fit,
    *,
    target: tuple[float, float] | float,
    budget_flops: float | None = None,
    hardware: str = "h100",
) -> NextRun:
    """Choose the next run for a target.

    Args:
        fit: the runs so far.
        target: (params, tokens), or flops.
        budget_flops: the most that the next run may take; by default 3 times the largest fitted run.
        hardware: the device that it is priced on (`hardware.yaml`).

    Raises:
        InputError: a target or a budget that is not positive.
        Refusal: the target itself is within the budget, or no candidate narrows the interval.
    """
    before = _before(fit, target)
    budget = BUDGET * 10**fit.posterior.top if budget_flops is None else budget_flops
    if not (np.isfinite(budget) and budget > 0):
        raise InputError(f"the budget must be a positive number of FLOPs, not {budget}")
    if before.flops <= budget:
        raise Refusal(f"the target's {before.flops:.3g} FLOPs are within the budget of {budget:.3g}: train it")
    candidates = _candidates(fit, budget)
    remaining = _remaining(fit, fit.target(before.params, before.tokens, before.flops), candidates)
    best, *others = _rank(candidates, remaining, before.median, before.interval)
    if best.narrowing < 1e-3:
        raise Refusal(
            f"no run of up to {budget:.3g} FLOPs would narrow the interval by 0.1 %; what is left is the floor and the "
            "noise of one run: raise the budget, or measure the noise with another seed"
        )
    return NextRun(
        params=best.params,
        tokens=best.tokens,
        flops=best.flops,
        cost=price(best.flops, hardware=hardware),
        interval_before=before.interval,
        interval_after=best.interval_after,
        reason=_reason(best, before.interval, len(candidates), budget),
        runners_up=tuple(others[:RUNNERS_UP]),
    )


def _before(fit: Fit, target: tuple[float, float] | float) -> Forecast:
    if isinstance(target, tuple):
        return forecast_loss(fit, params=target[0], tokens=target[1], level=LEVEL)
    return forecast_loss(fit, flops=target, level=LEVEL)


def _reason(best: Candidate, before: Interval, count: int, budget: float) -> str:
    return (
        f"expected to narrow the target's {LEVEL:.0%} interval from {before} to {best.interval_after} "
        f"({best.narrowing:.0%}): the most per FLOP of the {count} candidates of up to {budget:.3g} FLOPs "
        "that reach half of the greatest narrowing"
    )


def _candidates(fit: Fit, budget: float) -> Array:
    """A grid of affordable runs as the law reads them, [C, K]."""
    flops = budget * 10 ** -np.linspace(0, DECADES, STEPS)
    if len(fit.inputs) == 1:
        return flops[:, None]
    params = np.sqrt(flops[:, None] / (6 * RATIOS)).ravel()
    return fit.complete(np.stack([params, np.repeat(flops, len(RATIOS)) / (6 * params)], axis=1))


def _remaining(fit: Fit, point: Array, candidates: Array) -> Array:
    """Standard deviation of the target's log loss after each candidate, over the one before, [C]."""
    posterior = fit.posterior
    log_target, log_candidates = np.log(point), np.log(candidates)
    target = np.log(fit.sample(point, of="law"))
    seen = _without_node_means(np.log(fit.sample(candidates, of="law")), posterior.nodes)
    inner = _without_node_means(target, posterior.nodes)[:, 0]
    between = target[:, 0] - inner
    gap_target = posterior.missed_covariance(log_target, log_target)[0, 0]
    gap_seen = np.diag(posterior.missed_covariance(log_candidates, log_candidates))
    covariance = inner @ seen / len(inner) + posterior.missed_covariance(log_target, log_candidates)[0]
    compute = coordinates(log_candidates)[:, 0]
    tilt = np.exp(priors.TILT * np.maximum(posterior.top - compute, 0))
    run_noise = float((posterior.sigma**2).mean()) + priors.RUN_FLOOR**2
    noise = float((posterior.sigma**2).mean()) * tilt**2 + priors.RUN_FLOOR**2
    reducible = float(inner.var()) + gap_target
    kept = float(between.var()) + run_noise
    gain = np.minimum(covariance**2 / ((seen**2).mean(0) + gap_seen + noise), reducible)
    return np.sqrt((reducible - gain + kept) / (reducible + kept))


def _without_node_means(values: Array, nodes: Index) -> Array:
    """Subtract from draws [S, C] the mean of their node."""
    out = values.copy()
    for node in np.unique(nodes):
        out[nodes == node] -= values[nodes == node].mean(0)
    return out


def _rank(candidates: Array, remaining: Array, median: float, before: Interval) -> list[Candidate]:
    """Candidates that reach half of the greatest narrowing, most narrowing per FLOP first."""
    made = []
    for point, part in zip(candidates, remaining, strict=True):
        after = replace(
            before,
            lower=float(median * (before.lower / median) ** part),
            upper=float(median * (before.upper / median) ** part),
        )
        narrowing = 1 - (after.upper - after.lower) / (before.upper - before.lower)
        params, tokens = (float(point[0]), float(point[1])) if len(point) > 1 else (None, None)
        flops = float(6 * point[:2].prod()) if len(point) > 1 else float(point[0])
        made.append(Candidate(params, tokens, flops, after, float(narrowing)))
    greatest = max(candidate.narrowing for candidate in made)
    kept = [candidate for candidate in made if candidate.narrowing >= KEEP * greatest]
    return sorted(kept, key=lambda candidate: -candidate.narrowing / candidate.flops)
