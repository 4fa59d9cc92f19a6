"""What is known of each part of a text: its place, its length, its likeness to the whole, and which cuts made it.

Shapes: C candidates of all texts together.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chidu.stats import Array
from chidu.tasks.metrics.subsequence import rouge_words
from chidu.tasks.picking.candidates import CUTS, Candidate, find_candidates
from chidu.tasks.rarity import Rarity


@dataclass(frozen=True)
class Parts:
    """The candidates of one text with their words."""

    candidates: list[Candidate]
    words: list[list[str]]
    whole: Counter[str]
    """How often the text has each word."""


def read_parts(text: str, chinese: bool) -> Parts:
    """Cut a text and split what comes out into words."""
    candidates = find_candidates(text, chinese)
    words = [rouge_words(one.text, chinese) for one in candidates]
    sentences = dict.fromkeys((one.place, one.sentence) for one in candidates)
    whole = Counter(word for _, sentence in sentences for word in rouge_words(sentence, chinese))
    return Parts(candidates, words, whole)


def describe(parts: Sequence[Parts], rarity: Rarity[str], chinese: bool) -> Array:
    """Numbers for each candidate, [C, features]."""
    return np.array([row for one in parts for row in _describe(one, rarity, chinese)], dtype=float)


def _describe(parts: Parts, rarity: Rarity[str], chinese: bool) -> list[list[float]]:
    last = max(one.place for one in parts.candidates)
    size = _length(parts.whole, rarity)
    lengths = {one.sentence: len(rouge_words(one.sentence, chinese)) for one in parts.candidates}
    rows = []
    for one, words in zip(parts.candidates, parts.words, strict=True):
        bag, count, of = Counter(words), len(words), lengths[one.sentence]
        place = one.place
        where = [place == 0, place == 1, place == last, place, last - place, place / (last + 1), last + 1]
        begin = one.sentence.find(one.text) if chinese else 0
        inside = [begin, begin + len(one.text) == len(one.sentence)]
        long = [count, math.log1p(count), count / max(1, of), of, len(one.text) / max(1, count)]
        marks = [any(c.isdigit() for c in one.text), one.text.count("("), one.text.count(",")]
        cuts = [cut in one.cuts for cut in CUTS]
        alike = _likeness(bag, parts.whole, size, rarity)
        rows.append([float(x) for x in [*where, *inside, *long, *alike, *marks, *cuts]])
    return rows


def _likeness(bag: Counter[str], whole: Counter[str], size: float, rarity: Rarity[str]) -> list[float]:
    """Cosine to the whole text, share of words that come again, mean log count, mean rarity."""
    kinds = max(1, len(bag))
    shared = sum(count * whole[word] * rarity[word] ** 2 for word, count in bag.items())
    again = sum(whole[word] > count for word, count in bag.items()) / kinds
    often = sum(math.log1p(whole[word]) for word in bag) / kinds
    rare = sum(rarity[word] for word in bag) / kinds
    return [shared / (_length(bag, rarity) * size + 1e-9), again, often, rare]


def _length(bag: Counter[str], rarity: Rarity[str]) -> float:
    return math.sqrt(sum((count * rarity[word]) ** 2 for word, count in bag.items()))
