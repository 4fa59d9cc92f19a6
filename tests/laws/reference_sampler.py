"""A slow, exact sampler of the model in `chidu.laws.posterior`, to hold the fast path to.

Metropolis-within-Gibbs over form, law, discrepancy, its size, the noise and every row's Student weight, for one node of
the floor's prior; many chains side by side. Nothing is approximated but that the discrepancy acts linearly on the log
loss, as the model says of itself; what its features miss of the rows is below 1e-4 here and left out.

    1. form, theta, tau, sigma together, proposed from wide Gaussians around the modes (an independence sampler)
    2. tau and sigma alone
    3. the discrepancy's coefficients, and every row's weight, from their conditionals
"""

from dataclasses import dataclass

import numpy as np

from chidu.laws import priors
from chidu.laws.forms import FORMS
from chidu.laws.laplace import Rows
from chidu.stats import Array

WIDEN = 1.3
"""Proposals' sds over the modes'."""


@dataclass
class Proposal:
    """The modes of all forms and settings of one node, as a mixture to propose from."""

    keys: list
    theta: list
    root: list
    """Of the covariance, one array [B, P, P] a form."""
    settings: list
    log_weight: Array
    """[forms, B], sums to one when exponentiated."""


def make_proposal(parts, keys, node, nodes):
    """Take one node out of what `posterior._modes` found."""
    theta, root, settings, evidence = [], [], [], []
    for modes, every in parts:
        each = len(every.tau) // nodes
        part = slice(node * each, (node + 1) * each)
        covariance = np.linalg.inv(modes.local.precision[part])
        theta.append(modes.theta[part])
        root.append(np.linalg.cholesky(covariance) * WIDEN)
        settings.append(every.take(np.arange(len(every.tau))[part]))
        evidence.append(modes.evidence[part])
    weight = np.array(evidence)
    weight = weight - weight.max()
    weight = np.maximum(weight, -4.0)  # proposals that reach every setting
    return Proposal(list(keys), theta, root, settings, weight - np.log(np.exp(weight).sum()))


class Chains:
    """C chains of one node."""

    def __init__(self, rows: Rows, proposal: Proposal, measured, freedom, count: int, seed: int) -> None:
        self.rows, self.q, self.rng, self.count = rows, proposal, np.random.default_rng(seed), count
        self.noise_prior = lambda sigma: priors.log_noise_prior(sigma, measured, freedom)
        self.mixing = np.ones((count, len(rows.y)))
        self.state = self.propose()
        self.target = self.log_target(self.state)

    def propose(self):
        """Form, setting and theta of every chain, and the log density of proposing them."""
        flat = np.exp(self.q.log_weight).ravel()
        pick = self.rng.choice(len(flat), size=self.count, p=flat / flat.sum())
        form, setting = np.divmod(pick, self.q.log_weight.shape[1])
        theta = np.zeros((self.count, 6))
        for c in range(self.count):
            mode, root = self.q.theta[form[c]][setting[c]], self.q.root[form[c]][setting[c]]
            theta[c, : len(mode)] = mode + root @ self.rng.standard_normal(len(mode))
        return self.with_density(form, setting, theta)

    def with_density(self, form, setting, theta):
        """The log density of proposing this form and theta with this setting."""
        density = np.zeros(self.count)
        for c in range(self.count):
            mode, root = self.q.theta[form[c]][setting[c]], self.q.root[form[c]][setting[c]]
            z = np.linalg.solve(root, theta[c, : len(mode)] - mode)
            density[c] = self.q.log_weight[form[c], setting[c]] - 0.5 * z @ z - np.log(np.diag(root)).sum()
            density[c] -= 0.5 * len(mode) * np.log(2 * np.pi)
        return form, setting, theta, density

    def law(self, form, theta, x):
        """Log loss and reducible share, [C, I]."""
        f, share = np.zeros((self.count, len(x))), np.zeros((self.count, len(x)))
        for k, key in enumerate(self.q.keys):
            here = form == k
            if here.any():
                shape = FORMS[key]
                f[here], share[here], _ = shape.gradient(theta[here][:, : len(shape.names)], x)
        return f, share

    def scales(self, setting):
        """Tau and sigma, [C] each; they are the same for every form."""
        return self.q.settings[0].tau[setting], self.q.settings[0].sigma[setting]

    def log_prior(self, form, setting, theta):
        """Of theta given the form, and of the noise."""
        out = self.noise_prior(self.scales(setting)[1])
        for c in range(self.count):
            settings, shape = self.q.settings[form[c]], FORMS[self.q.keys[form[c]]]
            mean, sd = settings.mean[setting[c]], settings.sd[setting[c]]
            own = theta[c, : len(mean)]
            balance = shape.balance(own[None], self.rows.balance_at)[0][0] / priors.BALANCE_SD
            out[c] -= 0.5 * (((own - mean) / sd) ** 2).sum() + np.log(sd).sum() + 0.5 * balance**2
            out[c] -= 0.5 * len(mean) * np.log(2 * np.pi)
        return out

    def log_target(self, state):
        """Log of prior x likelihood given the rows' weights, the discrepancy integrated out."""
        form, setting, theta, _ = state
        tau, sigma = self.scales(setting)
        f, share = self.law(form, theta, self.rows.x)
        v = (tau[:, None] * share)[..., None] * self.rows.z
        covariance = v @ np.swapaxes(v, 1, 2)
        noise = (sigma[:, None] * self.rows.scale) ** 2 / self.mixing
        covariance[:, np.arange(len(self.rows.y)), np.arange(len(self.rows.y))] += noise
        error = self.rows.y - f
        inverse = np.linalg.solve(covariance, error[..., None])[..., 0]
        fit = -0.5 * (error * inverse).sum(1) - 0.5 * np.linalg.slogdet(covariance)[1]
        return fit + self.log_prior(form, setting, theta)

    def accept(self, state, log_ratio, target) -> float:
        """Metropolis and Hastings' rule; returns how often it said yes."""
        yes = np.log(self.rng.random(self.count)) < log_ratio
        old = self.state
        mix = [np.where(yes if new.ndim == 1 else yes[:, None], new, was) for new, was in zip(state, old, strict=True)]
        self.state, self.target = tuple(mix), np.where(yes, target, self.target)
        return float(yes.mean())

    def step(self) -> float:
        """One sweep; returns the acceptance of the large move."""
        self.target = self.log_target(self.state)
        new = self.propose()
        target = self.log_target(new)
        accepted = self.accept(new, target - self.target - new[3] + self.state[3], target)
        form, _, theta, _ = self.state
        other = self.rng.integers(self.q.log_weight.shape[1], size=self.count)
        new = self.with_density(form, other, theta)
        target = self.log_target(new)
        self.accept(new, target - self.target, target)
        self.draw_rest()
        return accepted

    def draw_rest(self) -> None:
        """The discrepancy's coefficients given all else, then the rows' weights given them."""
        form, setting, theta, _ = self.state
        tau, sigma = self.scales(setting)
        f, share = self.law(form, theta, self.rows.x)
        v, error = (tau[:, None] * share)[..., None] * self.rows.z, self.rows.y - f
        scale = sigma[:, None] * self.rows.scale
        precision = np.swapaxes(v, 1, 2) @ (v * (self.mixing / scale**2)[..., None]) + np.eye(v.shape[2])
        mean = np.linalg.solve(precision, np.swapaxes(v, 1, 2) @ (error * self.mixing / scale**2)[..., None])[..., 0]
        normal = self.rng.standard_normal(mean.shape)
        root = np.swapaxes(np.linalg.cholesky(precision), 1, 2)
        self.z = mean + np.linalg.solve(root, normal[..., None])[..., 0]
        left = (error - (v @ self.z[..., None])[..., 0]) / scale
        self.mixing = self.rng.gamma((priors.STUDENT + 1) / 2, 2 / (priors.STUDENT + left**2))

    def log_loss(self, x, z_features) -> Array:
        """Log loss of the law at one point, [C]."""
        form, setting, theta, _ = self.state
        f, share = self.law(form, theta, x[None])
        return f[:, 0] + share[:, 0] * self.scales(setting)[0] * (self.z @ z_features)
