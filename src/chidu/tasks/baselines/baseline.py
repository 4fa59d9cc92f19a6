"""What a simple method is: fitted on the training examples, asked for the test's; the best is chosen on validation."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chidu.tasks.example import Example, Prediction


class NothingLearntError(Exception):
    """The training examples have nothing that a method could learn from, such as no word that two of them share."""


Answerer = Callable[[Sequence[Example]], list[Prediction]]
"""A fitted method: examples in, one prediction each."""


def read_features(reader: Any, texts: Sequence[str]) -> Any:
    """Fit one of scikit-learn's readers of text, and its sparse rows of these texts.

    Raises:
        NothingLearntError: it finds no feature.
    """
    try:
        return reader.fit_transform(texts)
    except ValueError as error:
        raise NothingLearntError(str(error)) from None


@dataclass(frozen=True)
class Baseline:
    """A method by name; `fit` learns from training examples, of which there may be none."""

    name: str
    fit: Callable[[Sequence[Example]], Answerer]
    trained: bool = True
    """Whether it needs training examples."""


@dataclass(frozen=True)
class Chosen:
    """The baseline that did best on the validation split."""

    name: str
    answer: Answerer
    values: dict[str, float]
    """What each candidate got there."""


def choose(
    candidates: Sequence[Baseline],
    train: Sequence[Example],
    valid: Sequence[Example],
    judge: Callable[[Sequence[Example], Sequence[Prediction]], float],
    *,
    lower_is_better: bool = False,
) -> Chosen | None:
    """Fit the candidates and take the one that `judge` likes best on the validation split.

    Without training examples only those that need none compete; without a validation split the training examples judge,
    which favours what remembers them, so that only those that need no training compete either. Those that find nothing
    to learn are left out. None where none is left.
    """
    able = [candidate for candidate in candidates if (train and valid) or not candidate.trained]
    fitted = {}
    for candidate in able:
        with contextlib.suppress(NothingLearntError):
            fitted[candidate.name] = candidate.fit(train)
    if not fitted:
        return None
    judges = valid or train
    if len(fitted) == 1 or not judges:
        name = next(iter(fitted))
        return Chosen(name, fitted[name], {})
    values = {name: judge(judges, answer(judges)) for name, answer in fitted.items()}
    best = min(values, key=lambda name: values[name] if lower_is_better else -values[name])
    return Chosen(best, fitted[best], values)
