"""L = E + A/N^alpha + B/D^beta + C/s^lambda + D/(s^delta N^gamma), s = active / total params (Abnar et al. 2501.12370).

A mixture of experts has N params in total, of which a share s works on a token; 1 - s is its sparsity. The first three
terms are Chinchilla's; the others are what sparsity does, alone and together with size. lambda may be negative.
"""

from itertools import product
from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import Form, bend_of_terms, best_starts, bounded_exp, log_sum, project
from chidu.stats import Array

GRID = np.array(list(product((0.2, 0.35, 0.55), (0.2, 0.35, 0.5), (-0.2, 0.3), (0.15, 0.5), (0.1, 0.25))))
"""(alpha, beta, lambda, delta, gamma) that the starts try."""


class Moe(Form):
    """theta = (log E, a, b, c, d, alpha, beta, lambda, delta, gamma) over centred logs of N, D and active params."""

    key = "moe"
    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "C", "D", "alpha", "beta", "lambda", "delta", "gamma")
    inputs = ("params", "tokens", "active_params")
    exponents = slice(5, 10)

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, c, d, alpha, beta, lam, delta, gamma = (theta_BP[:, j, None] for j in range(1, 10))
        n, tokens, s = x_IK[:, 0], x_IK[:, 1], x_IK[:, 2] - x_IK[:, 0]
        terms = [a - alpha * n, b - beta * tokens, c - lam * s, d - delta * s - gamma * n]
        log_r, share = log_sum(np.stack(terms, axis=-1))
        by_exponent = [
            share[..., 0] * n,
            share[..., 1] * tokens,
            share[..., 2] * s,
            share[..., 3] * s,
            share[..., 3] * n,
        ]
        return log_r, np.concatenate([share, -np.stack(by_exponent, axis=-1)], axis=-1)

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form."""
        n, tokens, s = x_IK[:, 0], x_IK[:, 1], x_IK[:, 2] - x_IK[:, 0]
        share = np.moveaxis(slopes_BIP, -1, 0)
        terms = (
            (share[0], ((0, 1.0),)),
            (share[1], ((1, 1.0), (5, -n))),
            (share[2], ((2, 1.0), (6, -tokens))),
            (share[3], ((3, 1.0), (7, -s))),
            (share[4], ((4, 1.0), (8, -s), (9, -n))),
        )
        return bend_of_terms(weights_BI, terms, theta_BP.shape[1])

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Exponents on a coarse grid, the linear rest projected out."""
        alpha, beta, lam, delta, gamma = (GRID[:, j, None] for j in range(5))
        n, tokens, s = x_IK[:, 0], x_IK[:, 1], x_IK[:, 2] - x_IK[:, 0]
        logs = [np.zeros((len(GRID), len(n))), -alpha * n, -beta * tokens, -lam * s, -delta * s - gamma * n]
        coefficients, misfit = project(np.exp(np.stack(logs, axis=-1)), y_I)
        return best_starts(np.column_stack([coefficients, GRID]), misfit)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, B, C, D, alpha, beta, lambda, delta, gamma."""
        logs = theta_BP[:, :5] + _shift(theta_BP[:, 5:], centre_K)
        return np.column_stack([bounded_exp(logs), theta_BP[:, 5:]])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        return np.concatenate([np.log(values_P[:5]) - _shift(values_P[None, 5:], centre_K)[0], values_P[5:]])


def _shift(exponents_BX: Array, centre_K: Array) -> Array:
    """What centring takes from log E and the four log amplitudes, [B, 5]."""
    alpha, beta, lam, delta, gamma = exponents_BX.T
    n, tokens, s = centre_K[0], centre_K[1], centre_K[2] - centre_K[0]
    return np.column_stack([np.zeros_like(alpha), alpha * n, beta * tokens, lam * s, delta * s + gamma * n])
