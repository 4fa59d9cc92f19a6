"""What a simple method is: fitted on the training examples, asked for the test's; the best is chosen on validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chidu.tasks.example import Example, Prediction

Answerer = Callable[[Sequence[Example]], list[Prediction]]
"""A fitted method: examples in, one prediction each."""


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
    which favours what remembers them, so that only those that need no training compete either. None where none is left.
    """
    able = [candidate for candidate in candidates if (train and valid) or not candidate.trained]
    fitted = {candidate.name: candidate.fit(train) for candidate in able}
    if not fitted:
        return None
    judges = valid or train
    if len(fitted) == 1 or not judges:
        name = next(iter(fitted))
        return Chosen(name, fitted[name], {})
    values = {name: judge(judges, answer(judges)) for name, answer in fitted.items()}
    best = min(values, key=lambda name: values[name] if lower_is_better else -values[name])
    return Chosen(best, fitted[best], values)
