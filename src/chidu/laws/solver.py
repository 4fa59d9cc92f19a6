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
from numpy.typing import NDArray

from chidu.laws.forms.form import Form, weighted_sum
from chidu.laws.resample import resample
from chidu.stats import Array, Index

DELTA = 1e-3
"""Where Huber's loss turns from square to absolute, in log loss (2404.10102)."""
STAGES = ((0.1, 20), (0.02, 15), (0.005, 15))
"""The scales that come before it, and how many Gauss-Newton steps each takes at most."""
CHUNK = 16_000
"""Rows x laws worked on at once: what fits a core's cache."""
PART = 4_000_000
"""Rows x tables resampled at once: what a small memory holds."""
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


@dataclass
class _Laws:
    """Laws on their way down, W of them."""

    place: Index
    """Which of the batch they are, [W]."""
    theta: Array
    f: Array
    """Log losses, [W, I]."""
    slopes: Array
    """Derivatives of `f`, [W, I, P]."""
    objective: Array
    damping: Array
    scale: Array
    """Largest curvature met so far in each parameter, [W, P]."""
    steps: Index

    def keep(self, kept: NDArray[np.bool_]) -> "_Laws":
        """Some of them."""
        return _Laws(*[value[kept] for value in vars(self).values()])

    def join(self, others: "_Laws") -> "_Laws":
        """All of both."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return _Laws(*[np.concatenate(pair) for pair in pairs])


@dataclass(frozen=True)
class _Task:
    """What each law of a batch is fitted to."""

    form: Form
    x: Array
    y: Array
    """Log losses: the same for all, [1, I], or each law's own, [B, I]."""
    weights: Array
    """[1, I] or [B, I]."""
    delta: float
    exact: bool
    tie: Tie | None

    def start(self, theta: Array, place: Index) -> _Laws:
        """Laws before their first step."""
        f, _, slopes = self.form.gradient(theta, self.x)
        count = len(place)
        damping, steps = np.full(count, FIRST_DAMPING), np.zeros(count, dtype=np.intp)
        return _Laws(place, theta, f, slopes, self.value(theta, f, place), damping, np.zeros_like(theta), steps)

    def value(self, theta: Array, f: Array, place: Index) -> Array:
        """The objective, [W]."""
        out = (_of(self.weights, place) * huber(_of(self.y, place) - f, self.delta)).sum(1)
        return out + self.tie(theta, place)[0] if self.tie else out

    def derivatives(self, laws: _Laws) -> tuple[Array, Array]:
        """Downhill gradient [W, P]; second derivatives [W, P, P], or where not `exact` those of a square above F.

        With psi = Huber's derivative, F'' = sum w (psi' + psi) s s' - sum w psi L'' / L (see `Form.bend`). The square
        above F that touches it here has w psi / error instead, and no second derivatives of the law.
        """
        error = _of(self.y, laws.place) - laws.f
        weights, size = _of(self.weights, laws.place), np.abs(error)
        psi = weights * np.clip(error, -self.delta, self.delta)
        if self.exact:
            squares = psi + weights * (size <= self.delta)
        else:
            squares = weights / np.maximum(size / self.delta, 1.0)
        pull = weighted_sum(psi, laws.slopes)
        curvature = np.swapaxes(laws.slopes * squares[..., None], 1, 2) @ laws.slopes
        if self.exact:
            curvature -= self.form.bend(laws.theta, self.x, psi, laws.slopes)
        if self.tie:
            _, more_pull, more_curvature = self.tie(laws.theta, laws.place)
            pull, curvature = pull + more_pull, curvature + more_curvature
        return pull, curvature

    def step(self, laws: _Laws) -> NDArray[np.bool_]:
        """Move each law that a damped step takes downhill; tell which have settled, [W]."""
        pull, curvature = self.derivatives(laws)
        laws.scale = np.maximum(laws.scale, np.abs(np.einsum("bii->bi", curvature)))
        step = _solve(curvature, laws.scale, laws.damping, pull)
        trial = laws.theta + step
        f, _, slopes = self.form.gradient(trial, self.x)
        reached = self.value(trial, f, laws.place)
        gain, promised = laws.objective - reached, np.abs((pull * step).sum(1))
        settled = (promised <= SETTLED * laws.objective) & (laws.damping <= 1.0)
        settled |= (laws.damping >= LAST_DAMPING) | (laws.objective == 0)
        better = gain > 0
        laws.theta[better], laws.objective[better] = trial[better], reached[better]
        laws.f[better], laws.slopes[better] = f[better], slopes[better]
        # a step that gained what it promised is trusted more; one that climbed is tried again, shorter
        trusted = np.where(gain > 0.25 * promised, 0.2, 1.0)
        laws.damping = np.where(better, laws.damping * trusted, np.maximum(laws.damping * 8, 1e-6))
        laws.steps += 1
        return settled


def _of(rows: Array, place: Index) -> Array:
    """Some laws' rows, [W, I], or the one that all share, [1, I]."""
    return rows if len(rows) == 1 else rows[place]


def _solve(curvature: Array, scale: Array, damping: Array, pull: Array) -> Array:
    """Damped Newton step, solved in units in which each parameter's curvature is one; [W, P]."""
    unit = 1.0 / np.sqrt(np.maximum(scale, 1e-12 * scale.max(1, keepdims=True)) + 1e-200)
    scaled = curvature * unit[:, :, None] * unit[:, None] + (damping + 1e-13)[:, None, None] * np.eye(scale.shape[1])
    right = (pull * unit)[..., None]
    try:
        step = np.linalg.solve(scaled, right)
    except np.linalg.LinAlgError:
        step = np.linalg.pinv(scaled) @ right
    return np.clip(step[..., 0] * unit, -LONGEST_STEP, LONGEST_STEP)


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
    """Go downhill from each start by damped Newton steps.

    A part of the batch is worked on at once; a law that has settled leaves it, and a waiting one takes its place.

    Args:
        form: the shape of the laws.
        theta_BP: starts.
        x_IK: centred log inputs.
        y: log losses, [I], or each law's own, [B, I].
        weights_BI: of the rows, or [1, I] for all laws.
        delta: Huber's scale.
        iterations: steps at most, 1 or more.
        exact: Newton's second derivatives, else reweighted Gauss-Newton: surer from afar, slower near by.
        tie: what to add to the objective.

    Returns:
        The laws reached [B, P] and their objectives [B]: none above its start's.
    """
    task = _Task(form, x_IK, np.atleast_2d(y), weights_BI, delta, exact, tie)
    width = max(1, CHUNK // len(x_IK))
    theta, objective = theta_BP.copy(), np.zeros(len(theta_BP))
    laws = task.start(theta_BP[:width], np.arange(min(width, len(theta))))
    waiting = len(laws.place)
    while len(laws.place):
        done = task.step(laws) | (laws.steps >= iterations)
        if not done.any():
            continue
        theta[laws.place[done]], objective[laws.place[done]] = laws.theta[done], laws.objective[done]
        laws = laws.keep(~done)
        if waiting < len(theta) and len(laws.place) <= 0.75 * width:
            place = np.arange(waiting, min(len(theta), waiting + width - len(laws.place)))
            laws = laws.join(task.start(theta_BP[place], place))
            waiting += len(place)
    return theta, objective


def second_derivatives(form: Form, theta_BP: Array, x_IK: Array, y_I: Array, delta: float) -> Array:
    """Exact second derivatives of the objective, [B, P, P]."""
    task = _Task(form, x_IK, y_I[None], np.ones((1, len(y_I))), delta, True, None)
    return task.derivatives(task.start(theta_BP, np.arange(len(theta_BP))))[1]


@dataclass(frozen=True)
class Reference:
    """The reference optimum, [P], and its objective."""

    theta: Array
    objective: float


def descend(form: Form, theta_BP: Array, x_IK: Array, y_I: Array) -> tuple[Array, Array]:
    """Bring starts to the published objective's optima, Huber's scale brought down in steps: laws, objectives."""
    ones = np.ones((1, len(y_I)))
    for delta, iterations in STAGES:
        theta_BP, _ = minimise(form, theta_BP, x_IK, y_I, ones, delta, iterations, exact=False)
    return minimise(form, theta_BP, x_IK, y_I, ones, DELTA, 60)


def fit_reference(form: Form, x_IK: Array, y_I: Array) -> Reference:
    """Find the optimum of the published objective from many starts (2404.10102)."""
    theta, objective = descend(form, form.starts(x_IK, y_I), x_IK, y_I)
    best = np.argsort(objective)[:2]
    theta, objective = minimise(form, theta[best], x_IK, y_I, np.ones((1, len(y_I))), DELTA, 400)
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
    parts = 1 + draws * len(y_I) // PART
    for weights, y in resample(kind, fitted, y_I, len(theta_P), groups, draws, seed, parts):
        count = max(len(weights), len(y))
        theta = np.repeat(theta_P[None], count, axis=0)
        laws.append(minimise(form, theta, x_IK, y, weights, DELTA, 60)[0])
    return np.concatenate(laws)
