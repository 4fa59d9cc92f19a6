"""L = E + (A / N^(alpha/k) + B / D^(beta/k))^k: params and tokens inside one power (Kaplan et al. 2001.08361, eq. 1.5).

Kaplan's law has k = beta and no floor; k = 1 is Chinchilla's. A and B are given as A^k and B^k, so that each term alone
is A / N^alpha and B / D^beta whatever k is.
"""

import numpy as np

from chidu.laws.forms.chinchilla import Chinchilla
from chidu.laws.forms.form import log_add, stack_slopes
from chidu.stats import Array


class Coupled(Chinchilla):
    """theta = (log E, a, b, alpha, beta, log k)."""

    key = "coupled"
    names = ("E", "A", "B", "alpha", "beta", "k")

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, alpha, beta, log_k = (theta_BP[:, j, None] for j in range(1, 6))
        k, n, d = np.exp(log_k), x_IK[:, 0], x_IK[:, 1]
        u, v = (a - alpha * n) / k, (b - beta * d) / k
        total, share = log_add(u, v)
        by_log_k = k * (total - share * u - (1 - share) * v)
        return k * total, stack_slopes([share, 1 - share, -share * n, (share - 1) * d, by_log_k])

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form. With log R = k T, T = log(exp u + exp v), R'' / R = k^2 T' T' + (k T)''."""
        a, b, alpha, beta, log_k = (theta_BP[:, j, None] for j in range(1, 6))
        k, n, d = np.exp(log_k), x_IK[:, 0], x_IK[:, 1]
        u, v = (a - alpha * n) / k, (b - beta * d) / k
        total, share = log_add(u, v)
        one = np.ones_like(share)
        apart = stack_slopes([one, -one, -n * one, d * one, k * (v - u)])
        entropy = total - share * u - (1 - share) * v
        first = stack_slopes([share, 1 - share, -share * n, (share - 1) * d, k * entropy])
        floor = slopes_BIP[..., 0]
        left = weights_BI * (1 - floor)
        out = np.zeros((len(weights_BI), 6, 6))
        out[:, 0, 0] = (weights_BI * floor).sum(1)
        for weight, slopes in ((left, first), (left * share * (1 - share) / k, apart)):
            out[:, 1:, 1:] += np.swapaxes(slopes * weight[..., None], 1, 2) @ slopes
        out[:, 5, 5] += (left * k * entropy).sum(1)
        return out

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Chinchilla's starts, with k = 1 and k = 1/2."""
        plain = super().starts(x_IK, y_I)
        return np.concatenate([np.column_stack([plain, np.full(len(plain), np.log(k))]) for k in (1.0, 0.5)])

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, B, alpha, beta, k."""
        return np.column_stack([super().natural(theta_BP[:, :5], centre_K), np.exp(theta_BP[:, 5])])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        return np.append(super().from_natural(values_P[:5], centre_K), np.log(values_P[5]))
