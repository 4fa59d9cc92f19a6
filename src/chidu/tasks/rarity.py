"""How rare words, or other units, are among some texts."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Unit = TypeVar("Unit", str, int)


@dataclass(frozen=True, eq=False)
class Rarity(Generic[Unit]):
    """The logarithm of one over the share of texts that have a unit."""

    texts: int
    counts: Counter[Unit]
    """Texts that have each."""

    @classmethod
    def count(cls, texts: Iterable[Iterable[Unit]]) -> "Rarity[Unit]":
        """Learn from the units of each text."""
        sets = [set(units) for units in texts]
        return cls(len(sets), Counter(unit for units in sets for unit in units))

    def __getitem__(self, unit: Unit) -> float:
        """Rarity of a unit, above 0."""
        return math.log((self.texts + 1) / (self.counts[unit] + 1)) + 0.1
