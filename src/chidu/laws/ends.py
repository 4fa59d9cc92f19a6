"""Where a metric's sigmoid ends: drawn, because the runs of a ladder seldom show it.

Least squares puts a ceiling that no run has neared just above the best run, and so forecasts that nothing more will be
gained. As with the floor of a law of the loss, small runs' curvature is therefore not let to speak about the ends: they
are drawn from a prior between the runs and what is possible, those that the runs contradict are dropped, and the two
other parameters are fitted to each. Shapes: R runs, B draws.
"""

from dataclasses import dataclass

import numpy as np

from chidu.stats import Array

PROPOSALS = 2000
"""Pairs of ends that are drawn from the prior."""
CONTRADICTED = 9.0
"""Rise of the misfit over the best ends', in squared noise, from which ends are dropped: three standard deviations."""
SHOWN = 0.005
"""Of the proposals, the part below which the runs show the ends better than the prior does."""
EDGE = 0.02
"""How near to an end the start of a fit is put, where a run lies on it or beyond."""
STEPS = 30


@dataclass(frozen=True)
class Range:
    """What a metric's ends may be, turned so that a larger value is better."""

    low: float
    """Its worst value; known to be the floor where `floor_known`."""
    high: float
    """Its best value."""
    floor_known: bool


def draw_curves(
    loss_R: Array, value_R: Array, range_: Range, noise: float, *, best_misfit: float, draws: int, seed: int
) -> Array | None:
    """Plausible sigmoids as (floor, ceiling, k, L_mid), [B, 4]; None where the runs show their own ends.

    The ceiling is drawn between the best run and the best value, more often near the latter: high - (high - best run)
    u², u uniform; an unknown floor uniformly between the worst value and the worst run. Runs are weighted by a Bayesian
    bootstrap (Rubin 1981), whose spread is widened by √(R / (R - 2)) for the two parameters that each draw fits.

    Args:
        loss_R: nats per token.
        value_R: the metric, larger is better.
        range_: see `Range`.
        noise: sd of a run around the curve.
        best_misfit: sum of squares of the best curve with free ends.
        draws: how many curves.
        seed: of all of it.
    """
    rng = np.random.default_rng(seed)
    ends = _propose(value_R, range_, rng)
    fitted = fit_between(loss_R, value_R, np.ones((PROPOSALS, len(loss_R))), ends)
    limit = max(min(best_misfit, float(fitted[:, 2].min())), 0.0) + CONTRADICTED * noise**2
    kept = np.flatnonzero(fitted[:, 2] <= limit)
    if len(kept) < SHOWN * PROPOSALS:
        return None
    chosen = rng.choice(kept, draws)
    weights = rng.exponential(size=(draws, len(loss_R)))
    weights *= len(loss_R) / weights.sum(axis=1, keepdims=True)
    moved = fit_between(loss_R, value_R, weights, ends[chosen])
    wider = np.sqrt(len(loss_R) / (len(loss_R) - 2))
    lines = fitted[chosen, :2] + wider * (moved[:, :2] - fitted[chosen, :2])
    slope = np.where(np.abs(lines[:, 1]) < 1e-9, -1e-9, lines[:, 1])
    middle = loss_R.mean() - lines[:, 0] / slope
    return np.column_stack([ends[chosen], -slope, middle])


def _propose(value_R: Array, range_: Range, rng: np.random.Generator) -> Array:
    """Floors and ceilings from the prior, [PROPOSALS, 2]."""
    room = max(range_.high - float(value_R.max()), 0.0)
    ceilings = range_.high - room * rng.uniform(size=PROPOSALS) ** 2
    lowest = max(float(value_R.min()), range_.low)
    floors = rng.uniform(range_.low, range_.low if range_.floor_known else lowest, size=PROPOSALS)
    return np.column_stack([floors, ceilings])


def fit_between(loss_R: Array, value_R: Array, weights_BR: Array, ends_B2: Array) -> Array:
    """Fit value = floor + (ceiling - floor) / (1 + exp(-(a + b (L - mean L)))) for many ends at once.

    Returns:
        a, b and the weighted sum of squares of each, [B, 3].
    """
    x_R = loss_R - loss_R.mean()
    floor, span = ends_B2[:, :1], np.maximum(ends_B2[:, 1:] - ends_B2[:, :1], 1e-9)
    line = _start(x_R, np.clip((value_R - floor) / span, EDGE, 1 - EDGE), weights_BR)
    height, error = _heights(line, x_R, floor, span, value_R)
    misfit, damping = (weights_BR * error**2).sum(axis=1), np.full(len(line), 1e-3)
    for _ in range(STEPS):
        slope = span * height * (1 - height)
        moved = line + _step(weights_BR, slope, error, x_R, damping)
        tried, error_there = _heights(moved, x_R, floor, span, value_R)
        reached = (weights_BR * error_there**2).sum(axis=1)
        better = reached < misfit
        line, misfit = np.where(better[:, None], moved, line), np.where(better, reached, misfit)
        height, error = np.where(better[:, None], tried, height), np.where(better[:, None], error_there, error)
        damping = np.where(better, damping / 3, damping * 4)
    return np.column_stack([line, misfit])


def _start(x_R: Array, part_BR: Array, weights_BR: Array) -> Array:
    """Weighted least squares on log odds, [B, 2]."""
    odds = np.log(part_BR / (1 - part_BR))
    total = weights_BR.sum(axis=1)
    mean_x, mean_z = (weights_BR * x_R).sum(axis=1) / total, (weights_BR * odds).sum(axis=1) / total
    away = x_R - mean_x[:, None]
    slope = (weights_BR * away * odds).sum(axis=1) / np.maximum((weights_BR * away**2).sum(axis=1), 1e-12)
    return np.column_stack([mean_z - slope * mean_x, slope])


def _heights(line_B2: Array, x_R: Array, floor: Array, span: Array, value_R: Array) -> tuple[Array, Array]:
    """How far up the sigmoid the runs stand, 0 to 1, and how far the value lies above them, [B, R] each."""
    height = 1 / (1 + np.exp(-np.clip(line_B2[:, :1] + line_B2[:, 1:] * x_R, -40, 40)))
    return height, value_R - floor - span * height


def _step(weights: Array, slope: Array, error: Array, x_R: Array, damping: Array) -> Array:
    """A damped Gauss-Newton step of a and b, [B, 2]."""
    aa, ab, bb = ((weights * slope**2 * part).sum(axis=1) for part in (1.0, x_R, x_R**2))
    pull_a, pull_b = (weights * slope * error).sum(axis=1), (weights * slope * error * x_R).sum(axis=1)
    aa, bb = aa * (1 + damping), bb * (1 + damping)
    scale = np.maximum(aa * bb - ab**2, 1e-300)
    return np.column_stack([bb * pull_a - ab * pull_b, aa * pull_b - ab * pull_a]) / scale[:, None]
