"""One curve fitted by damped, reweighted Gauss-Newton: for laws that are no `Form`.

The objective is sum_i w_i Huber_delta(y_i - f_i(theta)); an infinite delta gives weighted least squares. `solver.py`
does the same for many laws of a form at once. Suffixes: I observations, P parameters.
"""

from collections.abc import Callable

import numpy as np

from chidu.stats import Array

Model = Callable[[Array], tuple[Array, Array]]
"""theta [P] -> values f [I] and derivatives [I, P]."""


def descend(
    model: Model,
    start_P: Array,
    y_I: Array,
    *,
    weights_I: Array | None = None,
    delta: float = np.inf,
    iterations: int = 200,
) -> tuple[Array, float]:
    """Go downhill from one start; returns the parameters reached, [P], and the objective there."""
    theta = np.array(start_P, dtype=float)
    weights = np.ones(len(y_I)) if weights_I is None else weights_I
    f, slopes = model(theta)
    objective, damping = _objective(weights, y_I - f, delta), 1e-3
    for _ in range(iterations):
        error = y_I - f
        weighted = slopes * (weights / np.maximum(np.abs(error) / delta, 1.0))[:, None]
        curvature, pull = weighted.T @ slopes, weighted.T @ error
        diagonal = np.diag(curvature) * damping + 1e-14 * np.trace(curvature) + 1e-300
        trial = theta + np.linalg.solve(curvature + np.diag(diagonal), pull)
        f_trial, slopes_trial = model(trial)
        reached = _objective(weights, y_I - f_trial, delta)
        if reached < objective:
            done = objective - reached < 1e-12 * objective
            theta, f, slopes, objective, damping = trial, f_trial, slopes_trial, reached, damping * 0.3
            if done:
                break
        else:
            damping *= 6
            if damping > 1e8:
                break
    return theta, objective


def _objective(weights: Array, error: Array, delta: float) -> float:
    size = np.abs(error)
    inside = 0.5 * np.minimum(size, delta) ** 2
    outside = delta * np.maximum(size - delta, 0.0) if np.isfinite(delta) else 0.0
    total = float((weights * (inside + outside)).sum())
    return total if np.isfinite(total) else np.inf
