"""L = E + A / C^alpha over the compute of the best runs (Kaplan et al. 2001.08361, section 6.1, with a floor)."""

import numpy as np

from chidu.laws.forms.form import EXPONENT_GRID, Form, bend_of_terms, best_starts, bounded_exp, project, stack_slopes
from chidu.stats import Array


class Frontier(Form):
    """theta = (log E, a, alpha); log R = a - alpha c over the centred log c of the training FLOPs."""

    key = "frontier"
    names = ("E", "A", "alpha")
    inputs = ("flops",)
    exponents = slice(2, 3)

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, alpha = theta_BP[:, 1, None], theta_BP[:, 2, None]
        c = x_IK[:, 0]
        log_r = a - alpha * c
        return log_r, stack_slopes([np.ones_like(log_r), np.broadcast_to(-c, log_r.shape)])

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form."""
        terms = ((slopes_BIP[..., 0], ((0, 1.0),)), (slopes_BIP[..., 1], ((1, 1.0), (2, -x_IK[:, 0]))))
        return bend_of_terms(weights_BI, terms, theta_BP.shape[1])

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Every exponent on a grid, the linear rest projected out."""
        alpha = np.concatenate([[0.02, 0.035], EXPONENT_GRID])
        power = np.exp(-alpha[:, None] * x_IK[:, 0])
        coefficients, misfit = project(np.stack([np.ones_like(power), power], axis=-1), y_I)
        return best_starts(np.column_stack([coefficients, alpha]), misfit)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, alpha."""
        e, a, alpha = theta_BP.T
        return np.column_stack([bounded_exp(e), bounded_exp(a + alpha * centre_K[0]), alpha])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        e, a, alpha = values_P
        return np.array([np.log(e), np.log(a) - alpha * centre_K[0], alpha])
