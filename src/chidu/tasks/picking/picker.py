"""A regression of ROUGE-L picks the part of a text that sums it up: n-grams by ridge, then trees on what it says.

Two steps, as in stacked generalisation (Wolpert 1992): a ridge regression of n-grams, first and last words and the
numbers of `description`, which every training text is scored by without having been learnt from (five folds); then
gradient-boosted trees (Friedman 2001; scikit-learn's, on histograms) of those numbers and of that score, which see
what no sum of features says: a good sentence may be too long. What is learnt is how far a part stands above the mean of
its text. Shapes: C candidates of all texts, F features.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.stats import Array
from chidu.tasks.baselines.baseline import Answerer
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.metrics.libraries import load
from chidu.tasks.metrics.subsequence import rouge_l, rouge_words
from chidu.tasks.picking.description import Parts, describe, read_parts
from chidu.tasks.rarity import Rarity

FOLDS = 5
PENALTY = 300.0
"""Of the ridge regression, on features of unit spread or of zero and one."""
SEEN, SEEN_AT_EDGE = 20, 10
"""Candidates that an n-gram must stand in, and a word at an edge, to be a feature."""
TREES: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "l2_regularization": 10.0,
    "max_features": 0.3,
    "early_stopping": False,
}
FORESTS = 2
"""Fits of different seeds whose mean is taken."""


def fit_picker(train: Sequence[Example], *, trees: int = 150, leaf: int = 50, seed: int = 0) -> Answerer:
    """Learn from texts and their summaries; the answers are parts of the text.

    Args:
        train: the texts, at least as many as there are folds.
        trees: of each forest.
        leaf: candidates that a leaf holds at least.
        seed: of the choice of features in the trees.

    Raises:
        InputError: too few texts, or scikit-learn is missing.
    """
    if len(train) < FOLDS:
        raise InputError(f"{len(train)} texts are too few to learn picking from; give {FOLDS} or more")
    chinese = is_chinese([example.source for example in train])
    parts = [read_parts(example.source, chinese) for example in train]
    wanted_C = _above_mean(parts, train, chinese)
    reader = _Reader.learn(parts, chinese)
    numbers_CF, rows_CF = reader.read(parts)
    fold_C = np.repeat(np.arange(len(parts)) % FOLDS, [len(one.words) for one in parts])
    score_C, ridges = np.zeros(len(wanted_C)), []
    for fold in range(FOLDS):
        out = fold_C == fold
        ridges.append(_ridge().fit(rows_CF[~out], wanted_C[~out]))
        score_C[out] = ridges[-1].predict(rows_CF[out])
    forest = load("sklearn.ensemble").HistGradientBoostingRegressor
    inputs = np.column_stack([numbers_CF, _compare(score_C, parts)])
    forests = [
        forest(max_iter=trees, min_samples_leaf=leaf, random_state=seed + i, **TREES).fit(inputs, wanted_C)
        for i in range(FORESTS)
    ]

    def answer(examples: Sequence[Example]) -> list[Prediction]:
        asked = [read_parts(example.source, chinese) for example in examples]
        numbers, rows = reader.read(asked)
        score = np.mean([ridge.predict(rows) for ridge in ridges], axis=0)
        inputs = np.column_stack([numbers, _compare(score, asked)])
        value = np.mean([each.predict(inputs) for each in forests], axis=0)
        return [Prediction(text=one.candidates[int(own.argmax())].text) for one, own in _split(value, asked)]

    return answer


@dataclass(frozen=True, eq=False)
class _Reader:
    """Turns candidates into rows: the numbers of `description` for the trees; n-grams beside them for the ridge."""

    chinese: bool
    rarity: Rarity[str]
    middle_F: Array
    spread_F: Array
    ngrams: Any
    edges: Any

    @classmethod
    def learn(cls, parts: Sequence[Parts], chinese: bool) -> "_Reader":
        count = load("sklearn.feature_extraction.text").CountVectorizer
        options: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b|,"}
        if chinese:
            options = {"analyzer": "char"}
        ngrams = count(binary=True, min_df=_floor(SEEN, parts), ngram_range=(1, 3), **options)
        edges = count(binary=True, min_df=_floor(SEEN_AT_EDGE, parts), token_pattern=r"\S+", lowercase=False)
        texts = [one.text for each in parts for one in each.candidates]
        rarity = Rarity.count(one.whole for one in parts)
        numbers = describe(parts, rarity, chinese)
        ngrams.fit(texts)
        edges.fit([_edges(text, chinese) for text in texts])
        return cls(chinese, rarity, numbers.mean(axis=0), numbers.std(axis=0) + 1e-9, ngrams, edges)

    def read(self, parts: Sequence[Parts]) -> tuple[Array, Any]:
        """The numbers, [C, F], and the sparse rows of everything."""
        from scipy.sparse import csr_matrix, hstack

        texts = [one.text for each in parts for one in each.candidates]
        numbers = describe(parts, self.rarity, self.chinese)
        scaled = csr_matrix((numbers - self.middle_F) / self.spread_F)
        edges = self.edges.transform([_edges(text, self.chinese) for text in texts])
        return numbers, hstack([scaled, self.ngrams.transform(texts), edges]).tocsr()


def _ridge() -> Any:
    return load("sklearn.linear_model").Ridge(alpha=PENALTY, solver="lsqr", max_iter=60)


def _floor(seen: int, parts: Sequence[Parts]) -> int:
    """The same threshold for few texts: no more than one candidate in a hundred."""
    return max(1, min(seen, sum(len(one.words) for one in parts) // 100))


def _edges(text: str, chinese: bool) -> str:
    """The first and last words of a part, each marked with where it stands."""
    if chinese:
        return " ".join(f"first{n}_{text[:n]} last{n}_{text[-n:]}" for n in (1, 2, 3)).replace("\n", "_")
    words = re.findall(r"\w+", text.lower())
    first = [f"first{i}_{word}" for i, word in enumerate(words[:4])]
    return " ".join([*first, "begins_" + "_".join(words[:2]), "ends_" + "_".join(words[-1:])])


def _above_mean(parts: Sequence[Parts], train: Sequence[Example], chinese: bool) -> Array:
    """ROUGE-L of each candidate minus the mean of its text's, [C]."""
    out = []
    for one, example in zip(parts, train, strict=True):
        references = [rouge_words(target, chinese) for target in example.targets]
        worth = np.array([rouge_l(words, references) for words in one.words])
        out.append(worth - worth.mean())
    return np.concatenate(out)


def _compare(score_C: Array, parts: Sequence[Parts]) -> Array:
    """The ridge's score, how far it is below the text's best, and its rank in the text, [C, 3]."""
    rows = [
        np.column_stack([own, own - own.max(), np.argsort(np.argsort(-own, kind="stable"), kind="stable")])
        for _, own in _split(score_C, parts)
    ]
    return np.concatenate(rows)


def _split(values_C: Array, parts: Sequence[Parts]) -> list[tuple[Parts, Array]]:
    """The values of each text's own candidates."""
    ends = np.cumsum([len(one.words) for one in parts])[:-1]
    return list(zip(parts, np.split(values_C, ends), strict=True))
