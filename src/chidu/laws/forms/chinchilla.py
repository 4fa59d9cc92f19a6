"""L = E + A / N^alpha + B / D^beta, N params and D tokens (Hoffmann et al. 2203.15556, eq. 2)."""

from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import (
    EXPONENT_GRID,
    Form,
    bend_of_terms,
    best_starts,
    bounded_exp,
    log_add,
    project,
    stack_slopes,
)
from chidu.stats import Array


class Chinchilla(Form):
    """theta = (log E, a, b, alpha, beta); log R = log(exp(a - alpha n) + exp(b - beta d)) over centred logs n, d."""

    key = "chinchilla"
    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta")
    inputs = ("params", "tokens")
    exponents = slice(3, 5)

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, alpha, beta = (theta_BP[:, j, None] for j in range(1, 5))
        n, d = x_IK[:, 0], x_IK[:, 1]
        log_r, share = log_add(a - alpha * n, b - beta * d)
        return log_r, stack_slopes([share, 1 - share, -share * n, (share - 1) * d])

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form."""
        floor, of_n, of_d = (slopes_BIP[..., j] for j in range(3))
        n, d = x_IK[:, 0], x_IK[:, 1]
        terms = ((floor, ((0, 1.0),)), (of_n, ((1, 1.0), (3, -n))), (of_d, ((2, 1.0), (4, -d))))
        return bend_of_terms(weights_BI, terms, theta_BP.shape[1])

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Every pair of exponents on a grid, the linear rest projected out."""
        alpha, beta = (grid.ravel() for grid in np.meshgrid(EXPONENT_GRID, EXPONENT_GRID))
        log_n, log_d = np.exp(-alpha[:, None] * x_IK[:, 0]), np.exp(-beta[:, None] * x_IK[:, 1])
        coefficients, misfit = project(np.stack([np.ones_like(log_n), log_n, log_d], axis=-1), y_I)
        return best_starts(np.column_stack([coefficients, alpha, beta]), misfit, alpha)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, B, alpha, beta."""
        e, a, b, alpha, beta = theta_BP.T
        big_a, big_b = bounded_exp(a + alpha * centre_K[0]), bounded_exp(b + beta * centre_K[1])
        return np.column_stack([bounded_exp(e), big_a, big_b, alpha, beta])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        e, a, b, alpha, beta = values_P
        return np.array([np.log(e), np.log(a) - alpha * centre_K[0], np.log(b) - beta * centre_K[1], alpha, beta])

    def balance(self, theta_BP: Array, at_K: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b = theta_BP[:, 1], theta_BP[:, 2]
        alpha, beta = np.maximum(theta_BP[:, 3:5], 0.01).T
        value = a - alpha * at_K[0] - b + beta * at_K[1] + np.log(alpha / beta)
        slopes = np.zeros_like(theta_BP)
        slopes[:, 1], slopes[:, 2] = 1.0, -1.0
        slopes[:, 3], slopes[:, 4] = 1 / alpha - at_K[0], at_K[1] - 1 / beta
        return value, slopes
