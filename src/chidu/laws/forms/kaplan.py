"""L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D: no floor (Kaplan et al. 2001.08361, eq. 1.5).

Published for WebText2, without embeddings: alpha_N 0.076, N_c 6.4e13, alpha_D 0.103, D_c 1.8e13 (table 2). Without
a floor the law says that the loss goes to nothing; beyond the runs it promises too much, which `coupled` mends.
"""

from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import Form, best_starts, bounded_exp, log_add, project
from chidu.stats import Array

GRID = np.array([0.03, 0.05, 0.075, 0.1, 0.14, 0.2, 0.3, 0.45])
"""Exponents that the starts try; without a floor they come out smaller than with one."""
SMALLEST = 0.01
"""alpha_D is held above this: the law divides by it."""


class Kaplan(Form):
    """theta = (a, b, alpha, beta): log L = beta log(exp((a - alpha n) / beta) + exp(b / beta - d))."""

    key = "kaplan"
    names: ClassVar[tuple[str, ...]] = ("N_c", "D_c", "alpha_N", "alpha_D")
    inputs = ("params", "tokens")
    exponents = slice(2, 4)
    floor = False

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, alpha, raw = (theta_BP[:, j, None] for j in range(4))
        n, d, beta = x_IK[:, 0], x_IK[:, 1], np.maximum(raw, SMALLEST)
        u = (a - alpha * n) / beta
        total, share = log_add(u, b / beta - d)
        by_beta = np.where(raw > SMALLEST, total - share * u - (1 - share) * b / beta, 0.0)
        return beta * total, np.stack([share, 1 - share, -share * n, by_beta], axis=-1)

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form. (log L)'' = beta p (1 - p) w w', w = u' - v' of the two exponents u, v, and p the share of u."""
        a, b, alpha, raw = (theta_BP[:, j, None] for j in range(4))
        n, d, beta = x_IK[:, 0], x_IK[:, 1], np.maximum(raw, SMALLEST)
        u = (a - alpha * n) / beta
        share = log_add(u, b / beta - d)[1]
        one = np.ones_like(share)
        apart = np.stack([one, -one, -n * one, np.where(raw > SMALLEST, b / beta - u, 0.0)], axis=-1)
        out = np.swapaxes(slopes_BIP * weights_BI[..., None], 1, 2) @ slopes_BIP
        return out + np.swapaxes(apart * (weights_BI * share * (1 - share) / beta)[..., None], 1, 2) @ apart

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Every pair of exponents on a grid; the linear rest of L^(1/beta) projected out."""
        alpha, beta = (grid.ravel() for grid in np.meshgrid(GRID, GRID))
        by_params = np.exp(-(alpha / beta)[:, None] * x_IK[:, 0])
        by_tokens = np.broadcast_to(np.exp(-x_IK[:, 1]), by_params.shape)
        coefficients, misfit = project(np.stack([by_params, by_tokens], axis=-1), y_I / beta[:, None])
        return best_starts(np.column_stack([beta[:, None] * coefficients, alpha, beta]), misfit * beta**2)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """N_c, D_c, alpha_N, alpha_D."""
        a, b, alpha, beta = theta_BP.T
        beta = np.maximum(beta, SMALLEST)
        size = np.where(np.abs(alpha) < 1e-6, 1e-6, alpha)
        return np.column_stack([bounded_exp(a / size + centre_K[0]), bounded_exp(b / beta + centre_K[1]), alpha, beta])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        n_c, d_c, alpha, beta = values_P
        return np.array([alpha * (np.log(n_c) - centre_K[0]), beta * (np.log(d_c) - centre_K[1]), alpha, beta])
