"""What every reader makes: rows of text under a header, and where each of them stood."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chidu.runs import SetAside

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as it stood, before anything is known of its columns."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
    """(line of the file or position counted from 1, column -> text)."""
    word: str = "row"
    """What a row is called in messages: `row`, `line`, or `run` for a folder's."""
    delimiter: str = ""
    """Of a text file; with a semicolon, commas are likely to be decimal."""
    tracked: bool = False
    """From an experiment tracker or logs: a run that lacks a value is set aside, where a table is to be mended."""
    advice: str = ""
    """What to do where a column is missing, beside mapping one."""
    notes: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()

    def where(self, line: int, name: str = "") -> str:
        """A row's place in words."""
        return f"{self.path}, run {name}" if self.word == "run" else f"{self.path}, {self.word} {line}"


def to_text(value: Any) -> str:
    """A value of JSON, YAML or Parquet as a CSV would hold it; numbers read back exactly."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Bring nested objects into one row: `{"config": {"lr": 1}}` -> `{"config/lr": "1"}`.

    W&B wraps the values of a config as `{"value": x, "desc": ...}`; the wrapping is taken off, its own keys are left.
    """
    row: dict[str, str] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if str(key) == "_wandb":
            continue
        if isinstance(item, Mapping) and "value" in item and item.keys() <= {"value", "desc"}:
            item = item["value"]
        if isinstance(item, Mapping):
            row |= flatten(item, f"{name}/")
        else:
            row[name] = to_text(item)
    return row


def gather(rows: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """All names of rows that do not all have the same, in the order in which they first come."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def fill(numbered: Iterable[tuple[int, Mapping[str, str]]]) -> tuple[tuple[str, ...], tuple[tuple[int, Row], ...]]:
    """A header for rows that lack some of each other's names, and the rows with the gaps empty."""
    kept = list(numbered)
    header = gather(row for _, row in kept)
    return header, tuple((line, {name: row.get(name, "") for name in header}) for line, row in kept)
