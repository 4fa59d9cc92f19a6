"""What the law gets wrong: a Gaussian process on the log of the reducible loss, in a few features.

Its inputs are log10 compute and, where params are known, log10 tokens/param (and log10 passes over the data, for a law
of repeated data); its kernel is Matern 3/2 (Rasmussen and
Williams 2006, eq. 4.17). A partial pivoted Cholesky factor (Harbrecht et al. 2012) turns the kernel of I rows into
M features, K ~ Z Z', with what the features miss kept on the diagonal (as in FITC, Snelson and Ghahramani 2006). Far
from every row the features fade and the missed part grows to one: so the interval widens with distance.
"""

from dataclasses import dataclass

import numpy as np

from chidu.stats import Array

LENGTHS = np.array([4.0, 2.0, 2.0])
"""Over which decades of compute, of tokens/param, and of passes over the data, the discrepancy changes."""
FEATURES = 24
TOLERANCE = 1e-4
"""Stop adding features where every row's missed part is below this."""


def coordinates(x_IK: Array) -> Array:
    """Log10 of compute and of tokens/param from natural logs of (params, tokens); log10 of compute from log flops.

    With unique tokens as a third column, log10 of tokens / unique tokens comes third.
    """
    if x_IK.shape[1] == 1:
        return x_IK / np.log(10)
    pairs = [x_IK[:, :2].sum(1) + np.log(6), x_IK[:, 1] - x_IK[:, 0]]
    return np.stack([*pairs, *[x_IK[:, 1] - x_IK[:, j] for j in range(2, x_IK.shape[1])]], axis=1) / np.log(10)


def matern(u_IJ: Array, v_KJ: Array) -> Array:
    """Matern 3/2 kernel with the lengths above, [I, K]; one on the diagonal."""
    scaled = (u_IJ[:, None] - v_KJ[None]) / LENGTHS[: u_IJ.shape[1]]
    distance = np.sqrt(3.0 * (scaled**2).sum(-1))
    return (1.0 + distance) * np.exp(-distance)


@dataclass(frozen=True)
class Features:
    """Features of the process, made for one table's rows."""

    landmarks: Array
    """The coordinates of the rows that the features stand on, [M, J]."""
    whitener: Array
    """Turns kernels with the landmarks into features, [M, M]."""

    def at(self, u_IJ: Array) -> tuple[Array, Array]:
        """Features at some coordinates [I, M], and the variance that they miss [I]."""
        z = matern(u_IJ, self.landmarks) @ self.whitener
        return z, np.maximum(1.0 - (z**2).sum(1), 0.0)

    def missed_covariance(self, u_IJ: Array, v_KJ: Array) -> Array:
        """Covariance that the features miss between two sets of points, [I, K]."""
        return matern(u_IJ, v_KJ) - self.at(u_IJ)[0] @ self.at(v_KJ)[0].T


def make_features(u_IJ: Array) -> Features:
    """Choose landmarks greedily, each the row that the features so far miss most."""
    left = np.ones(len(u_IJ))
    columns: list[Array] = []
    chosen: list[int] = []
    for _ in range(min(FEATURES, len(u_IJ))):
        pick = int(np.argmax(left))
        if left[pick] < TOLERANCE:
            break
        column = matern(u_IJ, u_IJ[pick : pick + 1])[:, 0]
        for earlier in columns:
            column = column - earlier * earlier[pick]
        column = column / np.sqrt(left[pick])
        columns.append(column)
        chosen.append(pick)
        left = np.maximum(left - column**2, 0.0)
    landmarks = u_IJ[chosen]
    factor = np.linalg.cholesky(matern(landmarks, landmarks) + 1e-9 * np.eye(len(chosen)))
    return Features(landmarks, np.linalg.inv(factor).T)
