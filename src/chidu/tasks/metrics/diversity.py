"""Generated text by itself: distinct n-grams (1510.03055, section 5.1) and repetition (1908.04319, eq. 5)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chidu.tasks.measure import Whole, mean_of
from chidu.tasks.score import Metric

Gram = tuple[str, ...]


def split_words(text: str, by_character: bool) -> list[str]:
    """Words between spaces, or characters that are no space."""
    return [c for c in text if not c.isspace()] if by_character else text.split()


def grams(words: Sequence[str], n: int) -> list[Gram]:
    """The n-grams of a text, in order."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def distinct(texts: Sequence[str], n: int, by_character: bool) -> Metric:
    """Different n-grams over all n-grams of all texts, 0 to 1; it falls with their amount: compare equal amounts."""
    numbers: dict[Gram, int] = {}
    rows = []
    for text in texts:
        found = grams(split_words(text, by_character), n)
        rows.append(np.array([numbers.setdefault(gram, len(numbers)) for gram in found], dtype=np.int64))

    def of_picks(picks: NDArray[np.int64]) -> float:
        every = np.concatenate([rows[i] for i in picks])
        return len(np.unique(every)) / len(every) if len(every) else 0.0

    return Metric(f"distinct-{n}", Whole(len(texts), of_picks), f"unit:{_unit(by_character)}|texts:{len(texts)}")


def repetition(texts: Sequence[str], n: int, by_character: bool) -> Metric:
    """Share of a text's n-grams that stood in it before, averaged over texts, 0 to 1."""
    values = []
    for text in texts:
        found = grams(split_words(text, by_character), n)
        values.append(1 - len(set(found)) / len(found) if found else 0.0)
    return Metric(f"repetition-{n}", mean_of(np.array(values)), f"unit:{_unit(by_character)}")


def _unit(by_character: bool) -> str:
    return "characters" if by_character else "words"
