"""The reference fit: Huber's loss on log losses, minimised for many starts or many bootstraps in one batch.

The objective is that of Besiroglu et al. (2404.10102): sum_i Huber_delta(log L_i - log L(x_i)), with delta
1e-3. So small a delta is nearly the sum of absolute errors, whose optimum sits in a corner; it is approached by damped
Gauss-Newton steps on reweighted squares, with delta brought down in steps. Suffix legend as in `forms/form.py`.
"""

from dataclasses import dataclass

import numpy as np

from chidu.laws.forms.form import Form
from chidu.stats import Array

DELTA = 1e-3
"""Where Huber's loss turns from square to absolute, in log loss (2404.10102)."""
CHUNK = 16_000
"""Rows x laws worked on at once: what fits a core's cache."""


def huber(error: Array, delta: float) -> Array:
    """Huber's loss (1964), elementwise: e^2 / 2 within delta, delta (|e| - delta / 2) outside."""
    size = np.abs(error)
    return np.where(size <= delta, 0.5 * error**2, delta * (size - 0.5 * delta))


def minimise(
    form: Form, theta_BP: Array, x_IK: Array, y_I: Array, weights_BI: Array, delta: float, iterations: int
) -> tuple[Array, Array]:
    """Damped, reweighted Gauss-Newton from each start; returns the laws reached [B, P] and their objectives [B]."""
    damping = np.full(len(theta_BP), 1e-3)
    f, _, slopes = form.gradient(theta_BP, x_IK)
    objective = (weights_BI * huber(y_I - f, delta)).sum(1)
    eye = np.eye(theta_BP.shape[1])
    for _ in range(iterations):
        error = y_I - f
        weight = weights_BI / np.maximum(np.abs(error) / delta, 1.0)
        weighted = slopes * weight[..., None]
        curvature = np.swapaxes(weighted, 1, 2) @ slopes
        pull = (np.swapaxes(weighted, 1, 2) @ error[..., None])[..., 0]
        size = np.trace(curvature, axis1=1, axis2=2)
        diagonal = np.einsum("bii->bi", curvature) * damping[:, None] + 1e-14 * size[:, None] + 1e-300
        step = np.linalg.solve(curvature + diagonal[..., None] * eye, pull[..., None])[..., 0]
        trial = theta_BP + np.clip(step, -2.0, 2.0)
        f_trial, _, slopes_trial = form.gradient(trial, x_IK)
        reached = (weights_BI * huber(y_I - f_trial, delta)).sum(1)
        better = reached < objective
        theta_BP = np.where(better[:, None], trial, theta_BP)
        f = np.where(better[:, None], f_trial, f)
        slopes = np.where(better[:, None, None], slopes_trial, slopes)
        damping = np.where(better, damping * 0.3, np.minimum(damping * 6, 1e8))
        still = (objective - reached > 1e-10 * objective) | (~better & (damping < 1e6))
        objective = np.where(better, reached, objective)
        if not still.any():
            break
    return theta_BP, objective


@dataclass(frozen=True)
class Reference:
    """The reference optimum, [P], and its objective."""

    theta: Array
    objective: float


def fit_reference(form: Form, x_IK: Array, y_I: Array) -> Reference:
    """Find the optimum of the published objective from many starts (2404.10102)."""
    ones = np.ones((1, len(y_I)))
    theta = form.starts(x_IK, y_I)
    for delta, iterations in ((0.1, 20), (0.02, 15), (0.005, 15)):
        theta, objective = minimise(form, theta, x_IK, y_I, ones, delta, iterations)
    theta, objective = minimise(form, theta, x_IK, y_I, ones, DELTA, 60)
    best = np.argsort(objective)[:2]
    theta, objective = minimise(form, theta[best], x_IK, y_I, ones, DELTA, 400)
    winner = int(np.argmin(objective))
    return Reference(theta[winner], float(objective[winner]))


def bootstrap_reference(form: Form, theta_P: Array, x_IK: Array, y_I: Array, draws: int, seed: int) -> Array:
    """Refit to resampled rows (Efron 1979), each from the reference optimum: [draws, P]."""
    rng = np.random.default_rng(seed)
    rows = len(y_I)
    weights = rng.multinomial(rows, np.full(rows, 1 / rows), draws).astype(float)
    laws = []
    for chunk in np.array_split(weights, max(1, draws * rows // CHUNK)):
        theta = np.repeat(theta_P[None], len(chunk), axis=0)
        laws.append(minimise(form, theta, x_IK, y_I, chunk, DELTA, 40)[0])
    return np.concatenate(laws)
