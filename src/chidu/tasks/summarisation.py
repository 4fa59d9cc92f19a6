"""Summarisation: a text becomes a sentence or a title."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.sentences import LEAD, OPENINGS, PICKED
from chidu.tasks.example import Example, Prediction, is_chinese, text_field
from chidu.tasks.metrics.rouge import rouge
from chidu.tasks.score import Metric
from chidu.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Summarisation(Task):
    """ROUGE-L, -1 and -2, Chinese by character; the baselines are leads and the sentence that a regression picks."""

    key: ClassVar[str] = "summarisation"
    fields: ClassVar[dict[str, str]] = {
        "text": "the text",
        "summary": "a summary of it",
        "summaries": "instead of summary: a list of several, of which the best counts",
    }

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        summaries = record.get("summaries", [record.get("summary")])
        if not isinstance(summaries, list) or not summaries or not all(isinstance(text, str) for text in summaries):
            raise ValueError('no field "summary" with a string, and none "summaries" with a list of strings')
        return [Example(source=text_field(record, "text"), targets=tuple(summaries))]

    def prompt(self, example: Example) -> str:
        """See Task."""
        return f"{example.source}\nSummary: "

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task."""
        references = [example.targets for example in examples]
        one, two, longest = rouge([prediction.text for prediction in predictions], references)
        return [longest, one, two]

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        openings = OPENINGS if is_chinese([example.source for example in examples]) else []
        return [LEAD, *openings, *PICKED]
