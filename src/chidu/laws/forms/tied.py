"""L = E + A / N^alpha + B / D^alpha: one exponent for both (as fitted by Muennighoff et al. 2305.16264)."""

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


class Tied(Form):
    """theta = (log E, a, b, alpha)."""

    key = "tied"
    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha")
    inputs = ("params", "tokens")
    exponents = slice(3, 4)

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, alpha = (theta_BP[:, j, None] for j in range(1, 4))
        n, d = x_IK[:, 0], x_IK[:, 1]
        log_r, share = log_add(a - alpha * n, b - alpha * d)
        return log_r, stack_slopes([share, 1 - share, -share * n - (1 - share) * d])

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form."""
        floor, of_n, of_d = (slopes_BIP[..., j] for j in range(3))
        terms = ((floor, ((0, 1.0),)), (of_n, ((1, 1.0), (3, -x_IK[:, 0]))), (of_d, ((2, 1.0), (3, -x_IK[:, 1]))))
        return bend_of_terms(weights_BI, terms, theta_BP.shape[1])

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Every exponent on a grid, the linear rest projected out."""
        alpha = EXPONENT_GRID
        log_n, log_d = np.exp(-alpha[:, None] * x_IK[:, 0]), np.exp(-alpha[:, None] * x_IK[:, 1])
        coefficients, misfit = project(np.stack([np.ones_like(log_n), log_n, log_d], axis=-1), y_I)
        return best_starts(np.column_stack([coefficients, alpha]), misfit)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, B, alpha."""
        e, a, b, alpha = theta_BP.T
        return np.column_stack(
            [bounded_exp(e), bounded_exp(a + alpha * centre_K[0]), bounded_exp(b + alpha * centre_K[1]), alpha]
        )

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        e, a, b, alpha = values_P
        return np.array([np.log(e), np.log(a) - alpha * centre_K[0], np.log(b) - alpha * centre_K[1], alpha])

    def balance(self, theta_BP: Array, at_K: Array) -> tuple[Array, Array]:
        """See Form."""
        value = theta_BP[:, 1] - theta_BP[:, 2] - theta_BP[:, 3] * (at_K[0] - at_K[1])
        slopes = np.tile([0.0, 1.0, -1.0, at_K[1] - at_K[0]], (len(theta_BP), 1))
        return value, slopes
