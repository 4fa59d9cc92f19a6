"""How the best params and tokens grow with compute, by the three approaches of Hoffmann et al. (2203.15556, section 3).

N*(C) ~ C^a and D*(C) ~ C^b, each approach with its bootstrap interval, side by side with what the forecast's own laws
say. An approach whose design the table does not have is refused alone, with the reason. Approaches 1 and 2 are biased
even without noise: sizes are few, and an isoFLOP curve is no parabola unless alpha = beta (2603.22339). How far, is
computed for the table at hand: they are run once more on the losses of the fitted law at the table's own runs, where
the answer is known. Compute is 6 params tokens throughout, so that a + b = 1.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import Refusal
from chidu.forecast.allocation import check_split, optima, reference_optimum
from chidu.forecast.holdout import budgets
from chidu.forecast.isoflop import Index, Minimum, find_minima
from chidu.laws.design import make_arrays
from chidu.laws.fit import Fit
from chidu.laws.forms import FORMS
from chidu.laws.solver import bootstrap_reference
from chidu.stats import Array, Interval, quantile_interval

LEAST_SIZES = 3
"""Sizes that an amount of compute needs before its best run says anything."""
LEAST_AMOUNTS = 3
"""Amounts of compute that an exponent is drawn through."""
LEAST_LEVER = 3.0
"""Times the compute that these must span."""
LEAST_CURVES, CURVE_ROWS = 4, 4
"""Runs with so many checkpoints each make the envelope one of training curves."""
ENVELOPE = 200
"""Amounts of compute at which the envelope of training curves is read."""
BOOTSTRAPS = 400
PLACE_SD = 0.1
"""Error of a parabola's log minimum that its own bootstrap does not know of, in the weights of the line."""
HALF = float(np.sqrt(10))
"""The forecast's own exponent is taken from this far below to this far above the budget."""


@dataclass(frozen=True)
class Approach:
    """What one approach says."""

    name: str
    a: float
    """N*(C) ~ C^a."""
    a_interval: Interval
    params: float
    """N* at the budget that was asked for."""
    params_interval: Interval
    based_on: str
    """What it was computed from, in words."""
    a_bias: float | None = None
    """What it adds to a on the fitted law's own losses at these runs; None where it is unbiased, or cannot be said."""
    params_bias: float | None = None
    """By which factor it misses the fitted law's own N* at the budget, less 1."""

    @property
    def b(self) -> float:
        """D*(C) ~ C^b."""
        return 1 - self.a

    @property
    def b_interval(self) -> Interval:
        """Of b."""
        return Interval(1 - self.a_interval.upper, 1 - self.a_interval.lower, self.a_interval.level)

    def __str__(self) -> str:
        """A line, and one for the bias."""
        line = (
            f"{self.name:<22} a {self.a:.3f} {self.a_interval}  b {self.b:.3f} {self.b_interval}  "
            f"N* {self.params:.3g} {self.params_interval}"
        )
        if self.a_bias is None or self.params_bias is None:
            return line
        return f"{line}\n{'':<22} its bias on the fitted law: {self.a_bias:+.3f} in a, {self.params_bias:+.1%} in N*"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "a": self.a,
            "a_interval": self.a_interval.to_json(),
            "b": self.b,
            "b_interval": self.b_interval.to_json(),
            "params": self.params,
            "params_interval": self.params_interval.to_json(),
            "based_on": self.based_on,
            "a_bias": self.a_bias,
            "params_bias": self.params_bias,
        }


@dataclass(frozen=True)
class Approaches:
    """The approaches side by side."""

    flops: float
    """The budget at which N* is given."""
    answered: tuple[Approach, ...]
    refused: dict[str, str]
    """Name of an approach -> why this table does not permit it."""

    def __getitem__(self, name: str) -> Approach:
        """An approach by the first word of its name, `1`, `2`, `3` or `forecast`; KeyError where it was refused."""
        return {approach.name.split()[0]: approach for approach in self.answered}[name]

    def __str__(self) -> str:
        """A table."""
        lines = [f"N* ~ C^a, D* ~ C^b, and N* at {self.flops:.3g} FLOPs:"]
        lines += [f"  {approach}".replace("\n", "\n  ") for approach in self.answered]
        lines += [f"  {name:<22} refused: {why}" for name, why in self.refused.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        answered = [approach.to_json() for approach in self.answered]
        return {"flops": self.flops, "answered": answered, "refused": self.refused}


@dataclass(frozen=True, eq=False)
class Points:
    """Best sizes at some amounts of compute: what a power law is drawn through; G amounts."""

    flops: Array
    log_params: Array
    draws: Array
    """Bootstrap of `log_params`, [B, G]; NaN where a draw has none."""
    weights: Array
    words: str


def compare_approaches(fit: Fit, *, flops: float, level: float = 0.9) -> Approaches:
    """Run every approach on the fitted rows, and give N* at a budget.

    Raises:
        InputError: flops that are not positive.
        Refusal: the runs cannot tell params from tokens at all.
    """
    check_split(fit, flops)
    answered, refused = [], {}
    for name, ask in (("1 envelope", _envelope), ("2 isoFLOP parabolas", _parabolas)):
        try:
            answered.append(_answer(name, fit, ask, flops, level))
        except Refusal as why:
            refused[name] = str(why)
    try:
        answered.append(_parametric(fit, flops, level))
    except Refusal as why:
        refused["3 parametric law"] = str(why)
    answered.append(_forecast(fit, flops, level))
    return Approaches(float(flops), tuple(answered), refused)


def _answer(name: str, fit: Fit, ask: Any, flops: float, level: float) -> Approach:
    """Approach 1 or 2: points, a line through them, its bootstrap, and its bias on the fitted law."""
    points: Points = ask(fit, np.log(fit.runs.column("loss")))
    a, log_params = _line(points, flops)
    slopes, places = _bootstrap_line(points, flops, fit.seed)
    a_bias = params_bias = None
    known = reference_optimum(fit, flops)
    if known is not None:
        try:
            shape = FORMS[fit.form]
            x, _, _ = make_arrays(fit.runs, shape)
            told = _line(ask(fit, shape.log_loss(fit.theta[None], x)[0]), flops)
            a_bias, params_bias = told[0] - known[0], float(np.expm1(told[1] - np.log(known[1])))
        except Refusal:
            pass
    ends, spread = quantile_interval(slopes, level), quantile_interval(np.exp(places), level)
    return Approach(name, a, ends, float(np.exp(log_params)), spread, points.words, a_bias, params_bias)


def _line(points: Points, flops: float) -> tuple[float, float]:
    """Exponent, and log N* at a budget, of the weighted line through the points."""
    slope, place = _lines(points.log_params[None], points.weights[None], points.flops, flops)
    return float(slope[0]), float(place[0])


def _lines(y_BG: Array, weights_BG: Array, flops_G: Array, flops: float) -> tuple[Array, Array]:
    """Weighted lines of log params over log compute: slopes, and values at a budget, [B] each."""
    x, total = np.log(flops_G), weights_BG.sum(1)
    x_mean = (weights_BG * x).sum(1) / total
    y_mean = (weights_BG * y_BG).sum(1) / total
    away = x - x_mean[:, None]
    slope = (weights_BG * away * y_BG).sum(1) / np.maximum((weights_BG * away**2).sum(1), 1e-12)
    return slope, y_mean + slope * (np.log(flops) - x_mean)


def _bootstrap_line(points: Points, flops: float, seed: int) -> tuple[Array, Array]:
    """The line again for each draw of the points, the points themselves weighted at random (Rubin 1981)."""
    rng = np.random.default_rng(seed + 1)
    there = np.isfinite(points.draws)
    weights = points.weights * rng.dirichlet(np.ones(len(points.flops)), len(points.draws)) * there
    enough = there.sum(1) >= 2
    if enough.sum() < 0.5 * len(enough):
        raise Refusal("most resamples of the runs leave fewer than two best sizes: train more sizes at each compute")
    return _lines(np.where(there, points.draws, 0.0)[enough], weights[enough], points.flops, flops)


def _check_amounts(flops: list[float], what: str, others: int = 0, why: str = "") -> None:
    """Refuse too few amounts of compute, too short a span of them, or too many others whose best size is cut off."""
    if others > len(flops) >= LEAST_AMOUNTS:
        raise Refusal(
            f"only {len(flops)} of {len(flops) + others} amounts of compute have {what}: the best size is cut off "
            f"at the others{why}, and those left would be a choice of their own"
        )
    if len(flops) < LEAST_AMOUNTS:
        raise Refusal(f"it needs {LEAST_AMOUNTS} amounts of compute with {what}, and these runs have {len(flops)}{why}")
    if max(flops) < LEAST_LEVER * min(flops):
        raise Refusal(
            f"the amounts of compute with {what} span a factor of {max(flops) / min(flops):.2g}; span 3 or more"
        )


def _sizes(fit: Fit) -> tuple[Array, Array]:
    """Params, and compute as the laws count it, of the fitted rows, [n] each."""
    params = fit.runs.column("params")
    return params, law_flops(1.0, 1.0) * params * fit.runs.column("tokens")


def _parabolas(fit: Fit, log_loss: Array) -> Points:
    """Approach 2 (section 3.2): the minimum of a parabola at each amount of compute."""
    params, flops = _sizes(fit)
    minima, without = find_minima(params, flops, log_loss, BOOTSTRAPS, fit.seed)
    why = f" ({without[0]}{', and others' if len(without) > 1 else ''})" if without else ""
    _check_amounts([m.flops for m in minima], "four sizes or more around a minimum", len(without), why)
    return _points_of(minima, "; ".join(without))


def _points_of(minima: list[Minimum], left: str) -> Points:
    draws = np.stack([m.draws for m in minima], axis=1)
    words = f"{len(minima)} isoFLOP groups of {sum(m.runs for m in minima)} runs near their minima" + (
        f"; {left}" if left else ""
    )
    weights = 1 / (draws.var(0) + PLACE_SD**2)
    return Points(np.array([m.flops for m in minima]), np.array([m.log_params for m in minima]), draws, weights, words)


def _envelope(fit: Fit, log_loss: Array) -> Points:
    """Approach 1 (section 3.1): the lowest loss at each compute, of training curves or else of finished runs."""
    curves = defaultdict(list)
    for i, run in enumerate(fit.runs):
        curves[(run.run, run.params)].append(i)
    long = [np.array(rows) for (name, _), rows in curves.items() if name and len(rows) >= CURVE_ROWS]
    if len(long) >= LEAST_CURVES:
        return _curve_envelope(fit, log_loss, long)
    return _run_envelope(fit, log_loss)


def _run_envelope(fit: Fit, log_loss: Array) -> Points:
    """The best finished run of each amount of compute, where it is neither the smallest nor the largest one tried."""
    params, flops = _sizes(fit)
    groups = [group for group in budgets(flops) if len(np.unique(params[group])) >= LEAST_SIZES]
    mean = np.array([float(np.exp(np.log(flops[group]).mean())) for group in groups])
    best = np.array([_best_size(params, log_loss, group, group) for group in groups])
    kept = [g for g in range(len(groups)) if np.isfinite(best[g])]
    _check_amounts(
        [float(mean[g]) for g in kept], "three sizes or more, an inner one the best", len(groups) - len(kept)
    )
    rng = np.random.default_rng(fit.seed)
    draws = np.empty((BOOTSTRAPS, len(kept)))
    for j, g in enumerate(kept):
        for row in range(BOOTSTRAPS):
            draws[row, j] = _best_size(params, log_loss, groups[g], rng.choice(groups[g], len(groups[g])))
    words = f"the best run of each of {len(kept)} amounts of compute"
    return Points(mean[kept], best[kept], draws, np.ones(len(kept)), words)


def _best_size(params: Array, log_loss: Array, group: Index, rows: Index) -> float:
    """Log params of the best of some rows of a group; NaN where it is the group's smallest or largest size."""
    size = params[rows[log_loss[rows].argmin()]]
    inner = params[group].min() < size < params[group].max()
    return float(np.log(size)) if inner else float("nan")


def _curve_envelope(fit: Fit, log_loss: Array, curves: list[Index]) -> Points:
    """The training curve that is lowest at each compute where several run, and not the smallest or largest of them."""
    params, flops = _sizes(fit)
    order = [curve[np.argsort(flops[curve], kind="stable")] for curve in curves]
    size = np.log(np.array([params[curve[0]] for curve in order]))
    grid = np.geomspace(flops.min(), flops.max(), ENVELOPE)
    loss_CG = np.stack(
        [np.interp(np.log(grid), np.log(flops[c]), log_loss[c], left=np.inf, right=np.inf) for c in order]
    )
    rng = np.random.default_rng(fit.seed)
    picks = rng.integers(len(order), size=(BOOTSTRAPS, len(order)))
    best = _lowest_curve(loss_CG, size)
    kept = np.flatnonzero(np.isfinite(best))
    what = "training curves of three sizes or more, an inner one the lowest"
    _check_amounts([float(grid[g]) for g in kept], what)
    draws = np.stack([_lowest_curve(loss_CG[pick], size[pick]) for pick in picks])
    words = f"the envelope of {len(order)} training curves"
    return Points(grid[kept], best[kept], draws[:, kept], np.ones(len(kept)), words)


def _lowest_curve(loss_CG: Array, size_C: Array) -> Array:
    """Log params of the lowest curve at each compute, [G]; NaN where fewer than three sizes run, or it is at an end."""
    running = np.isfinite(loss_CG)
    size = size_C[loss_CG.argmin(0)]
    smallest = np.where(running, size_C[:, None], np.inf).min(0)
    largest = np.where(running, size_C[:, None], -np.inf).max(0)
    return np.where((smallest < size) & (size < largest), size, np.nan)


def _parametric(fit: Fit, flops: float, level: float) -> Approach:
    """Approach 3 (section 3.3): a = beta / (alpha + beta) of the reference fit, and of its bootstrap."""
    if fit.form in ("tied", "repetition"):
        raise Refusal("a law of one exponent has a = 1/2 by construction; fit form chinchilla")
    known = reference_optimum(fit, flops)
    if known is None:
        raise Refusal(f"the {fit.form} law that was fitted has no optimum in closed form")
    shape = FORMS[fit.form]
    x, y, centre = make_arrays(fit.runs, shape)
    laws = bootstrap_reference(shape, fit.theta, x, y, min(BOOTSTRAPS, fit.draws), fit.seed)
    values = shape.natural(laws, centre)
    drawn = [reference_optimum(fit, flops, dict(zip(fit.names, map(float, row), strict=True))) for row in values]
    good = np.array([optimum for optimum in drawn if optimum is not None])
    if len(good) < 0.5 * len(values):
        raise Refusal("most bootstraps of the fit have an exponent of zero or less: the runs do not fix the law")
    words = f"the {fit.form} law of {len(fit.runs)} runs"
    ends, spread = quantile_interval(good[:, 0], level), quantile_interval(good[:, 1], level)
    return Approach("3 parametric law", known[0], ends, known[1], spread, words)


def _forecast(fit: Fit, flops: float, level: float) -> Approach:
    """What the forecast's own laws say around the budget, each with its own optimum."""
    below, at, above = (optima(fit, budget) for budget in (flops / HALF, flops, flops * HALF))
    span = np.log(HALF**2)
    slopes = (above.log_params - below.log_params) / span
    a = float((above.best - below.best) / span)
    ends, spread = quantile_interval(slopes, level), quantile_interval(np.exp(at.log_params), level)
    words = f"{len(slopes)} drawn laws, from a third to three times the budget"
    return Approach("forecast", a, ends, float(np.exp(at.best)), spread, words)
