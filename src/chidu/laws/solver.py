"""The reference fit: Huber's loss on log losses, minimised for many starts or many bootstraps in one batch.

The objective is that of Besiroglu et al. (2404.10102): F = sum_i w_i Huber_delta(log L_i - log L(x_i)), with delta
1e-3. So small a delta is nearly the sum of absolute errors, whose optimum sits in a corner. It is approached with delta
brought down in steps (as Madsen and Nielsen 1993 do for absolute errors): reweighted Gauss-Newton steps while delta is
large, then Newton steps with the exact second derivatives. Those know that a row beyond delta pulls with a constant
force, so that they reach the corner in a few steps where reweighting creeps. Suffix legend as in `forms/form.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chidu.laws.forms.form import Form, weighted_sum
from chidu.laws.resample import resample
from chidu.stats import Array, Index

DELTA = 1e-3
"""Where Huber's loss turns from square to absolute, in log loss (2404.10102)."""
STAGES = ((0.1, 20), (0.02, 15), (0.005, 15))
"""The scales that come before it, and how many Gauss-Newton steps each takes at most."""
CHUNK = 16_000
"""Rows x laws worked on at once: what fits a core's cache."""
LONGEST_STEP = 2.0
"""In any parameter: logs of amplitudes, exponents."""
SETTLED = 1e-10
"""Stop where the next step promises less than this part of the objective."""
FIRST_DAMPING, LAST_DAMPING = 1e-3, 1e8

Tie = Callable[[Array, Index], tuple[Array, Array, Array]]
"""What is added to the objective: laws [B, P] and their places in the batch -> value [B], downhill gradient [B, P] and
second derivatives [B, P, P]."""


def huber(error: Array, delta: float) -> Array:
    """Huber's loss (1964), elementwise: e^2 / 2 within delta, delta (|e| - delta / 2) outside."""
    size = np.minimum(np.abs(error), delta)
    return size * (np.abs(error) - 0.5 * size)


@dataclass(frozen=True)
class _Batch:
    """What each law of a batch is fitted to."""

    form: Form
    x: Array
    y: Array
    """Log losses: the same for all, [1, I], or each law's own, [B, I]."""
    weights: Array
    """[1, I] or [B, I]."""
    delta: float
    tie: Tie | None

    def take(self, rows: Array, moving: Index) -> Array:
        """Of some laws."""
        return rows if len(rows) == 1 else rows[moving]

    def value(self, theta: Array, f: Array, moving: Index) -> Array:
        """The objective, [B]."""
        error = self.take(self.y, moving) - f
        out = (self.take(self.weights, moving) * huber(error, self.delta)).sum(1)
        return out + self.tie(theta, moving)[0] if self.tie else out

    def derivatives(self, theta: Array, f: Array, slopes: Array, moving: Index, exact: bool) -> tuple[Array, Array]:
        """Downhill gradient [B, P]; second derivatives [B, P, P], or where not `exact` those of a square above F.

        With psi = Huber's derivative, F'' = sum w (psi' + psi) s s' - sum w psi L'' / L (see `Form.bend`). The square
        above F that touches it here has w psi / error instead, and no second derivatives of the law.
        """
        error = self.take(self.y, moving) - f
        weights = np.broadcast_to(self.take(self.weights, moving), error.shape)
        size = np.abs(error)
        psi = weights * np.clip(error, -self.delta, self.delta)
        if exact:
            squares = psi + weights * (size <= self.delta)
        else:
            squares = weights / np.maximum(size / self.delta, 1.0)
        pull = weighted_sum(psi, slopes)
        curvature = np.swapaxes(slopes * squares[..., None], 1, 2) @ slopes
        if exact:
            curvature = curvature - self.form.bend(theta, self.x, psi, slopes)
        if self.tie:
            _, more_pull, more_curvature = self.tie(theta, moving)
            pull, curvature = pull + more_pull, curvature + more_curvature
        return pull, curvature


def minimise(
    form: Form,
    theta_BP: Array,
    x_IK: Array,
    y: Array,
    weights_BI: Array,
    delta: float,
    iterations: int,
    *,
    exact: bool = True,
    tie: Tie | None = None,
) -> tuple[Array, Array]:
    """Go downhill from each start by damped Newton steps; laws that have settled leave the batch.

    Args:
        form: the shape of the laws.
        theta_BP: starts.
        x_IK: centred log inputs.
        y: log losses, [I], or each law's own, [B, I].
        weights_BI: of the rows, or [1, I] for all laws.
        delta: Huber's scale.
        iterations: steps at most.
        exact: Newton's second derivatives, else reweighted Gauss-Newton: surer from afar, slower near by.
        tie: what to add to the objective.

    Returns:
        The laws reached [B, P] and their objectives [B]: none above its start's.
    """
    batch = _Batch(form, x_IK, np.atleast_2d(y), weights_BI, delta, tie)
    theta, moving = theta_BP.copy(), np.arange(len(theta_BP))
    f, _, slopes = form.gradient(theta, x_IK)
    objective = batch.value(theta, f, moving)
    damping, scale = np.full(len(theta), FIRST_DAMPING), np.zeros_like(theta)
    for _ in range(iterations):
        here = theta[moving]
        pull, curvature = batch.derivatives(here, f, slopes, moving, exact)
        scale = np.maximum(scale, np.abs(np.einsum("bii->bi", curvature)))
        step = _solve(curvature, scale, damping, pull)
        trial = here + step
        f_trial, _, slopes_trial = form.gradient(trial, x_IK)
        reached = batch.value(trial, f_trial, moving)
        before = objective[moving]
        better = reached < before
        promised = np.abs((pull * step).sum(1))
        settled = (promised <= SETTLED * before) & (damping <= 1.0) | (damping >= LAST_DAMPING) | (before == 0)
        theta[moving], objective[moving] = np.where(better[:, None], trial, here), np.where(better, reached, before)
        # a step that gained what it promised is trusted more, one that climbed is tried again, shorter
        good = before - reached > 0.25 * promised
        damping = np.where(better, damping * np.where(good, 0.2, 1.0), np.maximum(damping * 8, 1e-6))
        f, slopes = np.where(better[:, None], f_trial, f), np.where(better[:, None, None], slopes_trial, slopes)
        if settled.any():
            stay = ~settled
            moving, damping, scale, f, slopes = (part[stay] for part in (moving, damping, scale, f, slopes))
            if len(moving) == 0:
                break
    return theta, objective


def _solve(curvature: Array, scale: Array, damping: Array, pull: Array) -> Array:
    """Damped Newton step, in units in which each parameter's curvature is one; [B, P]."""
    largest = scale.max(1, keepdims=True)
    unit = 1.0 / np.sqrt(np.maximum(scale, 1e-12 * largest) + 1e-200)
    scaled = curvature * unit[:, :, None] * unit[:, None] + (damping + 1e-13)[:, None, None] * np.eye(scale.shape[1])
    right = (pull * unit)[..., None]
    try:
        step = np.linalg.solve(scaled, right)
    except np.linalg.LinAlgError:
        step = np.linalg.pinv(scaled) @ right
    return np.clip(step[..., 0] * unit, -LONGEST_STEP, LONGEST_STEP)


@dataclass(frozen=True)
class Reference:
    """The reference optimum, [P], and its objective."""

    theta: Array
    objective: float


def fit_reference(form: Form, x_IK: Array, y_I: Array) -> Reference:
    """Find the optimum of the published objective from many starts (2404.10102)."""
    ones = np.ones((1, len(y_I)))
    theta = form.starts(x_IK, y_I)
    for delta, iterations in STAGES:
        theta, _ = minimise(form, theta, x_IK, y_I, ones, delta, iterations, exact=False)
    theta, objective = minimise(form, theta, x_IK, y_I, ones, DELTA, 60)
    best = np.argsort(objective)[:2]
    theta, objective = minimise(form, theta[best], x_IK, y_I, ones, DELTA, 400)
    winner = int(np.argmin(objective))
    return Reference(theta[winner], float(objective[winner]))


def bootstrap_reference(
    form: Form,
    theta_P: Array,
    x_IK: Array,
    y_I: Array,
    draws: int,
    seed: int,
    *,
    kind: str = "runs",
    groups: Index | None = None,
) -> Array:
    """Refit to resampled tables (Efron 1979), each from the reference optimum: [draws, P].

    Args:
        form: the shape of the law.
        theta_P: the reference optimum.
        x_IK: centred log inputs.
        y_I: log losses.
        draws: how many tables.
        seed: of the resampling.
        kind: what is resampled, see `resample.py`.
        groups: the group of each row, [I], for `kind="groups"`.
    """
    fitted = form.log_loss(theta_P[None], x_IK)[0]
    laws = []
    parts = max(1, draws * len(y_I) // CHUNK)
    for weights, y in resample(kind, fitted, y_I, len(theta_P), groups, draws, seed, parts):
        count = max(len(weights), len(y))
        theta = np.repeat(theta_P[None], count, axis=0)
        laws.append(minimise(form, theta, x_IK, y, weights, DELTA, 60)[0])
    return np.concatenate(laws)
