"""Classification: a text gets one of some labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.constant import MAJORITY
from chidu.tasks.baselines.linear import linear_baselines
from chidu.tasks.example import Example, Prediction, text_field
from chidu.tasks.metrics.classes import accuracy, calibration_error, macro_f1
from chidu.tasks.score import Metric
from chidu.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Accuracy, macro-F1 and calibration error; the baselines are the majority class and linear n-gram models."""

    key: ClassVar[str] = "classification"
    fields: ClassVar[dict[str, str]] = {"text": "the text", "label": "its label, a string or a whole number"}

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        label = record.get("label")
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise ValueError('the field "label" must hold a string or a whole number')
        return [Example(source=text_field(record, "text"), targets=(str(label),))]

    def prompt(self, example: Example) -> str:
        """See Task."""
        return f"{example.source}\nLabel: "

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task; the calibration error only of predictions with probabilities."""
        labels = [example.targets[0] for example in examples]
        answers = [prediction.text for prediction in predictions]
        found = [accuracy(answers, labels), macro_f1(answers, labels)]
        if all(prediction.probabilities for prediction in predictions):
            found.append(calibration_error([prediction.probabilities for prediction in predictions], labels))
        return found

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        return [MAJORITY, *linear_baselines()]
