"""Translation: a sentence in one language becomes one in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.constant import COPY
from chidu.tasks.baselines.nearest import NEAREST
from chidu.tasks.example import Example, Prediction, text_field
from chidu.tasks.metrics.overlap import bleu, chrf
from chidu.tasks.score import Metric
from chidu.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Translation(Task):
    """BLEU and chrF by sacrebleu; the baselines are a copy and the nearest training example."""

    key: ClassVar[str] = "translation"
    fields: ClassVar[dict[str, str]] = {
        "SOURCE": "the text to translate: the field named by --source, such as en",
        "TARGET": "its translation: the field named by --target, such as de; or a list of several",
    }

    source: str = "source"
    """Name of the field with the text to translate."""
    target: str = "target"
    """Name of the field with its translation."""

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        targets = record.get(self.target)
        if isinstance(targets, str):
            targets = [targets]
        if not isinstance(targets, list) or not targets or not all(isinstance(text, str) for text in targets):
            raise ValueError(f'the field "{self.target}" must hold a translation or a list of them')
        return [Example(source=text_field(record, self.source), targets=tuple(targets))]

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task."""
        answers, references = [prediction.text for prediction in predictions], [example.targets for example in examples]
        return [bleu(answers, references), chrf(answers, references)]

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        return [COPY, *NEAREST]
