"""Runs that could be trained next: which they are, what each is expected to teach about a target, and at what price.

The figure that counts is the expected interval of the target's loss, after a candidate, from `beliefs.py`; one run's
own noise always stays in it. Of the candidates that reach half of the greatest gain, those with most gain per FLOP come
first: gain per FLOP alone would propose runs that are too small to teach anything.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import InputError, Refusal
from chidu.forecast.beliefs import Beliefs, believe
from chidu.forecast.cost import price, say_dollars
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.targets import read_targets
from chidu.laws import priors
from chidu.laws.fit import Fit
from chidu.laws.laplace import Index
from chidu.stats import Array, Interval

Point = tuple[float, float] | float
"""A run or a target: (params, tokens), or flops."""

BUDGET = 3.0
"""Default budget of one run, in largest fitted runs."""
DECADES, STEPS = 2.0, 9
"""The usual candidates' compute: this many decades down from the budget, in so many steps."""
RATIOS = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
"""The usual candidates' tokens per parameter."""
KEEP = 0.5
"""Part of the greatest gain that a candidate must reach to be proposed."""
LEVEL = 0.9


@dataclass(frozen=True)
class Candidate:
    """A run that could be trained, and the interval that it is expected to leave."""

    params: float | None
    tokens: float | None
    flops: float
    dollars: float
    interval_after: Interval
    """Of the target's loss, nats per token; expected, centred on today's median."""
    narrowing: float
    """1 - expected width / width before."""

    @property
    def narrowing_per_dollar(self) -> float:
        """Part of the interval's width for each dollar."""
        return self.narrowing / self.dollars if self.dollars > 0 else 0.0

    @property
    def narrowing_per_flop(self) -> float:
        """Part of the interval's width for each FLOP."""
        return self.narrowing / self.flops

    def __str__(self) -> str:
        """One line."""
        gain = f"interval {self.interval_after}, {self.narrowing:.1%} narrower, {say_dollars(self.dollars)}"
        return f"{size(self.params, self.tokens)} ({self.flops:.3g} FLOPs): {gain}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rates = {"narrowing_per_flop": self.narrowing_per_flop, "narrowing_per_dollar": self.narrowing_per_dollar}
        return {**asdict(self), "interval_after": self.interval_after.to_json(), **rates}


def size(params: float | None, tokens: float | None) -> str:
    """A run in words."""
    return f"{params:.3g} params on {tokens:.3g} tokens" if params and tokens else "a run"


@dataclass(frozen=True, eq=False)
class Choice:
    """A target, today's forecast of it, and the affordable candidates; C candidates."""

    before: Forecast
    points: Array
    """Candidates as the law reads them, [C, K]."""
    flops: Array
    """[C]."""
    budget: float
    """The most that one run may take, FLOPs."""
    dollars_per_flop: float
    beliefs: Beliefs
    """About the target (point 0) and the candidates."""
    run_noise: float
    """Variance of one run's log loss that no run takes away."""

    def remaining(self, beliefs: Beliefs) -> Array:
        """Expected sd of the target's log loss after each candidate, over the one before any, [C]."""
        left = beliefs.variances_after(0)[1:] + self.run_noise
        return np.sqrt(left / (float(self.beliefs.variances()[0]) + self.run_noise))

    def candidate(self, index: int, part: float) -> Candidate:
        """A candidate with the interval whose log width is a part of today's."""
        after = shrink(self.before, part)
        point = self.points[index]
        params, tokens = (float(point[0]), float(point[1])) if len(point) > 1 else (None, None)
        width = self.before.interval.upper - self.before.interval.lower
        return Candidate(
            params=params,
            tokens=tokens,
            flops=float(self.flops[index]),
            dollars=float(self.flops[index]) * self.dollars_per_flop,
            interval_after=after,
            narrowing=float(1 - (after.upper - after.lower) / width),
        )


def shrink(forecast: Forecast, part: float) -> Interval:
    """A forecast's interval with its log width made a part of what it is, around the median."""
    median, before = forecast.median, forecast.interval
    lower, upper = (float(median * (end / median) ** part) for end in (before.lower, before.upper))
    return replace(before, lower=lower, upper=upper)


def rank(gains_C: Array, flops_C: Array) -> Index:
    """Candidates that reach half of the greatest gain, most gain per FLOP first; at a tie the larger gain."""
    rate = gains_C / flops_C
    order = np.lexsort((-gains_C, -rate))
    return order[gains_C[order] >= KEEP * gains_C.max()]


def choose(
    fit: Fit, target: Point, budget_flops: float | None, candidates: Sequence[Point] | None, hardware: str
) -> Choice:
    """Set the question up.

    Raises:
        InputError: a target, budget or candidate that is not positive, or candidates that the budget does not reach.
        Refusal: the target itself is within the budget.
    """
    before = forecast_target(fit, target)
    budget = BUDGET * 10**fit.posterior.top if budget_flops is None else budget_flops
    if not (np.isfinite(budget) and budget > 0):
        raise InputError(f"the budget must be a positive number of FLOPs, not {budget}")
    if candidates is None:
        if before.flops <= budget:
            raise Refusal(f"the target's {before.flops:.3g} FLOPs are within the budget of {budget:.3g}: train it")
        points = _grid(fit, budget)
    else:
        points = read_points(fit, candidates)
        if budget_flops is None:
            budget = float(point_flops(points).max())
    flops = point_flops(points)
    within = flops <= budget * (1 + 1e-9)
    if not within.any():
        raise InputError(
            f"no candidate is within the budget of {budget:.3g} FLOPs; the smallest takes {flops.min():.3g}"
        )
    points, flops = points[within], flops[within]
    aim = fit.target(before.params, before.tokens, before.flops)
    beliefs = believe(fit, np.concatenate([aim, points]))
    rate = price(float(flops.max()), hardware=hardware).dollars / float(flops.max())
    return Choice(before, points, flops, budget, rate, beliefs, run_noise(fit))


def forecast_target(fit: Fit, target: Point) -> Forecast:
    """Today's forecast of a target."""
    if isinstance(target, tuple):
        return forecast_loss(fit, params=target[0], tokens=target[1], level=LEVEL)
    return forecast_loss(fit, flops=target, level=LEVEL)


def run_noise(fit: Fit) -> float:
    """Variance of the log loss of one run near the top, another machine's share in it."""
    return float((fit.posterior.sigma**2).mean()) + priors.RUN_FLOOR**2


def read_plan(path: str | Path) -> list[Point]:
    """Read a CSV of runs that might be trained: params and tokens, or flops, of each.

    Raises:
        InputError: as `read_targets`.
    """
    found: list[Point] = []
    for run in read_targets(path):
        if run.params is not None and run.tokens is not None:
            found.append((run.params, run.tokens))
        elif run.flops is not None:
            found.append(run.flops)
    return found


def read_points(fit: Fit, points: Sequence[Point]) -> Array:
    """Runs as the law reads them, [C, K].

    Raises:
        InputError: none, or one that is not as the law reads it, or not positive.
    """
    if not points:
        raise InputError("the list of runs is empty; give (params, tokens) of each")
    rows = []
    for point in points:
        params, tokens, flops = (*point, None) if isinstance(point, tuple) else (None, None, point)
        rows.append(fit.target(params, tokens, flops)[0])
    made = np.array(rows)
    if not (np.isfinite(made) & (made > 0)).all():
        raise InputError("a run's params, tokens and flops must be positive, finite numbers")
    return made


def point_flops(points_CK: Array) -> Array:
    """Compute of runs as the law reads them, [C]."""
    return law_flops(1.0, 1.0) * points_CK[:, :2].prod(1) if points_CK.shape[1] > 1 else points_CK[:, 0]


def _grid(fit: Fit, budget: float) -> Array:
    """The usual candidates: some amounts of compute up to the budget, each at some tokens/param, [C, K]."""
    flops = budget * 10 ** -np.linspace(0, DECADES, STEPS)
    if len(fit.inputs) == 1:
        return flops[:, None]
    params = np.sqrt(flops[:, None] / (6 * RATIOS)).ravel()
    return fit.complete(np.stack([params, np.repeat(flops, len(RATIOS)) / (6 * params)], axis=1))
