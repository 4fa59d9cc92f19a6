"""A model is examined on a file of a task: its scores, each with the best simple baseline, and some answers to read."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model.text import TextTokenizer
from chidu.tasks import TASKS
from chidu.tasks.choice import Choice
from chidu.tasks.example import Example, Prediction, read_records, split_beside
from chidu.tasks.generation import Generation
from chidu.tasks.predicting import Decoding, predict
from chidu.tasks.score import LEVEL, Score
from chidu.tasks.task import Task
from chidu.tasks.translation import Translation
from chidu.tasks.tuned import Tuned

SHOWN = 5
"""Answers that are shown."""
CUT = 400
"""Characters of a prompt or an answer that are shown."""


@dataclass(frozen=True)
class Shown:
    """An answer to read."""

    prompt: str
    answer: str
    right: str


@dataclass(frozen=True)
class Examination:
    """What an examination found."""

    scores: tuple[Score, ...]
    shown: tuple[Shown, ...]

    def __str__(self) -> str:
        """The scores, then the answers."""
        lines = [str(score) for score in self.scores]
        for one in self.shown:
            lines += ["", f"> {one.prompt}", f"= {one.answer}", *([f"  right: {one.right}"] if one.right else [])]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"scores": [score.to_json() for score in self.scores], "shown": [asdict(one) for one in self.shown]}


def examine(
    tuned: Tuned,
    task: Task,
    examples: Sequence[Example],
    *,
    train: Sequence[Example] = (),
    valid: Sequence[Example] = (),
    how: Decoding = Decoding(),
    level: float = LEVEL,
    seed: int = 0,
    tell: Callable[[str, float], None] = lambda doing, part: None,
) -> Examination:
    """Let a model answer and score it.

    Raises:
        InputError: the model cannot do this task.
        Refusal: there is code to run, and no sandbox works here.
    """
    task = know_tokenizer(task, tuned.tokenizer)
    predictions = predict(tuned, task, examples, how, tell)
    scores = task.score(examples, predictions, train=train, valid=valid, level=level, seed=seed)
    return Examination(tuple(scores), tuple(show(task, examples, predictions)))


def know_tokenizer(task: Task, tokenizer: TextTokenizer) -> Task:
    """The task with the model's tokenizer, where it asks for one."""
    if isinstance(task, Choice) and isinstance(tokenizer, Tokenizer | HubTokenizer):
        return replace(task, tokenizer=tokenizer)
    if isinstance(task, Generation) and isinstance(tokenizer, Tokenizer):
        return replace(task, tokenizer=tokenizer)
    return task


def show(task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Shown]:
    """Some of the answers to read, evenly over the file."""
    picked = thin(list(range(len(examples))), SHOWN)
    return [
        Shown(
            _cut(task.prompt(examples[i]).strip()),
            _cut(predictions[i].text),
            _cut(examples[i].targets[0] if examples[i].targets else ""),
        )
        for i in picked
    ]


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[:CUT]}..."


def thin(items: list[Any], most: int) -> list[Any]:
    """At most so many items, evenly over the list; 0 for all."""
    if not most or most >= len(items):
        return items
    return [items[i * len(items) // most] for i in range(most)]


def find_task(key: str, path: Path | None, *, source: str = "", target: str = "") -> Task:
    """The task of that key, or the one that the first record of a file looks like.

    Raises:
        InputError: no such task, or the record fits none.
    """
    if key and key not in TASKS:
        raise InputError(f"there is no task {key}; there are {', '.join(TASKS)}")
    if source or target:
        if key not in ("", Translation.key) or not (source and target):
            raise InputError("--source and --target name both fields of a translation file; give both, or none")
        return Translation(source=source, target=target)
    if path is None and not key:
        raise InputError("name a task; without a file nothing says which it is")
    return TASKS[key or _guess(cast(Path, path))]()


def _guess(path: Path) -> str:
    if path.name.removesuffix(".gz").endswith(".txt"):
        return "generation"
    for _, record in read_records(path):
        looks = {
            "classification": {"text", "label"},
            "answering": {"question"},
            "summarisation": {"text", "summary"},
            "translation": {"source", "target"},
            "coding": {"test_list"},
        }
        if "choices" in record:
            return "choice"
        if "summaries" in record:
            return "summarisation"
        if {"prompt", "test"} <= set(record):
            return "coding"
        for key, fields in looks.items():
            if fields <= set(record):
                return key
        if "text" in record:
            return "generation"
        names = ", ".join(record)
        raise InputError(f"{path} has the fields {names}, which no task wants; give --task, or --source and --target")
    raise InputError(f"{path} is empty; name a file with one record a line")


def read_split(task: Task, named: Path | None, beside: Path, split: str) -> list[Example]:
    """The examples of a named file, or of the split's file beside another one; none where there is no such file."""
    path = named or split_beside(beside, split)
    return task.examples(path) if path is not None else []
