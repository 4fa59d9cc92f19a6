"""An n-gram model with interpolated, modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3).

A k-gram is numbered by the number of its first k-1 tokens and its last token, so that the trie of each order is one
sorted array. Shapes: T tokens of a text, V vocabulary, M k-grams of an order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array

Ids = NDArray[np.int64]
ORDER = 5


@dataclass(frozen=True)
class Level:
    """All k-grams of one order, and what their counts say."""

    keys_M: Ids
    """Parent's number times V plus the last token, ascending; the place here is the k-gram's number."""
    kept_M: Array
    """Count less its discount: raw counts at the highest order, numbers of different left neighbours below."""
    totals_P: Array
    """Sum of counts after each parent."""
    backoff_P: Array
    """Discounted mass after each parent, as a share of its total."""


@dataclass(frozen=True)
class NgramModel:
    """P(token | the `order` - 1 tokens before it)."""

    vocab_size: int
    levels: tuple[Level, ...]

    @classmethod
    def fit(cls, tokens_T: NDArray[np.integer], vocab_size: int, order: int = ORDER) -> "NgramModel":
        """Count a text; end-of-text between documents is a token as any other.

        Raises:
            ValueError: fewer tokens than the order.
        """
        tokens = np.asarray(tokens_T, dtype=np.int64)
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens are too few for {order}-grams")
        numbers = [np.zeros(len(tokens), dtype=np.int64)]
        keys, firsts, counts = [], [], []
        for k in range(1, order + 1):
            ends = tokens[k - 1 :]
            unique, first, number, count = np.unique(
                numbers[-1][: len(ends)] * vocab_size + ends, return_index=True, return_inverse=True, return_counts=True
            )
            keys.append(unique)
            firsts.append(first)
            counts.append(count.astype(float))
            numbers.append(number.ravel())
        for k in range(1, order):
            suffixes = numbers[k][firsts[k] + 1]
            counts[k - 1] = np.bincount(suffixes, minlength=len(keys[k - 1])).astype(float)
        sizes = [1, *(len(unique) for unique in keys)]
        return cls(vocab_size, tuple(_level(keys[k], counts[k], vocab_size, sizes[k]) for k in range(order)))

    def log_probabilities(self, tokens_T: NDArray[np.integer]) -> Array:
        """Natural logarithm of the probability of each token after those before it in the text, [T]."""
        return self.look_up(tokens_T)[0]

    def look_up(self, tokens_T: NDArray[np.integer]) -> tuple[Array, Ids]:
        """The log-probabilities, and how many tokens before each were seen before something, [T] each."""
        tokens = np.asarray(tokens_T, dtype=np.int64)
        value = np.full(len(tokens), 1 / self.vocab_size)
        starts, seen = np.zeros((2, len(tokens)), dtype=np.int64)
        for k, level in enumerate(self.levels):
            parents = np.full(len(tokens), -1)
            parents[k:] = starts[: max(0, len(tokens) - k)]
            value = self._mix(level, parents, tokens, value)
            seen[(parents >= 0) & (level.totals_P[np.maximum(parents, 0)] > 0)] = k
            if k + 1 < len(self.levels):
                ends = tokens[k:]
                starts = _find(level, starts[: len(ends)], ends, self.vocab_size)
        return np.log(value), seen

    def next_probabilities(self, context: Sequence[int]) -> Array:
        """Probability of every token after a context, [V]."""
        value = np.full(self.vocab_size, 1 / self.vocab_size)
        every = np.arange(self.vocab_size)
        for k, level in enumerate(self.levels[: len(context) + 1]):
            parent = np.int64(0)
            for depth, token in enumerate(context[len(context) - k :]):
                parent = _find(self.levels[depth], np.array([parent]), np.array([token]), self.vocab_size)[0]
            value = self._mix(level, np.full(self.vocab_size, parent), every, value)
        return value

    def sample(self, length: int, *, context: Sequence[int] = (), stop: int | None = None, seed: int = 0) -> list[int]:
        """Draw up to `length` tokens, ending before `stop`."""
        rng = np.random.default_rng(seed)
        seen = list(context)
        reach = len(self.levels) - 1
        out: list[int] = []
        while len(out) < length:
            token = int(rng.choice(self.vocab_size, p=self.next_probabilities(seen[-reach:] if reach else [])))
            if token == stop:
                break
            out.append(token)
            seen.append(token)
        return out

    def _mix(self, level: Level, parents: Ids, tokens: Ids, lower: Array) -> Array:
        """Interpolate an order with the one below; where its context was not seen the lower one stands."""
        found = _find(level, parents, tokens, self.vocab_size)
        known = parents >= 0
        safe = np.where(known, parents, 0)
        usable = known & (level.totals_P[safe] > 0)
        kept = np.where(found >= 0, level.kept_M[found], 0.0)
        share = kept / np.where(usable, level.totals_P[safe], 1.0)
        return np.where(usable, share + level.backoff_P[safe] * lower, lower)


def _level(keys_M: Ids, counts_M: Array, vocab_size: int, parents: int) -> Level:
    """Discount the counts: D1, D2, D3+ of Chen & Goodman, from how many k-grams occur once, twice, ..."""
    few = [float(np.sum(counts_M == n)) for n in (1, 2, 3, 4)]
    rate = few[0] / (few[0] + 2 * few[1]) if few[0] else 0.5
    by_count = [
        min(max(n - (n + 1) * rate * few[n] / few[n - 1], 0.05), n - 0.05) if few[n - 1] and few[n] else 0.5
        for n in (1, 2, 3)
    ]
    discounts = np.array([0.0, *by_count])[np.minimum(counts_M, 3).astype(int)]
    parent = keys_M // vocab_size
    totals = np.bincount(parent, weights=counts_M, minlength=parents).astype(float)
    freed = np.bincount(parent, weights=discounts, minlength=parents)
    return Level(keys_M, counts_M - discounts, totals, freed / np.maximum(totals, 1e-300))


def _find(level: Level, parents: Ids, tokens: Ids, vocab_size: int) -> Ids:
    """Numbers of the k-grams of parents and last tokens, -1 where not seen."""
    wanted = parents * vocab_size + tokens
    place = np.minimum(np.searchsorted(level.keys_M, wanted), len(level.keys_M) - 1)
    return np.where((parents >= 0) & (level.keys_M[place] == wanted), place, -1)
