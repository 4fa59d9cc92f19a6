"""Answers that do not look at the question, or only copy it: the majority class, the source itself, nothing at all."""

from collections import Counter
from collections.abc import Sequence

from chidu.tasks.baselines.baseline import Answerer, Baseline
from chidu.tasks.example import Example, Prediction


def fit_majority(train: Sequence[Example]) -> Answerer:
    """The commonest answer of the training examples, with the answers' shares as probabilities."""
    counts = Counter(example.targets[0] for example in train)
    shares = {answer: count / len(train) for answer, count in sorted(counts.items())}
    top = max(shares, key=lambda answer: shares[answer])
    few = len(shares) <= 1000
    return lambda examples: [Prediction(text=top, probabilities=shares if few else {}) for _ in examples]


def fit_copy(train: Sequence[Example]) -> Answerer:
    """The source, word for word."""
    return lambda examples: [Prediction(text=example.source) for example in examples]


def fit_empty(train: Sequence[Example]) -> Answerer:
    """Nothing."""
    return lambda examples: [Prediction(text="") for _ in examples]


MAJORITY = Baseline("majority answer", fit_majority)
COPY = Baseline("copy of the source", fit_copy, trained=False)
EMPTY = Baseline("empty answer", fit_empty, trained=False)
