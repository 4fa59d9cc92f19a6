"""Choosing among continuations by their probability: how often the right one wins, and by how much.

Shapes: N examples, K choices of an example.
"""

import math
from collections.abc import Sequence

import numpy as np

from chidu.stats import Array
from chidu.tasks.measure import mean_of, ratio_of
from chidu.tasks.metrics.modelling import UNIFORM
from chidu.tasks.score import Metric


def choosing(
    nats_NK: Sequence[Sequence[float]], choices_NK: Sequence[Sequence[str]], right_N: Sequence[int]
) -> list[Metric]:
    """Accuracy, by whole probability and by that of a byte; the right choice's share of the probability; its bits/byte.

    Args:
        nats_NK: minus the log-probability of each choice after its prompt.
        choices_NK: the choices as text.
        right_N: number of the right one.
    """
    nats = [np.array(row, dtype=float) for row in nats_NK]
    sizes = [np.array([len(text.encode("utf-8", "replace")) for text in row], dtype=float) for row in choices_NK]
    guess = float(np.mean([1 / len(row) for row in nats]))
    per_byte = [row / size for row, size in zip(nats, sizes, strict=True)]
    shares = np.array([_share(row, right) for row, right in zip(nats, right_N, strict=True)])
    bits = np.array([row[right] / math.log(2) for row, right in zip(nats, right_N, strict=True)])
    bytes_ = np.array([row[right] for row, right in zip(sizes, right_N, strict=True)])
    return [
        Metric("accuracy", mean_of(_hits(nats, right_N)), chance=guess, best=1.0),
        Metric("accuracy by byte", mean_of(_hits(per_byte, right_N)), chance=guess, best=1.0),
        Metric("probability", mean_of(shares), chance=guess, best=1.0),
        Metric("bits per byte", ratio_of(bits, bytes_), lower_is_better=True, chance=UNIFORM, best=0.0),
    ]


def _hits(values_NK: Sequence[Array], right_N: Sequence[int]) -> Array:
    """1 where the right choice has the lowest value, its part where several have, [N]."""
    lowest = [np.flatnonzero(row == row.min()) for row in values_NK]
    return np.array([float(right in won) / len(won) for won, right in zip(lowest, right_N, strict=True)])


def _share(nats_K: Array, right: int) -> float:
    """Probability of the right choice where one of them has to follow."""
    weights = np.exp(nats_K.min() - nats_K)
    return float(weights[right] / weights.sum())
