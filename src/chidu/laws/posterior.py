"""The distribution that forecasts are drawn from.

A fit and its bootstrap claim too much: on published ladders their 90 % intervals cover about 70 %. Here several forms
(Chinchilla, tied exponents, coupled), noise scales and discrepancies are averaged by their evidence, and the floor by
its prior, with little say of the evidence (nearly a *cut* posterior, Plummer 2015: the curvature of small runs tells
little about the floor; see `priors`).
"""

from dataclasses import dataclass

import numpy as np

from chidu.laws import priors
from chidu.laws.discrepancy import Features, coordinates, make_features
from chidu.laws.forms import FORMS, Form
from chidu.laws.laplace import Index, Modes, Rows, Settings, find_modes
from chidu.stats import Array

SPLIT_FORMS = ("chinchilla", "tied", "coupled")
OWN_FORMS = ("frontier", "kaplan", "repetition")
"""Forms whose forecasts are drawn from themselves alone."""
NEAR_TOP = 1.5
"""Decades below the largest run within which the lowest losses are looked up."""


@dataclass(frozen=True)
class Draws:
    """Draws of laws of one form; S draws."""

    form: str
    theta: Array
    """[S, P]."""
    z: Array
    """Coefficients of the discrepancy's features, [S, M]."""
    tau: Array
    """Sd of the discrepancy, [S]."""
    sigma: Array
    """Sd of one run around the law, [S]."""
    node: Index
    """Which node of the floor's prior a draw belongs to, [S]."""
    normal: Array
    """For the discrepancy that the features miss a standard normal, and for the run's noise a Student-t, [S, 2].

    They are the same for every target, so that a target's draws do not depend on which others are asked for."""


@dataclass(frozen=True)
class Posterior:
    """Draws of laws around one table."""

    parts: tuple[Draws, ...]
    weights: dict[str, float]
    """Posterior weight of each form."""
    features: Features
    centre: Array
    """Means of the log inputs, [K]."""
    top: float
    """Log10 compute of the largest run."""

    def log_loss(self, x_TK: Array, of: str) -> Array:
        """Draws of the log loss at natural-log inputs, [S, T]: of the law there, or of one new run."""
        z, missed = self.features.at(coordinates(x_TK))
        out = []
        for part in self.parts:
            log_law, log_r = _law(part, x_TK - self.centre)
            share = np.exp(log_r - log_law)
            values = log_law + share * part.tau[:, None] * (part.z @ z.T)
            if of == "run":
                gap = share * (part.tau * part.normal[:, 0])[:, None] * np.sqrt(missed)
                noise = np.sqrt(part.sigma**2 + priors.RUN_FLOOR**2) * part.normal[:, 1]
                values = values + gap + noise[:, None]
            out.append(values)
        return np.concatenate(out)

    def missed_covariance(self, x_TK: Array, y_CK: Array) -> Array:
        """Covariance of the part of the discrepancy that the draws of the law do not carry, of log losses, [T, C]."""
        kernel = self.features.missed_covariance(coordinates(x_TK), coordinates(y_CK))
        total, count = np.zeros_like(kernel), 0
        for part in self.parts:
            shares = []
            for x in (x_TK, y_CK):
                log_law, log_r = _law(part, x - self.centre)
                shares.append(part.tau[:, None] * np.exp(log_r - log_law))
            total += shares[0].T @ shares[1]
            count += len(part.tau)
        return kernel * total / count

    @property
    def nodes(self) -> Index:
        """Node of the floor's prior of each draw, [S]."""
        return np.concatenate([part.node for part in self.parts])

    @property
    def sigma(self) -> Array:
        """Sd of one run near the top, of each draw, [S]."""
        return np.concatenate([part.sigma for part in self.parts])

    @property
    def normal(self) -> Array:
        """A standard normal a draw, [S]."""
        return np.concatenate([part.normal[:, 0] for part in self.parts])

    @property
    def floor(self) -> Array:
        """The floor E of each draw, nats per token, [S]; zero where the form has none."""
        parts = [np.exp(part.theta[:, 0]) if FORMS[part.form].floor else 0 * part.tau for part in self.parts]
        return np.concatenate(parts)


def _law(part: Draws, x_TK: Array) -> tuple[Array, Array]:
    """Log loss and log reducible loss of each draw, [S, T]."""
    form = FORMS[part.form]
    log_r, _ = form.log_reducible(part.theta, x_TK)
    return np.logaddexp(part.theta[:, :1], log_r) if form.floor else log_r, log_r


def drawn_forms(key: str) -> tuple[str, ...]:
    """The forms that forecasts of a fit of one form average; none where chidu draws no forecasts from it."""
    if key in SPLIT_FORMS or key == "overtraining":
        return SPLIT_FORMS
    return (key,) if key in OWN_FORMS else ()


def infer(
    x_IK: Array,
    y_I: Array,
    *,
    measured: float | None,
    freedom: int,
    draws: int,
    seed: int,
    forms: tuple[str, ...] | None = None,
) -> Posterior:
    """Draw laws from the posterior of log losses y at natural-log inputs x (params and tokens, or flops).

    Args:
        x_IK: logs of the inputs, [I, K].
        y_I: logs of the losses, [I].
        measured: sd of the log loss between replicated runs, or None.
        freedom: degrees of freedom behind it.
        draws: how many.
        seed: of the draws.
        forms: the forms to average; by default those for the columns of x.
    """
    keys = forms or (SPLIT_FORMS if x_IK.shape[1] == 2 else ("frontier",))
    # The features stand on rows that are picked one by one: sorted, the table's own order decides nothing.
    order = np.lexsort((y_I, *x_IK.T))
    x_IK, y_I = x_IK[order], y_I[order]
    u = coordinates(x_IK)
    compute, features = u[:, 0], make_features(u)
    top, centre = float(compute.max()), FORMS[keys[0]].centre(x_IK)
    z, missed = features.at(u)
    rows = Rows(x_IK - centre, y_I, np.exp(priors.TILT * (top - compute)), z, missed, _balance_point(centre))
    parts = [_modes(FORMS[key], rows, compute, measured, freedom) for key in keys]
    weights = _weigh(parts, floor_prior_of(compute).evidence)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(draws, weights.ravel()).reshape(weights.shape)
    drawn = [_draw(FORMS[key], rows, *part, count, rng) for key, part, count in zip(keys, parts, counts, strict=True)]
    shares = {key: float(w) for key, w in zip(keys, weights.sum(1), strict=True)}
    return Posterior(tuple(d for d in drawn if len(d.tau)), shares, features, centre, top)


def floor_prior_of(compute_I: Array) -> priors.Floor:
    """The floor's prior for a table of these log10 FLOPs."""
    return priors.floor_prior(float(compute_I.max()))


def _balance_point(centre_K: Array) -> Array:
    if len(centre_K) == 1:
        return np.zeros(1)
    middle = centre_K[:2].sum() / 2
    return np.array([middle - np.log(20) / 2, middle + np.log(20) / 2]) - centre_K[:2]


def _modes(form: Form, rows: Rows, compute: Array, measured: float | None, freedom: int) -> tuple[Modes, Settings]:
    """The most probable law of each setting: nodes of the floor x discrepancies x noises, flattened in that order."""
    means, sds = _node_priors(form, rows, compute)
    taus = priors.DISCREPANCY_GRID * floor_prior_of(compute).discrepancy
    nodes, sigmas = len(means), priors.NOISE_GRID[::-1]
    node, tau, sigma = (
        grid.ravel() for grid in np.meshgrid(np.arange(nodes), np.arange(len(taus)), sigmas, indexing="ij")
    )
    settings = Settings(means[node.astype(int)], sds[node.astype(int)], taus[tau.astype(int)], sigma)
    first = np.flatnonzero(sigma == sigmas[0])
    loud = find_modes(form, rows, settings.take(first), settings.mean[first], rounds=8)
    modes = find_modes(form, rows, settings, np.repeat(loud.theta, len(sigmas), axis=0))
    prior = priors.log_noise_prior(sigma, measured, freedom)
    return Modes(modes.theta, modes.mixing, modes.local, modes.evidence + prior), settings


def _node_priors(form: Form, rows: Rows, compute: Array) -> tuple[Array, Array]:
    """Prior means and sds of theta for each node of the floor's prior, [nodes, P]."""
    loss, floor = np.exp(rows.y), floor_prior_of(compute)
    lowest = float(np.quantile(loss[compute > compute.max() - NEAR_TOP], 0.1))
    means, sds = [], []
    for offset in priors.NODES:
        log_floor = np.log(lowest * floor.fraction) + offset * floor.sd
        log_floor = min(log_floor, float(np.log(0.93 * loss.min())))
        reducible = max(float(np.median(loss)) - np.exp(log_floor), 0.2 * lowest)
        mean, sd = priors.parameter_prior(form, floor, log_floor, lowest, reducible)
        means.append(mean)
        sds.append(sd)
    return np.array(means), np.array(sds)


def _weigh(parts: list[tuple[Modes, Settings]], power: float) -> Array:
    """Weights of forms x settings, [forms, B], summing to one: evidence within a node, the prior between nodes."""
    evidence = np.stack([modes.evidence for modes, _ in parts]).reshape(len(parts), len(priors.NODES), -1)
    weight = np.exp(evidence - evidence.max())
    total = np.maximum(weight.sum((0, 2)), 1e-300)
    node = priors.NODE_WEIGHTS * total**power
    weight = weight * (node / node.sum() / total)[None, :, None]
    weight = weight / weight.sum()
    return weight.reshape(len(parts), -1)


def _draw(form: Form, rows: Rows, modes: Modes, settings: Settings, counts_B: Index, rng: np.random.Generator) -> Draws:
    """Draw theta from each setting's Gaussian, then the discrepancy's coefficients given theta and the rows."""
    theta, z = [], []
    for b in np.flatnonzero(counts_B):
        local, count = modes.local, int(counts_B[b])
        root = np.linalg.cholesky(local.precision[b])
        shift = np.linalg.solve(root.T, rng.standard_normal((root.shape[0], count))).T
        law = modes.theta[b] + shift
        law[:, form.exponents] = np.maximum(law[:, form.exponents], 0.03)
        error = rows.y - form.log_loss(law, rows.x)
        known = (error * local.v[b] / local.noise[b]) @ rows.z @ local.inner[b]
        spread = np.linalg.cholesky(local.inner[b])
        theta.append(law)
        z.append(known + rng.standard_normal((count, spread.shape[0])) @ spread.T)
    index = np.repeat(np.arange(len(counts_B)), counts_B)
    empty = (np.zeros((0, modes.theta.shape[1])), np.zeros((0, rows.z.shape[1])))
    return Draws(
        form.key,
        np.concatenate(theta) if theta else empty[0],
        np.concatenate(z) if z else empty[1],
        settings.tau[index],
        settings.sigma[index],
        index // (len(counts_B) // len(priors.NODES)),
        np.stack([rng.standard_normal(len(index)), rng.standard_t(priors.STUDENT, len(index))], axis=1),
    )
