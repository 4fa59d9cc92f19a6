"""Points at the span of a passage that answers a question: its units are scored, then its likeliest spans are ranked.

Two steps, as in stacked generalisation (Wolpert 1992). A `Scorer` says of each unit whether the answer begins there,
ends there, holds it; in training each passage is scored by one that has not learnt from it. Then gradient-boosted trees
(Friedman 2001; scikit-learn's, on histograms) expect, from what `traits` says of a span, how far its F1 with the answer
is above the mean of its passage's spans; the span that promises most is the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.metrics.libraries import load
from chidu.tasks.pointing.clues import Clues, find_clues
from chidu.tasks.pointing.labels import locate, nearness
from chidu.tasks.pointing.reading import Whole, count_rarity, read
from chidu.tasks.pointing.scorer import Scorer, Scores, Span, fit_scorer, score
from chidu.tasks.pointing.spans import find_spans
from chidu.tasks.pointing.traits import KIND, Joins, describe
from chidu.tasks.rarity import Rarity

FOLDS = 3
SENTENCES = {True: 6, False: 8}
"""Sentences of a passage that are read; keyed by whether it is Chinese."""
TREES: dict[str, Any] = {
    "learning_rate": 0.08,
    "max_leaf_nodes": 31,
    "l2_regularization": 10.0,
    "max_features": 0.4,
    "early_stopping": False,
    "categorical_features": [KIND],
}


@dataclass(frozen=True, eq=False)
class Pointer:
    """What was learnt; called with examples, it answers them."""

    chinese: bool
    rarity: Rarity[int]
    joins: Joins
    scorers: tuple[Scorer, ...]
    trees: Any

    def __call__(self, examples: Sequence[Example]) -> list[Prediction]:
        """The span of each passage that promises most."""
        clues = [find_clues(read(one, self.chinese), self.rarity, SENTENCES[self.chinese]) for one in examples]
        heard = zip(*(score(scorer, clues) for scorer in self.scorers), strict=True)
        scores = [_mean(own) for own in heard]
        spans = [find_spans(one, own) for one, own in zip(clues, scores, strict=True)]
        rows = [describe(*each, self.joins) for each in zip(clues, scores, spans, strict=True)]
        values = np.split(self.trees.predict(np.concatenate(rows)), np.cumsum([len(one) for one in spans])[:-1])
        best = [own[value.argmax()] for own, value in zip(spans, values, strict=True)]
        return [Prediction(text=_text(one, span)) for one, span in zip(clues, best, strict=True)]


def fit_pointer(train: Sequence[Example], *, trees: int = 150, leaf: int = 50, seed: int = 0) -> Pointer:
    """Learn from questions, their passages and answers; what it answers is a part of the passage.

    Args:
        train: questions with passages, of at least as many passages as there are folds.
        trees: that rank the spans.
        leaf: spans that a leaf holds at least.
        seed: of the scorers' first values and the order that they learn in, and of the choice of traits in the trees.

    Raises:
        InputError: too few passages, a question without one, or scikit-learn is missing.
    """
    folds_T = _folds(train)
    chinese = is_chinese([example.source for example in train])
    readings = [read(example, chinese) for example in train]
    rarity, joins = count_rarity(readings), Joins.count(readings)
    clues = [find_clues(reading, rarity, SENTENCES[chinese]) for reading in readings]
    scorers, scores = _score_unlearnt(clues, [locate(reading) for reading in readings], folds_T, seed)
    rows, worth = [], []
    for one, own in zip(clues, scores, strict=True):
        spans = find_spans(one, own)
        rows.append(describe(one, own, spans, joins))
        value = nearness(one.reading, one.kept_K[spans])
        worth.append(value - value.mean())
    forest = load("sklearn.ensemble").HistGradientBoostingRegressor
    fitted = forest(max_iter=trees, min_samples_leaf=leaf, random_state=seed, **TREES)
    return Pointer(chinese, rarity, joins, tuple(scorers), fitted.fit(np.concatenate(rows), np.concatenate(worth)))


def _score_unlearnt(
    clues: Sequence[Clues], answers: Sequence[Span | None], folds_T: Whole, seed: int
) -> tuple[list[Scorer], list[Scores]]:
    """A scorer for each fold, and the scores of each question by the one that has not learnt from its passage."""
    scorers: list[Scorer] = []
    scores: dict[int, Scores] = {}
    for fold in range(FOLDS):
        learnt = np.flatnonzero(folds_T != fold).tolist()
        scorers.append(fit_scorer([clues[i] for i in learnt], [answers[i] for i in learnt], seed + fold))
        others = np.flatnonzero(folds_T == fold).tolist()
        scores |= zip(others, score(scorers[-1], [clues[i] for i in others]), strict=True)
    return scorers, [scores[i] for i in range(len(clues))]


def _folds(train: Sequence[Example]) -> Whole:
    """Which fold each question is in: all of one passage in the same."""
    places: dict[str, int] = {}
    for example in train:
        if not example.context:
            raise InputError("a question has no passage to point into; give each a context")
        places.setdefault(example.context, len(places))
    if len(places) < FOLDS:
        raise InputError(f"{len(places)} passages are too few to learn pointing from; give {FOLDS} or more")
    return np.array([places[example.context or ""] % FOLDS for example in train])


def _mean(heard: Sequence[Scores]) -> Scores:
    """Of several scorers."""
    return Scores(
        *(np.mean([getattr(one, name) for one in heard], axis=0) for name in ("begin_K", "end_K", "inside_K"))
    )


def _text(clues: Clues, span: Whole) -> str:
    return clues.reading.text(*clues.kept_K[span])
