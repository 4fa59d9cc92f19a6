"""L = E + A / N'^alpha + B / D'^alpha: data that are read again, and params beyond what they can teach, fade in value.

Muennighoff et al. (2305.16264, eq. 5 and 6; appendix A): D' = U_D (1 + R_D* (1 - exp(-R_D / R_D*))) with U_D unique
tokens and R_D = D / U_D - 1 repetitions, and N' alike with U_N = min(N, params that are optimal for U_D) and
R_N = N / U_N - 1. With one exponent, as they fitted it, the optimum for U_D tokens is U_D (A / B)^(1/alpha) params.
Published for C4: E 1.869, A 521, B 1488, alpha 0.353 (from runs of fresh data), R_D* 15.4, R_N* 5.3.
"""

from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import EXPONENT_GRID, Form, best_starts, bounded_exp, log_add, project
from chidu.stats import Array

SMALLEST = 0.01
"""alpha is held above this: the optimum divides by it."""
HALF_LIVES = np.log([[4.0, 2.0], [15.0, 5.0], [15.0, 50.0], [60.0, 5.0]])
"""Logs of (R_D*, R_N*) that the starts try."""


class Repetition(Form):
    """theta = (log E, a, b, alpha, log R_D*, log R_N*) over n, d, u: centred logs of params, tokens, unique tokens."""

    key = "repetition"
    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "R_D", "R_N")
    inputs = ("params", "tokens", "unique_tokens")
    exponents = slice(3, 4)

    def centre(self, x_IK: Array) -> Array:
        """The means; tokens and unique tokens, which are compared, have one centre."""
        mean = x_IK.mean(0)
        return np.array([mean[0], mean[1], mean[1]])

    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """See Form."""
        a, b, raw, log_rd, log_rn = (theta_BP[:, j, None] for j in range(1, 6))
        alpha, n, d = np.maximum(raw, SMALLEST), x_IK[:, 0], x_IK[:, 1]
        unique = np.minimum(x_IK[:, 2], d)
        ratio = (a - b) / alpha
        useful = np.minimum(n, ratio + unique)
        log_n, n_by_useful, n_by_rn = _effective(useful, n, log_rn)
        log_d, _, d_by_rd = _effective(unique, d, log_rd)
        log_r, share = log_add(a - alpha * log_n, b - alpha * log_d)
        moved = share * np.where(useful < n, n_by_useful, 0.0)
        by_alpha = moved * ratio - share * log_n - (1 - share) * log_d
        slopes = [
            share - moved,
            1 - share + moved,
            np.where(raw > SMALLEST, by_alpha, 0.0),
            -alpha * (1 - share) * d_by_rd,
            -alpha * share * n_by_rn,
        ]
        return log_r, np.stack(slopes, axis=-1)

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Exponents and fading on a grid; the rest projected out, first with all params useful, then those found."""
        alpha = np.repeat(EXPONENT_GRID, len(HALF_LIVES))
        log_rd, log_rn = np.tile(HALF_LIVES, (len(EXPONENT_GRID), 1)).T
        n, d = x_IK[:, 0], x_IK[:, 1]
        unique, useful = np.minimum(x_IK[:, 2], d), np.broadcast_to(n, (len(alpha), len(n)))
        by_tokens = np.exp(-alpha[:, None] * _effective(unique, d, log_rd[:, None])[0])
        for _ in range(3):
            by_params = np.exp(-alpha[:, None] * _effective(useful, n, log_rn[:, None])[0])
            powers = np.stack([np.ones_like(by_params), by_params, by_tokens], axis=-1)
            coefficients, misfit = project(powers, y_I)
            ratio = (coefficients[:, 1] - coefficients[:, 2]) / alpha
            useful = np.minimum(n, ratio[:, None] + unique)
        return best_starts(np.column_stack([coefficients, alpha, log_rd, log_rn]), misfit)

    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """E, A, B, alpha, R_D*, R_N*."""
        e, a, b, alpha, log_rd, log_rn = theta_BP.T
        big_a, big_b = bounded_exp(a + alpha * centre_K[0]), bounded_exp(b + alpha * centre_K[1])
        return np.column_stack([bounded_exp(e), big_a, big_b, alpha, bounded_exp(log_rd), bounded_exp(log_rn)])

    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """See Form."""
        e, a, b, alpha, r_d, r_n = values_P
        log_a, log_b = np.log(a) - alpha * centre_K[0], np.log(b) - alpha * centre_K[1]
        return np.array([np.log(e), log_a, log_b, alpha, np.log(r_d), np.log(r_n)])

    def balance(self, theta_BP: Array, at_K: Array) -> tuple[Array, Array]:
        """Of fresh data and useful params: as in `tied`."""
        value = theta_BP[:, 1] - theta_BP[:, 2] - theta_BP[:, 3] * (at_K[0] - at_K[1])
        slopes = np.tile([0.0, 1.0, -1.0, at_K[1] - at_K[0], 0.0, 0.0], (len(theta_BP), 1))
        return value, slopes


def _effective(once: Array, used: Array, log_star: Array) -> tuple[Array, Array, Array]:
    """Log of the effective amount, of which exp(once) is unique and exp(used) is used; its derivatives by both logs.

    The derivatives are those by `once` (with `used` held fixed) and by `log_star`.
    """
    star, repeats = bounded_exp(log_star), np.expm1(np.minimum(used - once, 690.0))
    fading = np.exp(-repeats / star)
    gained = -star * np.expm1(-repeats / star)
    amount = 1.0 + gained
    by_once = 1.0 - fading * (repeats + 1.0) / amount
    return once + np.log(amount), by_once, (gained - repeats * fading) / amount
