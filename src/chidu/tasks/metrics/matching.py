"""Answers to questions: exact match and F1 of shared words as in SQuAD (1606.05250, section 6), Chinese by character.

The normalisation is that of SQuAD's script: lower case, without punctuation, English articles and repeated spaces. For
Chinese it is that of MLQA's script (1910.07475), the like for it: lower case, without punctuation, each ideograph a
word, and what stands between them split at spaces. CMRC 2018 (1810.07366) counts the longest common *substring*
instead, which is not used, so that one definition serves both languages. `benchmarks/reference_metrics.py` compares.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from chidu.tasks.measure import mean_of
from chidu.tasks.metrics.overlap import References
from chidu.tasks.score import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
IDEOGRAPH = re.compile(r"([\u4e00-\u9fa5])")
"""What MLQA's script takes for a word by itself."""


def words_of(text: str, by_character: bool) -> list[str]:
    """Normalised words of an answer."""
    text = text.lower()
    if by_character:
        return IDEOGRAPH.sub(r" \1 ", "".join(c for c in text if not _is_punctuation(c))).split()
    text = "".join(c for c in text if c not in string.punctuation)
    return ARTICLES.sub(" ", text).split()


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def exact(answer: str, options: Sequence[str], by_character: bool) -> float:
    """1 where the answer equals one of the right ones once normalised, else 0."""
    words = words_of(answer, by_character)
    return float(any(words == words_of(option, by_character) for option in options))


def shared_f1(answer: str, options: Sequence[str], by_character: bool) -> float:
    """The best F1 of shared words with one of the right answers, 0 to 1; two empty answers agree."""
    words = words_of(answer, by_character)
    return max(_f1(words, words_of(option, by_character)) for option in options)


def match(answers: Sequence[str], references: References, by_character: bool) -> list[Metric]:
    """Exact match and F1, in per cent."""
    pairs = list(zip(answers, references, strict=True))
    hits = np.array([exact(answer, options, by_character) for answer, options in pairs])
    shared = np.array([shared_f1(answer, options, by_character) for answer, options in pairs])
    settings = "unit:characters|references:best|normalised:mlqa"
    if not by_character:
        settings = "unit:words|references:best|normalised:squad"
    return [
        Metric("F1", mean_of(100 * shared), settings, best=100.0),
        Metric("exact match", mean_of(100 * hits), settings, best=100.0),
    ]


def _f1(words: list[str], right: list[str]) -> float:
    if not words or not right:
        return float(words == right)
    same = sum((Counter(words) & Counter(right)).values())
    return 2 * same / (len(words) + len(right))
