"""A question and its passage as units, words or Chinese characters, and which of them the two share.

Shapes: N units of the passage, M units of the question, S sentences.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array
from chidu.tasks.baselines.sentences import split_sentences
from chidu.tasks.example import Example
from chidu.tasks.metrics.subsequence import rouge_words
from chidu.tasks.passages import split_units
from chidu.tasks.pointing.questions import Asked, ask
from chidu.tasks.rarity import Rarity

Whole = NDArray[np.int64]

PAUSE = re.compile(r"[，,、：:()（）。；;！!？?.\"“”《》「」『』—-]")
WORTH = {True: (0.0, 0.3, 0.8, 1.0), False: (0.0, 0.7, 0.9, 1.0)}
"""Of a unit that both share, by the length of the run of shared units that it stands in, up to 3: a single Chinese
character says little. Keyed by whether it is Chinese."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A question and its passage."""

    example: Example
    chinese: bool
    asked: Asked
    question: list[str]
    question_at: list[int]
    units: list[str]
    """Of the passage, without case."""
    begins_N: Whole
    ends_N: Whole
    """Characters of each unit, the last one excluded."""
    sentence_N: Whole
    """Number of its sentence."""

    def text(self, first: int, last: int) -> str:
        """The passage from one unit to another, both included."""
        return (self.example.context or "")[self.begins_N[first] : self.ends_N[last]]


def read(example: Example, chinese: bool) -> Reading:
    """Cut a question and its passage into units."""
    context = example.context or ""
    question = [(key(unit), at) for unit, at in split_units(example.source) if unit.strip()] or [("", 0)]
    found = [(unit, at) for unit, at in split_units(context) if unit.strip()] or [(context or " ", 0)]
    begins = np.array([at + len(unit) - len(unit.lstrip()) for unit, at in found])
    ends = np.array([at + len(unit) for unit, at in found])
    starts, place = [], 0
    for sentence in split_sentences(context):
        place = context.find(sentence, place)
        starts.append(place)
        place += len(sentence)
    sentences = np.maximum(np.searchsorted(starts, begins, side="right") - 1, 0)
    _, sentences = np.unique(sentences, return_inverse=True)
    units = [key(unit) for unit, _ in found]
    return Reading(
        example,
        chinese,
        ask(example.source, chinese),
        [unit for unit, _ in question],
        [at for _, at in question],
        units,
        begins,
        ends,
        sentences,
    )


@lru_cache(maxsize=1 << 17)
def key(unit: str) -> str:
    """A unit without case, space and width."""
    return unicodedata.normalize("NFKC", unit.strip()).casefold()


@lru_cache(maxsize=1 << 17)
def number(unit: str) -> int:
    """A unit as a number; digits by how many there are."""
    return crc32((f"#{len(unit)}" if unit.isdigit() else unit).encode())


@lru_cache(maxsize=1 << 17)
def stem(unit: str, chinese: bool) -> int:
    """What is compared between question and passage, as a number; 0 for signs, which are not."""
    if not any(c.isalnum() for c in unit):
        return 0
    return crc32((unit if chinese else "".join(rouge_words(unit, False)) or unit).encode())


def count_rarity(readings: Sequence[Reading]) -> Rarity[int]:
    """How rare the stems of units are among passages, each of them once."""
    once = {one.example.context: one for one in readings}
    return Rarity.count([stem(unit, one.chinese) for unit in one.units] for one in once.values())


@dataclass(frozen=True, eq=False)
class Match:
    """What a passage shares with its question."""

    back_NM: Whole
    """Length of the run of shared units that ends at a unit of the passage and one of the question."""
    forth_NM: Whole
    """That begins there."""
    worth_NM: Array
    """Rarity of a shared unit times the worth of its run."""
    total: float
    """What a sentence that holds the whole question would be worth."""
    cover_S: Array
    """Worth of what each sentence holds of the question, each unit of it once, over `total`."""


def match(reading: Reading, rarity: Rarity[int]) -> Match:
    """Compare a passage with its question."""
    stems = np.array([stem(unit, reading.chinese) for unit in reading.units])
    asked = np.array([stem(unit, reading.chinese) for unit in reading.question], dtype=stems.dtype)
    at = np.array(reading.question_at)
    asked[(at >= reading.asked.begin) & (at < reading.asked.end)] = 0
    rare_M = np.array([rarity[s] if s else 0.0 for s in asked.tolist()])
    same_NM = (stems[:, None] == asked[None, :]) & (asked != 0)
    back, forth = np.zeros(same_NM.shape, int), np.zeros(same_NM.shape, int)
    for j in range(len(asked)):
        back[:, j] = same_NM[:, j]
        if j:
            back[1:, j] += same_NM[1:, j] * back[:-1, j - 1]
    for j in range(len(asked) - 1, -1, -1):
        forth[:, j] = same_NM[:, j]
        if j + 1 < len(asked):
            forth[:-1, j] += same_NM[:-1, j] * forth[1:, j + 1]
    run = np.where(same_NM, back + forth - 1, 0)
    worth = np.array(WORTH[reading.chinese])[np.minimum(run, 3)] * rare_M
    total = float(rare_M.sum()) or 1.0
    starts = np.flatnonzero(np.diff(reading.sentence_N, prepend=-1))
    cover = np.maximum.reduceat(worth, starts, axis=0).sum(axis=1) / total
    return Match(back, forth, worth, total, cover)
