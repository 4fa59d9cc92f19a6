"""Training batches: which tokens the model sees at which step.

The tokens are cut into windows; each epoch is one permutation of them; sequence number s, counted from the start of
training, decides the window. Runs with other batch sizes see the same stream in the same order, only cut into other
steps, which keeps the rungs of a ladder comparable; and training can start again at any step.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chidu.data.shards import Tokens
from chidu.errors import InputError

Batch = NDArray[np.int64]


class Loader:
    """Batches of windows of `context + 1` tokens: inputs are all but the last, targets all but the first."""

    def __init__(self, tokens: Tokens, context: int, batch_sequences: int, seed: int = 0) -> None:
        """Plan the windows; nothing is read.

        Args:
            tokens: [tokens], an array or `ShardedTokens`.
            context: tokens the model reads; consecutive windows share one token, so that each is predicted once.
            batch_sequences: windows of a batch.
            seed: of the order.

        Raises:
            InputError: not one whole window, or a size below 1.
        """
        if context < 1 or batch_sequences < 1:
            raise InputError(f"context {context} and batch_sequences {batch_sequences} must be at least 1")
        self.tokens, self.context, self.batch_sequences, self.seed = tokens, context, batch_sequences, seed
        self.windows = count_windows(len(tokens), context)
        if self.windows == 0:
            raise InputError(
                f"{len(tokens):,} training tokens do not fill one window of context {context}; "
                "add text or shorten the context"
            )

    def batch(self, step: int) -> Batch:
        """Take the batch of a step, counted from 0: [batch_sequences, context + 1]."""
        first = step * self.batch_sequences
        return take_windows(self.tokens, self.context, [self.window(first + i) for i in range(self.batch_sequences)])

    def window(self, sequence: int) -> int:
        """Which window the sequence of that number is, counted from 0 at the start of training."""
        epoch, place = divmod(sequence, self.windows)
        return int(shuffle(self.windows, self.seed, epoch)[place])


def count_windows(tokens: int, context: int) -> int:
    """Whole windows of `context + 1` tokens, each beginning with the last token of the one before."""
    return max(tokens - 1, 0) // context


def take_windows(tokens: Tokens, context: int, windows: "list[int] | NDArray[np.int64]") -> Batch:
    """Copy windows by number: [windows, context + 1]."""
    out = np.empty((len(windows), context + 1), dtype=np.int64)
    for row, window in zip(out, windows, strict=True):
        start = int(window) * context
        row[:] = tokens[start : start + context + 1]
    return out


@lru_cache(maxsize=4)
def shuffle(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Permutation of an epoch, [count]. `RandomState` is the generator whose stream numpy keeps for ever (NEP 19)."""
    bits = np.random.MT19937(np.random.SeedSequence((seed, epoch)))
    return np.random.RandomState(bits).permutation(count)
