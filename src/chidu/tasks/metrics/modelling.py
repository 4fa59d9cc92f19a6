"""Bits per byte: how well a text is predicted, comparable between tokenizers."""

import math
from collections.abc import Sequence

import numpy as np

from chidu.tasks.measure import ratio_of
from chidu.tasks.score import Metric

UNIFORM = 8.0
"""Bits per byte of a guess that finds all bytes alike."""


def bits_per_byte(nats_N: Sequence[float], texts: Sequence[str]) -> Metric:
    """Bits that a model needs for each text, over its UTF-8 bytes; `nats` is minus the log-probability of each."""
    bits = np.array(nats_N, dtype=float) / math.log(2)
    sizes = np.array([len(text.encode("utf-8", "replace")) for text in texts], dtype=float)
    return Metric("bits per byte", ratio_of(bits, sizes), lower_is_better=True, chance=UNIFORM, best=0.0)
