"""The one form of all tasks: examples from a file, the prompt that a model reads, the scores of what it answered."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline, choose
from chidu.tasks.example import Example, Prediction, read_examples
from chidu.tasks.score import LEVEL, Metric, Score, make_score


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A task with its settings, if it has any; see `chidu.tasks.TASKS` for all of them."""

    key: ClassVar[str]
    """Its name on the command line."""
    fields: ClassVar[dict[str, str]]
    """Of a record of its JSONL file: what each field holds."""

    def examples(self, path: Path) -> list[Example]:
        """Read a JSONL file, `.gz` or not.

        Raises:
            InputError: a record lacks a field, or the file is missing or empty.
        """
        return read_examples(path, self.convert)

    @abstractmethod
    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """Examples of one record; ValueError where a field is missing or wrong."""

    def prompt(self, example: Example) -> str:
        """What a language model goes on from; an encoder reads the parts of the example themselves."""
        return f"{example.source}\n"

    def pair(self, example: Example) -> tuple[str, str]:
        """Prompt and answer to train on; the loss counts on the answer only."""
        return self.prompt(example), example.targets[0] if example.targets else ""

    def stops(self, example: Example) -> tuple[str, ...]:
        """Strings that end a generated answer, beside end-of-text; they are cut off."""
        return ()

    @abstractmethod
    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """The metrics of one prediction an example; the first is the one that baselines are chosen by."""

    @abstractmethod
    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """The simple methods that fit these examples."""

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        *,
        train: Sequence[Example] = (),
        valid: Sequence[Example] = (),
        level: float = LEVEL,
        seed: int = 0,
    ) -> list[Score]:
        """Score predictions, with the best simple baseline beside each metric.

        Args:
            examples: what was asked.
            predictions: one an example.
            train: what baselines may learn from.
            valid: what the best of them is chosen on.
            level: of the intervals.
            seed: of the bootstrap.

        Raises:
            ValueError: not one prediction an example.
        """
        if len(examples) != len(predictions) or not examples:
            raise ValueError(f"{len(predictions)} predictions for {len(examples)} examples")
        found = self.metrics(examples, predictions)
        lower = found[0].lower_is_better
        best = choose(self.baselines(examples), train, valid, self.judge, lower_is_better=lower)
        beside = {m.name: m for m in self.metrics(examples, best.answer(examples))} if best else {}
        return [
            make_score(
                self.key,
                metric,
                level=level,
                seed=seed,
                baseline=(best.name, beside[metric.name]) if best and metric.name in beside else None,
                chosen_among=best.values if best else None,
            )
            for metric in found
        ]

    def judge(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        """The first metric as a number."""
        return self.metrics(examples, predictions)[0].measure.value()

    def to_json(self) -> dict[str, Any]:
        """Its key and settings."""
        return {"task": self.key, **asdict(self)}
