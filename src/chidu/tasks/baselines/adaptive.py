"""An n-gram model that learns from the text that it predicts, token by token: code and dialogue repeat themselves.

Interpolated absolute discounting (Ney et al. 1994) over contexts of every length up to `REACH` of the same text, as
compressors by partial matching have them (Cleary & Witten 1984). Nothing is learnt from other texts.
Shapes: T tokens of a text, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array

REACH = 6
"""Tokens of the longest context."""
DISCOUNT = 0.5
"""Taken off each count and given to the shorter context."""


def adaptive_log_probabilities(tokens_T: Sequence[int], vocab_size: int) -> tuple[Array, NDArray[np.int64]]:
    """Log-probability of each token but the first, given all before it, and how long a context was seen, [T-1] each."""
    tokens = [int(token) for token in tokens_T]
    followers: dict[tuple[int, ...], dict[int, int]] = {}
    logs, reached = np.zeros(len(tokens) - 1), np.zeros(len(tokens) - 1, dtype=np.int64)
    for place, token in enumerate(tokens):
        contexts = [tuple(tokens[place - k : place]) for k in range(min(place, REACH) + 1)]
        if place:
            value, longest = 1 / vocab_size, 0
            for k, context in enumerate(contexts):
                if (seen := followers.get(context)) is None:
                    break  # a longer one was not seen either
                total = sum(seen.values())
                value = (max(seen.get(token, 0) - DISCOUNT, 0.0) + DISCOUNT * len(seen) * value) / total
                longest = k
            logs[place - 1], reached[place - 1] = np.log(value), longest
        for context in contexts:
            seen = followers.setdefault(context, {})
            seen[token] = seen.get(token, 0) + 1
    return logs, reached
