"""IsoFLOP groups of a table, and the minimum of each group's parabola (Hoffmann et al. 2203.15556, section 3.2).

Runs of nearly the same compute are one group; where their compute differs a little, a slope common to all groups takes
the difference out. The parabola of log loss in log params is fitted to the runs near the group's lowest loss.
Suffixes: n runs of a group, B bootstraps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chidu.forecast.holdout import budgets
from chidu.stats import Array

Index = NDArray[np.intp]

LEAST_RUNS = 4
"""Sizes that a parabola is fitted to: three would leave no error to judge it by."""
NEAR = 0.08
"""Log loss above the group's lowest within which runs are fitted: further out the curve is no parabola."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """The lowest point of one group's parabola."""

    flops: float
    log_params: float
    runs: int
    draws: Array
    """Bootstrap of `log_params`, [B]."""


def find_minima(params: Array, flops: Array, log_loss: Array, draws: int, seed: int) -> tuple[list[Minimum], list[str]]:
    """Minimum of every group that has one, with a bootstrap, and why the other groups have none.

    The bootstrap is Rubin's (1981): weights of a flat Dirichlet, so that few runs keep their design; its deviations are
    made sqrt(n / (n - 3)) times as large for the parabola's three coefficients.
    """
    rng = np.random.default_rng(seed)
    log_params, minima, without = np.log(params), [], []
    groups = [group for group in budgets(flops) if len(np.unique(params[group])) >= LEAST_RUNS]
    near = [_near(log_params[group], log_loss[group]) for group in groups]
    used = [group[close] for group, close in zip(groups, near, strict=True)]
    slope = _common_slope(log_params, np.log(flops), log_loss, used)
    for group in used:
        budget = float(np.exp(np.log(flops[group]).mean()))
        x, y = log_params[group], log_loss[group] - slope * np.log(flops[group] / budget)
        weights = np.concatenate([np.ones((1, len(x))), rng.dirichlet(np.ones(len(x)), draws) * len(x)])
        place, bend = _vertices(x, y, weights)
        if bend[0] <= 0 or not x.min() < place[0] < x.max():
            side = "has no minimum" if bend[0] <= 0 else "has its minimum outside its runs"
            without.append(f"the group of {budget:.3g} FLOPs {side}")
            continue
        wide = np.sqrt(len(x) / (len(x) - 3))
        reach = np.where(bend > 0, np.clip(place, 2 * x.min() - x.max(), 2 * x.max() - x.min()), place[0])
        minima.append(Minimum(budget, float(place[0]), len(x), place[0] + wide * (reach[1:] - place[0])))
    return minima, without


def _near(log_params: Array, log_loss: Array) -> NDArray[np.bool_]:
    """Which runs of a group lie near its minimum, [n]: of low loss, and at least the few nearest in size."""
    away = np.abs(log_params - log_params[log_loss.argmin()])
    sizes = np.unique(away)
    close = log_loss <= log_loss.min() + NEAR
    return np.asarray(close | (away <= sizes[min(LEAST_RUNS, len(sizes)) - 1]), dtype=bool)


def _common_slope(log_params: Array, log_flops: Array, log_loss: Array, groups: list[Index]) -> float:
    """d log loss / d log compute within groups, least squares with a parabola a group; 0 where none varies."""
    spread = np.concatenate([log_flops[group] - log_flops[group].mean() for group in groups] or [np.zeros(1)])
    rows, free = len(spread), len(spread) - 3 * len(groups) - 1
    if spread.std() < 1e-3 or free < 1:
        return 0.0
    matrix, target, start = np.zeros((rows, 3 * len(groups) + 1)), np.empty(rows), 0
    matrix[:, -1] = spread
    for g, group in enumerate(groups):
        x = log_params[group] - log_params[group].mean()
        part = slice(start, start + len(group))
        matrix[part, 3 * g : 3 * g + 3] = np.stack([np.ones_like(x), x, x**2], axis=1)
        target[part] = log_loss[group]
        start += len(group)
    return float(np.linalg.lstsq(matrix, target, rcond=None)[0][-1])


def _vertices(x: Array, y: Array, weights_Bn: Array) -> tuple[Array, Array]:
    """Vertex and curvature of weighted parabolas, [B] each."""
    middle, scale = x.mean(), max(float(np.ptp(x)), 1e-9)
    u = (x - middle) / scale
    matrix = np.stack([np.ones_like(u), u, u**2], axis=1)
    weighted = weights_Bn[:, :, None] * matrix
    left = np.swapaxes(weighted, 1, 2) @ matrix + 1e-9 * np.eye(3)
    coefficients = np.linalg.solve(left, (np.swapaxes(weighted, 1, 2) @ y)[..., None])[..., 0]
    bend = coefficients[:, 2]
    safe = np.where(np.abs(bend) > 1e-12, bend, 1e-12)
    return middle - scale * coefficients[:, 1] / (2 * safe), bend
