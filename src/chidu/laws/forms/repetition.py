"""L = E + A / N'^alpha + B / D'^alpha: data that are read again, and params beyond what they can teach, fade in value.

Muennighoff et al. (2305.16264, eq. 5 and 6; appendix A): D' = U_D (1 + R_D* (1 - exp(-R_D / R_D*))) with U_D unique
tokens and R_D = D / U_D - 1 repetitions, and N' alike with U_N = min(N, params that are optimal for U_D) and
R_N = N / U_N - 1. With one exponent, as they fitted it, the optimum for U_D tokens is U_D (A / B)^(1/alpha) params.
Published for C4: E 1.869, A 521, B 1488, alpha 0.353 (from runs of fresh data), R_D* 15.4, R_N* 5.3.
"""

from typing import ClassVar

import numpy as np

from chidu.laws.forms.form import EXPONENT_GRID, Form, best_starts, bounded_exp, log_add, project, stack_slopes
from chidu.stats import Array

SMALLEST = 0.01
"""alpha is held above this: the optimum divides by it."""
Second = dict[tuple[int, int], Array]
"""Second derivatives by two places in theta, [B, I] each; the smaller place first."""
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
        parts = _Parts(theta_BP, x_IK)
        of_n, of_d = parts.slopes()
        return parts.log_r, (of_d + parts.share[..., None] * (of_n - of_d))[..., 1:]

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """See Form. Each of the two powers, exp T, adds its share of the loss times T' T't + T''."""
        parts = _Parts(theta_BP, x_IK)
        left = weights_BI * (1 - slopes_BIP[..., 0])
        weights = (left * parts.share, left * (1 - parts.share))
        out = np.zeros((len(weights_BI), 6, 6))
        out[:, 0, 0] = (weights_BI * slopes_BIP[..., 0]).sum(1)
        for weight, slopes, second in zip(weights, parts.slopes(), parts.bends(), strict=True):
            out += np.swapaxes(slopes * weight[..., None], 1, 2) @ slopes
            for (j, k), value in second.items():
                total = (weight * value).sum(1)
                out[:, j, k] += total
                if j != k:
                    out[:, k, j] += total
        return out

    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Exponents and fading on a grid; the rest projected out, first with all params useful, then those found."""
        alpha = np.repeat(EXPONENT_GRID, len(HALF_LIVES))
        log_rd, log_rn = np.tile(HALF_LIVES, (len(EXPONENT_GRID), 1)).T
        n, d = x_IK[:, 0], x_IK[:, 1]
        unique, useful = np.minimum(x_IK[:, 2], d), np.broadcast_to(n, (len(alpha), len(n)))
        by_tokens = np.exp(-alpha[:, None] * _Effective(unique, d, log_rd[:, None]).log)
        for _ in range(3):
            by_params = np.exp(-alpha[:, None] * _Effective(useful, n, log_rn[:, None]).log)
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


class _Parts:
    """The two powers of a batch, exp(T): T = a - alpha log N' and b - alpha log D', with their derivatives by theta."""

    def __init__(self, theta_BP: Array, x_IK: Array) -> None:
        a, b, raw, log_rd, log_rn = (theta_BP[:, j, None] for j in range(1, 6))
        n, d = x_IK[:, 0], x_IK[:, 1]
        self.alpha, self.live = np.maximum(raw, SMALLEST), raw > SMALLEST
        unique = np.minimum(x_IK[:, 2], d)
        self.ratio = (a - b) / self.alpha
        useful = np.minimum(n, self.ratio + unique)
        self.limited = (useful < n).astype(float)
        self.params, self.tokens = _Effective(useful, n, log_rn), _Effective(unique, d, log_rd)
        log_n, log_d = self.params.log, self.tokens.log
        self.log_r, self.share = log_add(a - self.alpha * log_n, b - self.alpha * log_d)

    def slopes(self) -> tuple[Array, Array]:
        """First derivatives of both T, [B, I, 6] each."""
        alpha, p, q = self.alpha, self.params, self.tokens
        moved = {j: p.by_once * slope for j, slope in self.useful_by().items()}
        zero, live = np.zeros_like(p.log), self.live
        of_n = [
            zero,
            1 - alpha * moved[1],
            -alpha * moved[2],
            -p.log * live - alpha * moved[3],
            zero,
            -alpha * p.by_star,
        ]
        of_d = [zero, zero, zero + 1, zero - q.log * live, zero - alpha * q.by_star, zero]
        return stack_slopes(of_n), stack_slopes(of_d)

    def useful_by(self) -> dict[int, Array]:
        """Derivatives of the log of the useful params by a, b and alpha."""
        slope = self.limited / self.alpha
        return {1: slope, 2: -slope, 3: -slope * self.ratio * self.live}

    def bends(self) -> tuple[Second, Second]:
        """Second derivatives of both T that are not zero."""
        alpha, p, q, by = self.alpha, self.params, self.tokens, self.useful_by()
        again = self.limited / alpha**2
        twice = {(1, 3): -again, (2, 3): again, (3, 3): 2 * self.ratio * again}
        of_n: Second = {}
        for j, k in ((1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)):
            value = -alpha * (p.by_once_twice * by[j] * by[k] + p.by_once * twice.get((j, k), 0.0))
            value = value - sum(p.by_once * by[other] for mine, other in ((k, j), (j, k)) if mine == 3)
            of_n[j, k] = value * self.live if k == 3 else value
        for j in (1, 2, 3):
            of_n[j, 5] = -alpha * p.by_both * by[j] - (p.by_star * self.live if j == 3 else 0.0)
        of_n[5, 5] = -alpha * p.by_star_twice
        return of_n, {(3, 4): -q.by_star * self.live, (4, 4): -alpha * q.by_star_twice}


class _Effective:
    """Log of the effective amount, of which exp(once) is unique and exp(used) is used, and its derivatives.

    They are those by `once`, with `used` held fixed, and by the log of the half-life ("star").
    """

    def __init__(self, once: Array, used: Array, log_star: Array) -> None:
        star, repeats = np.exp(np.clip(log_star, -60, 300)), np.expm1(np.minimum(used - once, 150.0))
        age = repeats / star
        fading, gained = np.exp(-age), -star * np.expm1(-age)
        amount, grown = 1.0 + gained, gained - repeats * fading
        lost = fading * (repeats + 1.0) / amount
        self.log, self.by_once, self.by_star = once + np.log(amount), 1.0 - lost, grown / amount
        self.by_once_twice = -lost * ((repeats + 1.0) / star - 1.0 + lost)
        self.by_both = -lost * (age - self.by_star)
        self.by_star_twice = (grown - repeats * age * fading) / amount - self.by_star**2
