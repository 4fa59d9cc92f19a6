"""Answers and summaries that are a sentence of the text: the first, the likest, or the one that a regression picks."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from chidu.stats import Array
from chidu.tasks.baselines.baseline import Answerer, Baseline
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.metrics.matching import words_of
from chidu.tasks.metrics.rouge import rouge_rows

ENDS = re.compile(r"[。！？；]+[”’」』）]*|[.!?]+[\"'”’)]*(?=\s+[\"'“‘(]?[A-Z0-9]|\s*$)|\n+")
SHORT = re.compile(r"(\b[A-Z]|\b(e\.g|i\.e|al|vs|etc|cf|Dr|Mr|Mrs|St|Fig|Eq))\.$")
"""A full stop after one of these ends no sentence."""
PIECES = re.compile(r"[a-z0-9]+|\S")
"""Of Chinese text: words of Latin letters and digits, and every other character."""
CLAUSES = re.compile(r"[，,、：:()（）]+")
RIDGES = (10.0, 100.0, 1000.0)
"""Penalties of the ridge regression that are tried, on standardised features."""
WORDS_KEPT = 300
"""Words, of those that most training sentences have, that are features of the ridge regression."""
SHORTER = 0.25
"""Power of a sentence's number of words that its overlap with the question is divided by."""
LEADS = (10, 15, 20, 25, 30, 40)
"""Lengths of a lead in characters that are tried for Chinese."""


def split_sentences(text: str) -> list[str]:
    """Sentences in order, without space around them; a text without any end is one. Nothing but space is lost."""
    pieces, start = [], 0
    for end in ENDS.finditer(text):
        if not SHORT.search(text[start : end.end()]):
            pieces.append(text[start : end.end()].strip())
            start = end.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece] or [""]


def fit_lead(train: Sequence[Example]) -> Answerer:
    """The first sentence."""
    return lambda examples: [Prediction(text=split_sentences(example.source)[0]) for example in examples]


def fit_opening(length: int) -> Callable[[Sequence[Example]], Answerer]:
    """The first characters, so many of them."""
    return lambda train: lambda examples: [Prediction(text=example.source[:length]) for example in examples]


def fit_overlap(train: Sequence[Example], clauses: bool) -> Answerer:
    """The sentence of the passage, or the part between commas, that shares most with the question.

    Shared words count by their rarity in the passage's sentences, over a root of the sentence's number of words.
    """

    def answer(examples: Sequence[Example]) -> list[Prediction]:
        chinese = is_chinese([example.source for example in examples])
        return [Prediction(text=best_overlap(example, chinese, clauses)) for example in examples]

    return answer


def best_overlap(example: Example, by_character: bool, clauses: bool) -> str:
    """The part of an example's context that shares most with its question."""
    parts = split_sentences(example.context or "")
    if clauses:
        parts = [clause.strip() for part in parts for clause in CLAUSES.split(part) if clause.strip()] or parts
    grams = [_features(part, by_character) for part in parts]
    known = Counter(gram for found in grams for gram in found)
    question = _features(example.source, by_character)
    worth = [
        sum(np.log(1 + len(parts) / known[gram]) for gram in found & question) / max(1, len(found)) ** SHORTER
        for found in grams
    ]
    return parts[int(np.argmax(worth))]


def fit_ridge(train: Sequence[Example], penalty: float) -> Answerer:
    """The sentence whose ROUGE-L a ridge regression expects to be highest.

    Its features are the sentence's place, length and likeness to the whole text, and the commonest words. Where a
    summary is much shorter than sentences are, as titles are, clauses compete too.
    """
    chinese = is_chinese([example.source for example in train])
    parts = [_parts(example.source, chinese) for example in train]
    answers = [part for group in parts for part in group]
    references = [example.targets for example, group in zip(train, parts, strict=True) for _ in group]
    worth = np.array([row[2] for row in rouge_rows(answers, references, chinese)])
    common = Counter(word for part in answers for word in set(_words(part, chinese)))
    vocabulary = [word for word, _ in common.most_common(WORDS_KEPT)]
    rows = np.vstack([_describe(group, vocabulary, chinese) for group in parts])
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    scaled = (rows - middle) / spread
    slopes = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(scaled.shape[1]), scaled.T @ (worth - worth.mean()))

    def pick(example: Example) -> Prediction:
        group = _parts(example.source, chinese)
        return Prediction(
            text=group[int(np.argmax((_describe(group, vocabulary, chinese) - middle) / spread @ slopes))]
        )

    return lambda examples: [pick(example) for example in examples]


def _parts(text: str, chinese: bool) -> list[str]:
    """Sentences; in Chinese, where titles are asked for, clauses beside them."""
    sentences = split_sentences(text)
    if not chinese:
        return sentences
    return [*sentences, *(piece.strip() for part in sentences for piece in CLAUSES.split(part) if len(piece) > 4)]


def _describe(parts: Sequence[str], vocabulary: Sequence[str], chinese: bool) -> Array:
    """Features of each part of one text, [parts, features]."""
    bags = [Counter(_words(part, chinese)) for part in parts]
    whole = Counter(word for bag in bags for word in bag)
    rows = []
    for i, (part, bag) in enumerate(zip(parts, bags, strict=True)):
        words = sum(bag.values())
        shared = sum(whole[word] - 1 for word in bag) / max(1, len(bag) * len(parts))
        place = [i == 0, i == 1, i == len(parts) - 1, i / len(parts)]
        size = [
            np.log1p(words),
            np.log1p(words) ** 2,
            len(part) / max(1, words),
            shared,
            any(c.isdigit() for c in part),
        ]
        rows.append([*place, *size, *(min(1, bag[word]) for word in vocabulary)])
    return np.array(rows, dtype=float)


def _words(text: str, by_character: bool) -> list[str]:
    """Words to compare texts by, without case and punctuation."""
    if not by_character:
        return words_of(text, by_character)
    plain = unicodedata.normalize("NFKC", text).lower()
    return PIECES.findall("".join(c for c in plain if not unicodedata.category(c).startswith("P")))


def _features(text: str, by_character: bool) -> set[tuple[str, ...]]:
    """Words, or characters and their pairs."""
    words = _words(text, by_character)
    return {(word,) for word in words} | (set(pairwise(words)) if by_character else set())


LEAD = Baseline("lead sentence", fit_lead, trained=False)
OPENINGS = [Baseline(f"lead {length} characters", fit_opening(length), trained=False) for length in LEADS]
PICKED = [
    Baseline("ridge regression (penalty 10) picks a sentence", lambda train: fit_ridge(train, RIDGES[0])),
    Baseline("ridge regression (penalty 100) picks a sentence", lambda train: fit_ridge(train, RIDGES[1])),
    Baseline("ridge regression (penalty 1000) picks a sentence", lambda train: fit_ridge(train, RIDGES[2])),
]
OVERLAP = [
    Baseline("best-overlap sentence", lambda train: fit_overlap(train, clauses=False), trained=False),
    Baseline("best-overlap clause", lambda train: fit_overlap(train, clauses=True), trained=False),
]
