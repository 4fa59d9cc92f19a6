"""How far generated texts are from real ones: the area under the divergence frontier, as in MAUVE (2102.01454).

MAUVE quantises the states of a large language model. None is at hand here, and a model should not judge itself: the
features are hashed character n-grams, so that figures compare with each other and not with published MAUVE.
Shapes: N texts, F hashed features, D components, C clusters.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array
from chidu.tasks.measure import Whole
from chidu.tasks.score import Metric

FEATURES = 1 << 12
ORDERS = (1, 2, 3, 4)
"""Character n-grams that are hashed."""
COMPONENTS = 32
"""Principal components that are kept."""
PER_CLUSTER = 10
"""Texts a cluster of k-means has on average (2102.01454, section 3: k = N / 10)."""
SCALING = 5.0
"""c in exp(-c KL) of the frontier (2102.01454, eq. 3)."""
MIXTURES = 25
"""Points of the frontier between the two distributions."""


def similarity(generated: Sequence[str], real: Sequence[str], seed: int = 0) -> Metric:
    """Area under the divergence frontier, 0 to 1: 1 where the two cannot be told apart.

    Both are cut to the same number of texts; give texts of the same length, for length is a feature too. Even real text
    does not reach 1 against other real text: score that beside it.

    Raises:
        ValueError: fewer than 2 * `PER_CLUSTER` texts of each.
    """
    count = min(len(generated), len(real))
    if count < 2 * PER_CLUSTER:
        raise ValueError(f"{count} texts are too few to compare; generate {2 * PER_CLUSTER} or more")
    points = _components(hash_texts([*generated[:count], *real[:count]]))
    clusters = max(2, count // PER_CLUSTER)
    labels = _cluster(points, clusters, seed)
    first, second = labels[:count], labels[count:]

    def of_picks(picks: NDArray[np.int64]) -> float:
        p, q = (np.bincount(part[picks], minlength=clusters) for part in (first, second))
        return frontier_area(p, q)

    settings = f"features:chars{ORDERS[0]}-{ORDERS[-1]},{FEATURES}|clusters:{clusters}|c:{SCALING:g}|kmeans-seed:{seed}"
    return Metric("similarity to real text", Whole(count, of_picks), settings)


def frontier_area(p_counts_C: NDArray[np.integer], q_counts_C: NDArray[np.integer]) -> float:
    """Area under (exp(-c KL(Q|R)), exp(-c KL(P|R))) over mixtures R; counts smoothed by 1/2 (2212.14578)."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (p_counts_C, q_counts_C))
    weights = np.linspace(0, 1, MIXTURES + 2)[1:-1]
    across, up = [0.0], [1.0]
    for weight in weights:
        mixed = weight * p + (1 - weight) * q
        across.append(float(np.exp(-SCALING * np.sum(q * np.log(q / mixed)))))
        up.append(float(np.exp(-SCALING * np.sum(p * np.log(p / mixed)))))
    x, y = np.array([*across, 1.0]), np.array([*up, 0.0])
    order = np.argsort(x, kind="stable")
    return float(np.sum(np.diff(x[order]) * (y[order][1:] + y[order][:-1]) / 2))


def hash_texts(texts: Sequence[str]) -> Array:
    """Log counts of hashed character n-grams, each row of length 1, [N, F]."""
    out = np.zeros((len(texts), FEATURES))
    for row, text in zip(out, texts, strict=True):
        for n in ORDERS:
            for i in range(len(text) - n + 1):
                row[zlib.crc32(text[i : i + n].encode("utf-8", "replace")) % FEATURES] += 1
    out = np.log1p(out)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _components(rows_NF: Array) -> Array:
    centred = rows_NF - rows_NF.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    keep = min(COMPONENTS, len(scale))
    return left[:, :keep] * scale[:keep]


def _cluster(points_ND: Array, clusters: int, seed: int) -> NDArray[np.int64]:
    """Lloyd's k-means from k-means++ starts, [N]."""
    rng = np.random.default_rng(seed)
    centres = [points_ND[rng.integers(len(points_ND))]]
    for _ in range(clusters - 1):
        nearest = np.min([((points_ND - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        weights = nearest + 1e-12
        centres.append(points_ND[rng.choice(len(points_ND), p=weights / weights.sum())])
    middle = np.array(centres)
    labels = np.zeros(len(points_ND), dtype=np.int64)
    for _ in range(100):
        distances = ((points_ND[:, None] - middle[None]) ** 2).sum(axis=2)
        fresh = distances.argmin(axis=1)
        if np.array_equal(fresh, labels):
            break
        labels = fresh
        for c in np.unique(labels):
            middle[c] = points_ND[labels == c].mean(axis=0)
    return labels
