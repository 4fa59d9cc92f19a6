"""L = E + c_m / m^alpha_m + c_l / l^alpha_l + c_D / D^alpha_D: width m, depth l, tokens D (Liu et al. 2602.05970).

They fitted it to the models of Hoffmann et al. and found the loss to fall about as 1 / depth. It tells whether a
model is too flat or too deep for its size; how many params a width and depth make is not its business.
"""

from itertools import product
from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import Form, bend_of_terms, best_starts, bounded_exp, log_sum, project
from chidu.stats import Array

GRID = np.array(list(product((0.3, 0.6, 1.0, 1.6), (0.3, 0.6, 1.0, 1.6), (0.2, 0.3, 0.4, 0.55))))
"""(alpha_m, alpha_l, alpha_D) that the starts try."""


class Shape(Form):
    """theta = (log E, a_m, a_l, a_D, alpha_m, alpha_l, alpha_D) over centred logs of width, depth and tokens."""

    key = "shape"
    names: ClassVar[tuple[str, ...]] = ("E", "c_m", "c_l", "c_D", "alpha_m", "alpha_l", "alpha_D")
    inputs = ("d_model", "n_layer", "tokens")
    exponents = slice(4, 7)

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        log_r, share = log_sum(theta_BP[:, None, 1:4] - theta_BP[:, None, 4:] * x_IK)
        return log_r, np.concatenate([share, -share * x_IK], axis=-1)

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form."""
        powers = [(slopes_BIP[..., 1 + j], ((1 + j, 1.0), (4 + j, -x_IK[:, j]))) for j in range(3)]
        return bend_of_terms(weights_BI, [(slopes_BIP[..., 0], ((0, 1.0),)), *powers], theta_BP.shape[1])

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Exponents on a coarse grid, the linear rest projected out."""
        powers = np.exp(-GRID[:, None] * x_IK)
        coefficients, misfit = project(np.concatenate([np.ones_like(powers[..., :1]), powers], axis=-1), y_I)
        return best_starts(np.column_stack([coefficients, GRID]), misfit)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, c_m, c_l, c_D, alpha_m, alpha_l, alpha_D."""
        logs = np.column_stack([theta_BP[:, 0], theta_BP[:, 1:4] + theta_BP[:, 4:] * centre_K])
        return np.column_stack([bounded_exp(logs), theta_BP[:, 4:]])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        amplitudes = np.log(values_P[1:4]) - values_P[4:] * centre_K
        return np.concatenate([np.log(values_P[:1]), amplitudes, values_P[4:]])
