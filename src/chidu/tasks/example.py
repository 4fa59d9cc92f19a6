"""One exercise of a task, what a model answered to it, and the JSONL files that they come from."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chidu.data.records import jsonl_records
from chidu.errors import CorruptError, InputError

CHINESE = ("㐀", "鿿")
"""Range of the unified ideographs that count as Chinese: extension A and the basic block."""
CHINESE_SHARE = 0.2
"""A text of which more of the characters than this, spaces aside, are ideographs is taken for Chinese."""
SPLITS = ("train", "valid", "test")
HALF = re.compile("[\ud800-\udfff]")
"""What JSON can write, and UTF-8 cannot."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An exercise: what is read and what would be right."""

    source: str
    """The text to classify, translate or sum up; the question; the code to go on from; the text to be predicted."""
    targets: tuple[str, ...] = ()
    """Right answers, the first of them the one that is trained on; none where there is nothing to be right."""
    context: str | None = None
    """Of a question, the passage that holds the answer."""
    starts: tuple[int, ...] = ()
    """Character in the context at which each target starts; -1 where it does not stand there literally."""
    choices: tuple[str, ...] = ()
    """Of multiple choice, what is chosen from; the right one is the target."""
    check: str | None = None
    """Of code, a program that fails unless the answer, run before it, is right."""
    name: str = ""
    """Where it stands in its file, or the file's own identifier."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model, or a baseline, answered."""

    text: str
    """The answer; of several samples the first."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of a class, the probability of each label; empty where the model has none."""
    samples: tuple[str, ...] = ()
    """Further independent draws, the first included; empty where one was asked for."""
    choice_nats: tuple[float, ...] = ()
    """Of multiple choice, minus the log-probability of each choice after the prompt."""
    nats: float | None = None
    """Minus the log-probability of the example's source; None where it was not asked for."""
    stopped: bool = True
    """Whether the model ended the answer itself, rather than the limit of tokens."""


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSONL file, `.gz` or not, each with its place.

    Raises:
        InputError: no such file, not UTF-8, a line that is not a JSON object.
        CorruptError: a damaged gzip file.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; name a JSONL file, one object a line")
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for place, record in jsonl_records(path, lines):
                if not isinstance(record, dict):
                    raise InputError(f"{path}, {place}: not an object of fields; write one object a line")
                if HALF.search(json.dumps(record, ensure_ascii=False)):
                    raise InputError(
                        f"{path}, {place}: holds half of a surrogate pair, which is no text; mend the record"
                    )
                yield place, record
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; convert it to UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptError(f"{path} is a damaged gzip file ({error}); fetch it again") from None


def read_examples(path: Path, convert: Callable[[dict[str, Any]], Sequence[Example]]) -> list[Example]:
    """Read a task file; `convert` turns a record into examples and raises ValueError where a field is wrong.

    Raises:
        InputError: a record lacks a field, or no example is in the file.
        CorruptError: a damaged gzip file.
    """
    examples: list[Example] = []
    for place, record in read_records(path):
        try:
            examples += convert(record)
        except ValueError as error:
            raise InputError(f"{path}, {place}: {error}; mend or delete the record") from None
    if not examples:
        raise InputError(f"{path} holds no example of this task; name a file with one record a line")
    return examples


def text_field(record: dict[str, Any], *names: str) -> str:
    """The first of the named fields that the record has; ValueError where none holds a string."""
    for name in names:
        if name in record:
            if isinstance(record[name], str):
                return record[name]
            raise ValueError(f'the field "{name}" must hold a string')
    wanted = " or ".join(f'"{name}"' for name in names)
    raise ValueError(f"no field {wanted}, only {', '.join(record) or 'nothing'}")


def split_beside(path: Path, split: str) -> Path | None:
    """The file of another split beside one of them: `x.train.jsonl` for `x.test.jsonl`; None where there is none."""
    parts = path.name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        if parts[i] in SPLITS:
            beside = path.with_name(".".join([*parts[:i], split, *parts[i + 1 :]]))
            return beside if beside.is_file() else None
    return None


def is_chinese(texts: Sequence[str]) -> bool:
    """Whether texts are Chinese, by the share of ideographs among their characters."""
    letters = [character for text in texts[:1000] for character in text if not character.isspace()]
    low, high = CHINESE
    return bool(letters) and sum(low <= letter <= high for letter in letters) > CHINESE_SHARE * len(letters)
