"""What every law's shape can do.

A law is a power law towards a floor, L(x) = E + R(x). Its parameters are a row `theta`: log E first, then those of
log R, written over logs of the inputs that are *centred* on the table, so that amplitudes and exponents hardly
correlate. A form without a floor, L(x) = R(x), has no log E. Shapes: B laws at once, I rows, K inputs (params and
tokens, flops, ...), J powers that are summed, P parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from chidu.stats import Array

Term = tuple[Array, Sequence[tuple[int, Array | float]]]
"""An exponential in a loss: see `bend_of_terms`."""
STEP = 1e-5
"""Of the central differences, where a form does not know its second derivatives."""


class Form(ABC):
    """The shape of a law: how the reducible loss depends on the inputs."""

    key: ClassVar[str]
    """Its name, as `fit(form=...)` takes it."""
    names: ClassVar[tuple[str, ...]]
    """Its parameters as papers write them, in the order of `theta`."""
    inputs: ClassVar[tuple[str, ...]]
    """The columns it reads."""
    exponents: ClassVar[slice]
    """Where the exponents stand in `theta`."""
    floor: ClassVar[bool] = True
    """Whether `theta` begins with log E."""

    def __init_subclass__(cls, **options: object) -> None:
        """A form that changes its parent's curve does not inherit its second derivatives."""
        super().__init_subclass__(**options)
        if {"log_reducible", "log_loss", "gradient"} & vars(cls).keys() and "bend" not in vars(cls):
            cls.bend = Form.bend  # type: ignore[method-assign]

    @abstractmethod
    def log_reducible(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array]:
        """Log of the reducible loss R, [B, I], and its derivatives by the parameters after log E, [B, I, P - 1].

        Of a form without a floor: by all of them, [B, I, P].
        """

    @abstractmethod
    def starts(self, x_IK: Array, y_I: Array) -> Array:
        """Starting points near the least-squares optimum of log losses y, [starts, P]."""

    @abstractmethod
    def natural(self, theta_BP: Array, centre_K: Array) -> Array:
        """Parameters as papers write them, in the order of `names`, [B, P]."""

    @abstractmethod
    def from_natural(self, values_P: Array, centre_K: Array) -> Array:
        """Invert `natural` for one law, [P] -> [P]."""

    def centre(self, x_IK: Array) -> Array:
        """What the log inputs are centred on, [K]: their means. Inputs that a form compares share one centre."""
        return x_IK.mean(0)

    def log_loss(self, theta_BP: Array, x_IK: Array) -> Array:
        """Log of the loss, [B, I]."""
        if not self.floor:
            return self.log_reducible(theta_BP, x_IK)[0]
        return log_add(theta_BP[:, :1], self.log_reducible(theta_BP, x_IK)[0])[0]

    def gradient(self, theta_BP: Array, x_IK: Array) -> tuple[Array, Array, Array]:
        """Log of the loss [B, I], the reducible share R / L [B, I], and d log L / d theta [B, I, P]."""
        log_r, slopes = self.log_reducible(theta_BP, x_IK)
        if not self.floor:
            return log_r, np.ones_like(log_r), slopes
        f, floor_share = log_add(theta_BP[:, :1], log_r)
        share = 1.0 - floor_share
        out = np.empty((*f.shape[:1], slopes.shape[2] + 1, *f.shape[1:]))
        out[:, 0] = floor_share
        np.multiply(np.swapaxes(slopes, 1, 2), share[:, None], out=out[:, 1:])
        return f, share, np.swapaxes(out, 1, 2)

    def bend(self, theta_BP: Array, x_IK: Array, weights_BI: Array, slopes_BIP: Array) -> Array:
        """Second derivatives of the loss by theta over the loss, summed over the rows with weights, [B, P, P].

        With the slopes s = d log L / d theta, as `gradient` gives them, it holds the curvature of log L too:
        L'' / L = (log L)'' + s s'. Where L is a sum of exponentials, as in most forms, this is the simpler of the two.
        Here by central differences of `gradient`; forms that know theirs exactly override it.
        """
        columns = []
        for step in STEP * np.eye(theta_BP.shape[1]):
            up, down = (self.gradient(theta_BP + sign * step, x_IK)[2] for sign in (1, -1))
            columns.append(weighted_sum(weights_BI, (up - down) / (2 * STEP)))
        bent = np.stack(columns, axis=1)
        squares = np.swapaxes(slopes_BIP * weights_BI[..., None], 1, 2) @ slopes_BIP
        return 0.5 * (bent + np.swapaxes(bent, 1, 2)) + squares

    def balance(self, theta_BP: Array, at_K: Array) -> tuple[Array, Array]:
        """Log of (what more params would save) / (what more tokens would save) at a point, [B]; its gradient, [B, P].

        A form that does not tell params from tokens has nothing to balance: zeros.
        """
        return np.zeros(len(theta_BP)), np.zeros_like(theta_BP)


def log_add(u: Array, v: Array) -> tuple[Array, Array]:
    """log(exp u + exp v), and the share of exp u in the sum; a quicker np.logaddexp."""
    gap = u - v
    small = np.exp(-np.abs(gap))
    return np.maximum(u, v) + np.log(1.0 + small), np.where(gap > 0, 1.0, small) / (1.0 + small)


def log_sum(terms_BIJ: Array) -> tuple[Array, Array]:
    """Log of the sum of exp over the last axis, [B, I], and each one's share of it, [B, I, J]."""
    largest = terms_BIJ.max(-1, keepdims=True)
    parts = np.exp(terms_BIJ - largest)
    total = parts.sum(-1, keepdims=True)
    return (largest + np.log(total))[..., 0], parts / total


def stack_slopes(columns: Sequence[Array]) -> Array:
    """Derivatives by each parameter, [B, I] each, as [B, I, P]; each stays in one piece of memory, which is quicker."""
    return np.swapaxes(np.stack(columns, axis=1), 1, 2)


def weighted_sum(weights_BI: Array, values_BIP: Array) -> Array:
    """Sum over the rows, [B, P]."""
    return (weights_BI[:, None] @ values_BIP)[:, 0]


def bend_of_terms(weights_BI: Array, terms: Sequence[Term], size: int) -> Array:
    """`Form.bend` of a loss that is a sum of exponentials of linear functions of theta, exactly.

    Args:
        weights_BI: of the rows.
        terms: of each exponential its share of the loss, [B, I], and its exponent's derivatives: the parameter's place
            in theta, and [I] or a number.
        size: number of parameters P.
    """
    out = np.zeros((len(weights_BI), size, size))
    rows = weights_BI.shape[1]
    for share, slopes in terms:
        places, columns = [j for j, _ in slopes], [np.broadcast_to(np.asarray(v, dtype=float), rows) for _, v in slopes]
        pairs = [(j, k) for j in range(len(places)) for k in range(j + 1)]
        sums = (weights_BI * share) @ np.stack([columns[j] * columns[k] for j, k in pairs], axis=1)
        for (j, k), value in zip(pairs, sums.T, strict=True):
            out[:, places[j], places[k]] += value
            if j != k:
                out[:, places[k], places[j]] += value
    return out


def bounded_exp(values: Array) -> Array:
    """exp, at most 1e300: amplitudes of laws with absurd exponents are absurd, but finite."""
    return np.exp(np.minimum(values, 690.0))


def project(powers_SIJ: Array, y_I: Array) -> tuple[Array, Array]:
    """Variable projection (Golub and Pereyra 1973): the best log coefficients for each set of powers, and its misfit.

    For fixed exponents the law is linear in its coefficients, powers [S, I, J] @ coefficients; they are found by least
    squares of the relative error, and kept positive. Returns log coefficients [S, J] and mean squared errors [S]. The
    log losses y may differ between the sets, [S, I].
    """
    relative = powers_SIJ * np.exp(-y_I)[..., None]
    moments = np.einsum("sij,sik->sjk", relative, relative)
    ridge = 1e-10 * np.trace(moments, axis1=1, axis2=2)[:, None, None] * np.eye(moments.shape[1])
    solution = np.linalg.solve(moments + ridge, relative.sum(1)[..., None])[..., 0]
    smallest = 1e-3 / (relative.mean(1) * powers_SIJ.shape[2])
    solution = np.maximum(solution, smallest)
    error = np.einsum("sij,sj->si", relative, solution) - 1.0
    return np.log(solution), (error**2).mean(1)


def best_starts(theta_SP: Array, misfit_S: Array, apart_S: Array | None = None, count: int = 12) -> Array:
    """The `count` starts that misfit least.

    Neighbours on the grid often lead to one optimum. Where `apart` is given, such as one of the exponents, half are the
    best of all, the others the best with each other value of it: runs that cannot tell params from tokens have optima
    far apart.
    """
    order = np.argsort(misfit_S, kind="stable")
    if apart_S is None:
        return theta_SP[order[:count]]
    half = order[: count // 2]
    _, first = np.unique(apart_S[order], return_index=True)
    others = [place for place in order[np.sort(first)] if place not in half]
    return theta_SP[np.concatenate([half, np.array(others[: count - len(half)], dtype=np.intp)])]


EXPONENT_GRID = np.array([0.05, 0.1, 0.16, 0.22, 0.28, 0.34, 0.4, 0.5, 0.65, 0.85, 1.1])
"""Exponents that the starts try; published ones lie between 0.05 and 0.7."""
