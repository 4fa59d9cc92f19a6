"""One Gaussian around the most probable law, for many settings (floor, discrepancy, noise) of a form at once.

    log L_i = log(E + R(x_i; theta) exp(delta_i)) + noise_i,   delta = tau Z z + what the features miss
    noise_i ~ Student-t(4) with scale sigma_i, written as a normal of variance sigma_i^2 / lambda_i (West 1984)

With w the reducible share R / L, log L is linear in delta to first order, so z integrates out: the residuals'
covariance is S = D + V V', D diagonal, V = tau w Z. Everything below goes through the M x M matrix I + V' D^-1 V
(Woodbury). The evidence is Laplace's approximation. Suffixes: B settings, I rows, P parameters, M features.
"""

from dataclasses import dataclass

import numpy as np

from chidu.laws import priors
from chidu.laws.forms.form import Form
from chidu.stats import Array, Index

ROUNDS = 40


@dataclass(frozen=True)
class Rows:
    """A table as the posterior sees it; nothing here depends on the form."""

    x: Array
    """Logs of the inputs, centred, [I, K]."""
    y: Array
    """Log losses, [I]."""
    scale: Array
    """Noise relative to the largest runs', [I]."""
    z: Array
    """Features of the discrepancy, [I, M]."""
    missed: Array
    """Variance that the features miss, [I]."""
    balance_at: Array
    """Centred log params and tokens at the table's mean compute and 20 tokens/param, [K]."""


@dataclass(frozen=True)
class Settings:
    """What is held fixed for each law of the batch."""

    mean: Array
    """Prior means of theta, [B, P]."""
    sd: Array
    """Prior sds of theta, [B, P]."""
    tau: Array
    """Sd of the discrepancy, [B]."""
    sigma: Array
    """Scale of the noise of the largest runs, [B]."""

    def take(self, index: Index) -> "Settings":
        """Some laws of the batch."""
        return Settings(self.mean[index], self.sd[index], self.tau[index], self.sigma[index])


@dataclass(frozen=True)
class Local:
    """The model, linear around theta."""

    error: Array
    noise: Array
    """Diagonal D, [B, I]."""
    v: Array
    """tau w, [B, I]: V = v Z."""
    inner: Array
    """Inverse of I + V' D^-1 V, [B, M, M]."""
    log_det: Array
    """Of S, [B]."""
    precision: Array
    """Of theta, [B, P, P]."""
    pull: Array
    """Downhill gradient by theta, [B, P]."""


@dataclass(frozen=True)
class Modes:
    """The most probable laws of a batch."""

    theta: Array
    mixing: Array
    """Student-t weights lambda, [B, I]."""
    local: Local
    evidence: Array
    """Log evidence, [B], up to a constant common to the table."""


def _solve(rows: Rows, local: Local, error_BI: Array) -> Array:
    """S^-1 error, [B, I]."""
    plain = error_BI / local.noise
    inside = (local.inner @ ((local.v * plain) @ rows.z)[..., None])[..., 0]
    return plain - local.v / local.noise * (inside @ rows.z.T)


def _loss(form: Form, rows: Rows, settings: Settings, theta: Array, error: Array, local: Local) -> Array:
    """Minus log posterior of theta, whose residuals are given, with S held fixed, [B]."""
    balance = form.balance(theta, rows.balance_at)[0] / priors.BALANCE_SD
    prior = (((theta - settings.mean) / settings.sd) ** 2).sum(1) + balance**2
    return 0.5 * ((error * _solve(rows, local, error)).sum(1) + prior)


def _squares(z_IM: Array) -> Array:
    """Products of each row's features, every pair once, [I, M (M + 1) / 2]."""
    upper = np.triu_indices(z_IM.shape[1])
    return z_IM[:, upper[0]] * z_IM[:, upper[1]]


def _symmetric(pairs_BK: Array, features: int) -> Array:
    """Sums of `_squares` as matrices, [B, M, M]."""
    first, second = np.triu_indices(features)
    out = np.empty((len(pairs_BK), features, features))
    out[:, first, second] = out[:, second, first] = pairs_BK
    return out


def _linearise(form: Form, rows: Rows, settings: Settings, theta: Array, mixing: Array, squares_IK: Array) -> Local:
    f, share, slopes = form.gradient(theta, rows.x)
    v = settings.tau[:, None] * share
    noise = (settings.sigma[:, None] * rows.scale) ** 2 / mixing + v**2 * rows.missed
    features = rows.z.shape[1]
    inner = _symmetric(v**2 / noise @ squares_IK, features) + np.eye(features)
    inverse = np.linalg.inv(inner).astype(np.float64, copy=False)
    error = rows.y - f
    right = np.concatenate([slopes, error[..., None]], axis=-1)
    scaled = right / noise[..., None]
    cross = rows.z.T @ (scaled * v[..., None])
    products = np.swapaxes(slopes, 1, 2) @ scaled - np.swapaxes(cross[..., :-1], 1, 2) @ (inverse @ cross)
    value, gradient = form.balance(theta, rows.balance_at)
    gradient, value = gradient / priors.BALANCE_SD, value / priors.BALANCE_SD
    inverse_variance = settings.sd**-2
    precision = products[..., :-1] + inverse_variance[:, None] * np.eye(theta.shape[1])
    precision = precision + gradient[:, :, None] * gradient[:, None]
    pull = products[..., -1] + inverse_variance * (settings.mean - theta) - gradient * value[:, None]
    log_det = np.log(noise).sum(1) + np.linalg.slogdet(inner)[1]
    return Local(error, noise, v, inverse, log_det, precision, pull)


def find_modes(form: Form, rows: Rows, settings: Settings, start_BP: Array, rounds: int = ROUNDS) -> Modes:
    """Climb to the most probable theta of each setting by damped Gauss-Newton, re-weighting outliers on the way."""
    squares = _squares(rows.z)
    theta, mixing = start_BP.copy(), np.ones((len(start_BP), len(rows.y)))
    damping, moving = np.full(len(theta), 1e-3), np.arange(len(theta))
    eye = np.eye(theta.shape[1])
    for _ in range(rounds):
        part, here = settings.take(moving), theta[moving]
        local = _linearise(form, rows, part, here, mixing[moving], squares)
        diagonal = np.einsum("bii->bi", local.precision) * damping[moving, None]
        step = np.linalg.solve(local.precision + diagonal[..., None] * eye, local.pull[..., None])[..., 0]
        trial = here + np.clip(step, -0.7, 0.7)
        error = rows.y - form.log_loss(trial, rows.x)
        better = _loss(form, rows, part, trial, error, local) <= _loss(form, rows, part, here, local.error, local)
        theta[moving] = np.where(better[:, None], trial, here)
        damping[moving] = np.where(better, np.maximum(damping[moving] * 0.2, 1e-9), damping[moving] * 8 + 1e-4)
        scale = part.sigma[:, None] * rows.scale
        error = np.where(better[:, None], error, local.error)
        surprise = scale / mixing[moving] * _solve(rows, local, error)
        new = (priors.STUDENT + 1) / (priors.STUDENT + surprise**2)
        settled = better & (np.abs(step).max(1) < 2e-4) & (np.abs(new - mixing[moving]).max(1) < 2e-2)
        mixing[moving] = new
        moving = moving[~(settled | (damping[moving] > 1e6))]
        if len(moving) == 0:
            break
    local = _linearise(form, rows, settings, theta, mixing, squares)
    evidence = (
        -_loss(form, rows, settings, theta, local.error, local) - 0.5 * local.log_det - np.log(settings.sd).sum(1)
    )
    evidence = evidence - 0.5 * np.linalg.slogdet(local.precision)[1]
    evidence = evidence + (priors.STUDENT / 2 * (np.log(mixing) - mixing + 1)).sum(1)
    return Modes(theta, mixing, local, evidence)
