"""What a whole plan of runs would be worth, before any of them is trained: the target's interval that it would leave.

With a fit, the runs so far are known and the plan is added to them in one linear-Gaussian update (`beliefs.py`). Before
any run there is only what other ladders showed (`laws/priors.py`) and a guess of the loss: then laws are drawn from the
priors, the plan's losses are made up from each, and the forecast's own posterior is inferred from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.forecast.beliefs import believe
from chidu.forecast.candidates import LEVEL, Point, forecast_target, point_flops, read_points, run_noise, shrink
from chidu.forecast.cost import Cost, price
from chidu.laws import priors
from chidu.laws.discrepancy import coordinates
from chidu.laws.fit import Fit
from chidu.laws.forms import FORMS
from chidu.laws.posterior import infer
from chidu.stats import Array, Interval, quantile_interval

FORM = FORMS["chinchilla"]
PRIOR_LAWS = 1000
"""Laws drawn for the interval before any run."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is believed of a ladder before its first run: what other ladders showed, and a guess."""

    loss: float = 3.0
    """A guess of the loss of the plan's largest run, nats per token; 20 % more or less hardly matters."""
    simulations: int = 12
    """Laws for which the plan is played through; each takes about as long as a fit."""
    seed: int = 0


@dataclass(frozen=True)
class DesignScore:
    """A plan's price, and the target's interval without and with it."""

    runs: int
    cost: Cost
    flops: float
    interval_before: Interval
    """Of one new run at the target, nats per token."""
    interval_after: Interval
    """Expected, around the same median."""

    @property
    def width(self) -> float:
        """Expected width of the interval, of its log: about a part of the loss."""
        return float(np.log(self.interval_after.upper / self.interval_after.lower))

    @property
    def narrowing(self) -> float:
        """1 - expected width / width before."""
        after, before = (ends.upper - ends.lower for ends in (self.interval_after, self.interval_before))
        return 1 - after / before

    def __str__(self) -> str:
        """Before, after, price."""
        level = f"{self.interval_after.level:.0%}"
        lines = [
            f"{self.runs} runs, {self.flops:.3g} FLOPs: the target's {level} interval from {self.interval_before} to "
            f"{self.interval_after}, {self.narrowing:.1%} narrower",
            f"  {self.cost}".replace("\n", "\n  "),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": self.runs,
            "flops": self.flops,
            "cost": self.cost.to_json(),
            "interval_before": self.interval_before.to_json(),
            "interval_after": self.interval_after.to_json(),
            "width": self.width,
            "narrowing": self.narrowing,
        }


def score_design(law: Fit | Prior, runs: Sequence[Point], target: Point, *, hardware: str = "h100") -> DesignScore:
    """Score a plan of runs for a target: the expected interval with them.

    Args:
        law: the runs so far, or the belief before any.
        runs: (params, tokens) of each, or flops where the fit is of a compute frontier.
        target: as the runs.
        hardware: the device that the plan is priced on.

    Raises:
        InputError: an empty plan, a number that is not positive, or a prior for runs without params.
        Refusal: the runs so far cannot answer for the target.
    """
    points = read_points(law, runs) if isinstance(law, Fit) else _pairs([*runs])
    flops = float(point_flops(points).sum())
    cost = price(flops, hardware=hardware)
    if isinstance(law, Fit):
        before, after = _score_with_fit(law, points, target)
    else:
        before, after = _score_with_prior(law, points, _pairs([target]))
    return DesignScore(len(points), cost, flops, before, after)


def _pairs(points: list[Point]) -> Array:
    """(params, tokens) of runs, [n, 2]."""
    pairs = [point for point in points if isinstance(point, tuple)]
    made = np.array(pairs, dtype=float).reshape(-1, 2)
    if not points or len(pairs) < len(points) or not (np.isfinite(made) & (made > 0)).all():
        raise InputError("before any run is known, a plan and its target are positive (params, tokens) of each run")
    return made


def _score_with_fit(fit: Fit, points: Array, target: Point) -> tuple[Interval, Interval]:
    """One update with every run of the plan, in any order."""
    before = forecast_target(fit, target)
    aim = fit.target(before.params, before.tokens, before.flops)
    first = believe(fit, np.concatenate([aim, points]))
    beliefs = first.after_all(range(1, len(points) + 1))
    noise = run_noise(fit)
    part = float(np.sqrt((beliefs.variances()[0] + noise) / (first.variances()[0] + noise)))
    return before.interval, shrink(before, part)


def _score_with_prior(prior: Prior, points: Array, target: Array) -> tuple[Interval, Interval]:
    """Play the plan through for laws of the prior."""
    if not (np.isfinite(prior.loss) and prior.loss > 0) or prior.simulations < 1:
        raise InputError("a prior needs a positive loss and one simulation or more")
    rng = np.random.default_rng(prior.seed)
    log_points, log_target = np.log(points), np.log(target)
    centre = log_points.mean(0)
    laws = draw_laws(prior, log_points, centre, rng)
    noise = np.hypot(priors.NOISE, priors.RUN_FLOOR) * rng.standard_normal(len(laws))
    anywhere = np.exp(FORM.log_loss(laws, log_target - centre)[:, 0] + noise)
    compute = coordinates(log_points)[:, 0]
    tilt = np.exp(priors.TILT * (compute.max() - compute))
    widths = []
    for i, law in enumerate(laws[: prior.simulations]):
        losses = FORM.log_loss(law[None], log_points - centre)[0]
        losses = losses + priors.NOISE * tilt * rng.standard_normal(len(losses))
        posterior = infer(log_points, losses, measured=None, freedom=0, draws=600, seed=prior.seed + i)
        draws = posterior.log_loss(log_target, "run")[:, 0]
        widths.append(float(np.ptp(np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))))
    middle, half = float(np.median(anywhere)), float(np.mean(widths)) / 2
    after = Interval(float(middle * np.exp(-half)), float(middle * np.exp(half)), LEVEL)
    return quantile_interval(anywhere, LEVEL), after


def draw_laws(prior: Prior, log_points: Array, centre: Array, rng: np.random.Generator) -> Array:
    """Laws of the priors that give the plan's largest run about the guessed loss, [PRIOR_LAWS, 5]."""
    largest = log_points[log_points.sum(1).argmax()]
    floor = priors.floor_prior(float(coordinates(largest[None])[0, 0]))
    log_floor = np.log(prior.loss * floor.fraction) + floor.sd * rng.standard_normal(PRIOR_LAWS)
    log_floor = np.minimum(log_floor, np.log(0.93 * prior.loss))
    exponents = priors.EXPONENT + priors.EXPONENT_SD * rng.standard_normal((PRIOR_LAWS, 2))
    alpha, beta = np.maximum(exponents, 0.05).T
    balance = priors.BALANCE_SD * rng.standard_normal(PRIOR_LAWS)
    middle = largest.sum() / 2
    n, d = middle - np.log(20) / 2 - centre[0], middle + np.log(20) / 2 - centre[1]
    params_term = beta * np.exp(balance) / (alpha + beta * np.exp(balance))
    reducible = np.log(prior.loss - np.exp(log_floor))
    a = reducible + np.log(params_term) + alpha * n
    b = reducible + np.log1p(-params_term) + beta * d
    return np.stack([log_floor, a, b, alpha, beta], axis=1)
