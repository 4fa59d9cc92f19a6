"""Linear models of n-grams: the methods that a small Transformer often fails to beat (1607.01759; Wang & Manning 2012).

Bags of words, TF-IDF and character n-grams, each with logistic regression, complement naive Bayes (Rennie et al. 2003)
and a linear support vector machine, all by scikit-learn. Chinese has no spaces: its words are characters and pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.stats import Array
from chidu.tasks.baselines.baseline import Answerer, Baseline, read_features
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.metrics.libraries import load

FEATURES = ("bag of words", "tf-idf", "characters")
MODELS = ("logistic", "naive Bayes", "linear SVM")
SEED = 0


def linear_baselines() -> list[Baseline]:
    """Every kind of feature with every model."""
    return [Baseline(f"{feature}, {model}", _Fit(feature, model)) for feature in FEATURES for model in MODELS]


class _Fit:
    """Fits one pair of features and model."""

    def __init__(self, feature: str, model: str) -> None:
        self.feature, self.model = feature, model

    def __call__(self, train: Sequence[Example]) -> Answerer:
        texts, labels = [example.source for example in train], [example.targets[0] for example in train]
        if len(set(labels)) < 2:
            raise InputError("all training examples have one label; name a file with two labels or more")
        reader = _reader(self.feature, is_chinese(texts))
        model = _model(self.model).fit(read_features(reader, texts), labels)
        names = [str(name) for name in model.classes_]

        def answer(examples: Sequence[Example]) -> list[Prediction]:
            rows = probabilities(model, reader.transform([example.source for example in examples]))
            return [
                Prediction(text=names[int(row.argmax())], probabilities=dict(zip(names, row.tolist(), strict=True)))
                for row in rows
            ]

        return answer


def probabilities(model: Any, features: Any) -> Array:
    """Probability of each label, [N, L]; a support vector machine's are the softmax of its margins, uncalibrated."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features))
    margins = np.asarray(model.decision_function(features))
    if margins.ndim == 1:
        margins = np.column_stack([-margins, margins])
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _reader(feature: str, chinese: bool) -> Any:
    """What turns texts into sparse rows."""
    text = load("sklearn.feature_extraction.text")
    words: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)}
    if chinese:
        words = {"analyzer": "char", "ngram_range": (1, 2)}
    if feature == "bag of words":
        return text.CountVectorizer(**words)
    if feature == "tf-idf":
        return text.TfidfVectorizer(sublinear_tf=True, **words)
    spans = {"analyzer": "char", "ngram_range": (1, 3)} if chinese else {"analyzer": "char_wb", "ngram_range": (2, 5)}
    return text.TfidfVectorizer(sublinear_tf=True, min_df=2, **spans)


def _model(name: str) -> Any:
    if name == "logistic":
        return load("sklearn.linear_model").LogisticRegression(C=10.0, max_iter=300)
    if name == "naive Bayes":
        return load("sklearn.naive_bayes").ComplementNB()
    return load("sklearn.svm").LinearSVC(random_state=SEED, dual="auto", max_iter=4000)
