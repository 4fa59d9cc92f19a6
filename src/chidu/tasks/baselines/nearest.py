"""The answer of the nearest training example: translation, or anything, by remembering alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chidu.tasks.baselines.baseline import Answerer, Baseline, read_features
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.metrics.libraries import load

BATCH = 256
"""Examples whose similarities to all training examples are held at once."""


def fit_nearest(train: Sequence[Example], by: str) -> Answerer:
    """Answer as the training example whose source is most alike does: the largest cosine of TF-IDF rows.

    Args:
        train: the examples to remember.
        by: `words`, single words and pairs, or `characters`, 1- to 4-grams.
    """
    sources = [example.source for example in train]
    chinese = is_chinese(sources)
    options: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)}
    if chinese or by == "characters":
        options = {"analyzer": "char", "ngram_range": (1, 2) if by == "words" else (1, 4)}
    reader = load("sklearn.feature_extraction.text").TfidfVectorizer(sublinear_tf=True, **options)
    remembered = read_features(reader, sources).T.tocsr()

    def answer(examples: Sequence[Example]) -> list[Prediction]:
        out = []
        for start in range(0, len(examples), BATCH):
            rows = reader.transform([example.source for example in examples[start : start + BATCH]])
            alike = (rows @ remembered).toarray()
            out += [Prediction(text=train[int(i)].targets[0]) for i in np.argmax(alike, axis=1)]
        return out

    return answer


NEAREST = [
    Baseline("nearest training example, words", lambda train: fit_nearest(train, "words")),
    Baseline("nearest training example, characters", lambda train: fit_nearest(train, "characters")),
]
