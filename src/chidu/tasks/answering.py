"""Question answering: from a passage, where the answer may stand word for word, or without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.constant import MAJORITY
from chidu.tasks.baselines.nearest import NEAREST
from chidu.tasks.baselines.sentences import OVERLAP
from chidu.tasks.example import Example, Prediction, is_chinese, text_field
from chidu.tasks.metrics.matching import match
from chidu.tasks.score import Metric
from chidu.tasks.task import Task

FINAL = "####"
"""What stands before it in an answer is the way to it (2110.14168): it is trained on, and not scored."""


@dataclass(frozen=True, kw_only=True)
class Answering(Task):
    """F1 and exact match; the baselines are the best-overlap sentence, or without passages the nearest example.

    A span reader points into the passage (extractive); a language model writes the answer (generative). Both are scored
    alike.
    """

    key: ClassVar[str] = "answering"
    fields: ClassVar[dict[str, str]] = {
        "question": "the question",
        "context": "the passage that holds the answer; may be left out",
        "answers": "list of {text, answer_start}: right answers and the character of the passage where each starts, "
        "-1 where it does not stand there; a start at which it does not stand is taken as -1",
        "answer": "instead of answers: one right answer, which may end in #### and the part that is scored",
    }

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        question, context = text_field(record, "question"), record.get("context")
        if context is not None and not isinstance(context, str):
            raise ValueError('the field "context" must hold a string')
        answers = record.get("answers", [{"text": record.get("answer"), "answer_start": -1}])
        if not isinstance(answers, list) or not answers:
            raise ValueError('the field "answers" must hold a list of {text, answer_start}')
        texts, starts = [], []
        for answer in answers:
            if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
                raise ValueError('an answer must hold a string, in "answer" or in "answers" as {text, answer_start}')
            start = answer.get("answer_start", -1)
            if isinstance(start, bool) or not isinstance(start, int):
                raise ValueError('"answer_start" must be a whole number')
            text = answer["text"]
            stands = start >= 0 and (context or "")[start : start + len(text)].casefold() == text.casefold()
            texts.append(text)
            starts.append(start if stands else -1)
        return [Example(source=question, context=context, targets=tuple(texts), starts=tuple(starts))]

    def prompt(self, example: Example) -> str:
        """See Task."""
        passage = f"{example.context}\n" if example.context else ""
        return f"{passage}Question: {example.source}\nAnswer: "

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task."""
        references = [[final_part(text) for text in example.targets] for example in examples]
        answers = [final_part(prediction.text) for prediction in predictions]
        return match(answers, references, is_chinese([example.source for example in examples]))

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        if all(example.context for example in examples):
            return OVERLAP
        return [MAJORITY, *NEAREST]


def final_part(answer: str) -> str:
    """What stands after the last `FINAL` of an answer, or the whole of it."""
    return answer.rpartition(FINAL)[2].strip()
