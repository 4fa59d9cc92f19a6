"""What is known of the units of a passage that are read: those of the sentences that share most with its question.

Shapes: N units of the passage, K of them kept, D numbers, F hashed features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chidu.tasks.pointing.evidence import Flags, weigh
from chidu.tasks.pointing.hashing import hash_words
from chidu.tasks.pointing.reading import PAUSE, Reading, Whole, match
from chidu.tasks.rarity import Rarity

BESIDE = 0.3
"""Weight of the better neighbour when sentences are chosen: an answer may stand beside what is asked."""


@dataclass(frozen=True, eq=False)
class Clues:
    """A question and what is known of the kept units of its passage."""

    reading: Reading
    kept_K: Whole
    """Their numbers in the passage."""
    numbers_KD: NDArray[np.float32]
    """See `evidence`."""
    hashes_KF: NDArray[np.int32]
    pause_K: Flags
    """Whether a unit is a sign that ends a clause."""


def find_clues(reading: Reading, rarity: Rarity[int], sentences: int) -> Clues:
    """Describe the units of so many sentences."""
    found = match(reading, rarity)
    cover = found.cover_S
    near = cover + BESIDE * np.maximum(np.append(cover[1:], 0), np.append(0, cover[:-1]))
    best = np.argsort(-near, kind="stable")[:sentences]
    kept = np.flatnonzero(np.isin(reading.sentence_N, best))
    pause = np.array([bool(PAUSE.match(unit)) for unit in reading.units])
    numbers = weigh(reading, found, pause)[kept].astype(np.float32)
    return Clues(reading, kept, numbers, hash_words(reading, rarity, kept), pause[kept])
