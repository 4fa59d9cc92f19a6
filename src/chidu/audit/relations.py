"""The strongest relations between words, and how far they are from chance.

Chance is asked twice. Beside each weight stands what a model that looks everywhere alike would give. And the same
words are read in other orders: a relation counts only where the weight between two *places* is larger with these words
at them than with others, and larger than the largest surprise among all pairs in most of those orders, so that looking
at many pairs finds nothing by itself (Westfall and Young 1993: the maximum statistic).
Shapes: W words, N orders, P pairs of places.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from chidu.audit.attention import Board, Read
from chidu.audit.words import Array, Word, merge_weights
from chidu.model.transformer import Transformer
from chidu.model.watch import attention_maps

ORDERS = 199
"""Other orders that are read, where there are so many."""
AT_ONCE = 16
"""Orders that are read side by side."""


@dataclass(frozen=True)
class Relation:
    """One word looking at another."""

    asking: str
    looked_at: str
    places: tuple[int, int]
    """Numbers of the two words, counted from 0, special ones included."""
    weight: float
    """Part of the asking word's attention, averaged over layers and heads."""
    chance: float
    """The same from a model that looks everywhere alike."""
    expected: float
    """The mean between the same places with the words in other orders."""
    p: float
    """Part of the orders in which some pair surprises as much as this one does here; nan where there are none."""

    @property
    def lift(self) -> float:
        """How many times chance."""
        return self.weight / self.chance

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where there was nothing to compare with."""
        value = {**self.__dict__, "places": list(self.places), "lift": self.lift}
        return {name: None if isinstance(item, float) and math.isnan(item) else item for name, item in value.items()}

    def __str__(self) -> str:
        """Print one line."""
        sure = "no other order to compare with" if math.isnan(self.p) else f"p = {self.p:.3f}"
        return (
            f"{self.asking} → {self.looked_at}: {self.weight:.3f}, {self.lift:.2f} times chance, "
            f"{self.expected:.3f} between these places in other orders, {sure}"
        )


def relate(model: Transformer, board: Board, *, seed: int = 0, orders: int = ORDERS) -> list[Relation]:
    """Relations between different words of a board of one text on itself, strongest first by lift."""
    words = board.queries.words
    pairs = [
        (i, j)
        for i, j in itertools.product(range(len(words)), repeat=2)
        if i != j and not words[i].special and not words[j].special and (j < i or not board.causal)
    ]
    if not pairs:
        return []
    here, even = board.mean(), board.chance()
    null = _other_orders(model, board, pairs, seed, orders)
    found, expected, p = _judge(np.array([here[pair] for pair in pairs]), null)
    relations = [
        Relation(
            words[i].text, words[j].text, (i, j), float(found[k]), float(even[i, j]), float(expected[k]), float(p[k])
        )
        for k, (i, j) in enumerate(pairs)
    ]
    return sorted(relations, key=lambda relation: -relation.lift)


def _judge(here: Array, null: Array) -> tuple[Array, Array, Array]:
    """Weights, their means in other orders, and p: [P] weights against [N, P]."""
    if len(null) < 2:
        return here, np.full(len(here), np.nan), np.full(len(here), np.nan)
    centre, spread = null.mean(axis=0), null.std(axis=0, ddof=1) + 1e-9
    most = ((null - centre) / spread).max(axis=1)
    surprise = (here - centre) / spread
    p = (1 + (most[:, None] >= surprise).sum(axis=0)) / (1 + len(null))
    return here, centre, p


def _other_orders(model: Transformer, board: Board, pairs: list[tuple[int, int]], seed: int, orders: int) -> Array:
    """Weights between the places of the pairs, with the words in other orders, [N, P]."""
    read = board.queries
    movable = [number for number, word in enumerate(read.words) if not word.special]
    rows = [_reorder(read, movable, order) for order in draw_orders(len(movable), seed, orders)]
    found = []
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        tokens = torch.tensor([ids for ids, _ in part], device=model.device)
        if board.part == "encoder":
            maps = attention_maps(model, tokens[:, :1], source=tokens).encoder
        else:
            maps = attention_maps(model, tokens).own
        mean = torch.stack(maps).mean(dim=(0, 2)).double().cpu().numpy()
        for row, (_, words) in enumerate(part):
            merged = merge_weights(mean[row], words, words)
            found.append([merged[pair] for pair in pairs])
    return np.array(found).reshape(len(found), len(pairs))


def draw_orders(count: int, seed: int, orders: int) -> Iterator[tuple[int, ...]]:
    """Other orders of some things than the one they are in: all of them where they are few, else drawn."""
    same = tuple(range(count))
    if count <= 5 or math.factorial(count) - 1 <= orders:
        yield from (order for order in itertools.permutations(same) if order != same)
        return
    generator = np.random.default_rng(seed)
    for _ in range(orders):
        yield tuple(generator.permutation(count).tolist())


def _reorder(read: Read, movable: list[int], order: tuple[int, ...]) -> tuple[list[int], list[Word]]:
    """Ids and words of a text whose words stand in another order; special tokens stay where they are."""
    sequence = list(range(len(read.words)))
    for place, source in zip(movable, order, strict=True):
        sequence[place] = movable[source]
    ids: list[int] = []
    words = []
    for number in sequence:
        word = read.words[number]
        words.append(Word(word.text, tuple(range(len(ids), len(ids) + len(word.tokens))), word.special))
        ids += [read.ids[token] for token in word.tokens]
    return ids, words


def count_orders(count: int, orders: int = ORDERS) -> int:
    """How many other orders of `count` words are read."""
    everything = math.factorial(min(count, 20)) - 1
    return everything if count <= 5 else min(everything, orders)
