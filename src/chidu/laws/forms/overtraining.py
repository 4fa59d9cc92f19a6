"""L = E + (a M^eta + b M^-eta) C^-eta, M = D / N tokens per param, C = 6 N D (Gadre et al. 2403.08540, eq. 4).

Written over N and D this is `tied` with alpha = 2 eta, A = a / 6^eta, B = b / 6^eta: over-training, M above its best,
raises the loss at equal compute, by the same factor at every scale. It is fitted as such; only the names differ.
"""

from typing import ClassVar

import numpy as np

from chidu.laws.forms.tied import Tied
from chidu.stats import Array

LOG_6 = float(np.log(6.0))


class Overtraining(Tied):
    """theta = (log E, log A, log B, alpha) of `tied`."""

    key = "overtraining"
    names: ClassVar[tuple[str, ...]] = ("E", "a", "b", "eta")

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, a, b, eta."""
        e, big_a, big_b, alpha = super().natural(theta_BP, centre_K).T
        six = np.exp(np.clip(alpha / 2 * LOG_6, -690, 690))
        return np.column_stack([e, big_a * six, big_b * six, alpha / 2])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        e, a, b, eta = values_P
        six = 6.0**eta
        return super().from_natural(np.array([e, a / six, b / six, 2 * eta]), centre_K)
