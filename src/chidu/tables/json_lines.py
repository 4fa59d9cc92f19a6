"""JSONL: an object a line; and JSON: a list of objects, an object of columns, or one object that is a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chidu.errors import InputError
from chidu.tables.files import parse_json
from chidu.tables.sheet import Sheet, fill, flatten

Numbered = list[tuple[int, Mapping[str, Any]]]


def read_json_table(path: Path, text: str, suffix: str) -> Sheet:
    """Read runs from JSON or JSONL, whichever it is; nested objects become columns such as `config/lr`.

    Raises:
        InputError: it is not valid JSON, or holds no objects.
    """
    if suffix in (".jsonl", ".ndjson"):
        return make_json_sheet(path, _read_lines(path, text), "line")
    try:
        value = parse_json(path, text)
    except InputError:
        first, more, _ = text.strip().partition("\n")
        if more and _load(first) is not None:  # an object a line, whatever the file is called
            return make_json_sheet(path, _read_lines(path, text), "line")
        raise
    return make_json_sheet(path, list(enumerate(_find_objects(path, value), start=1)), "row")


def make_json_sheet(path: Path, objects: Numbered, word: str) -> Sheet:
    """Make a sheet of objects that were read; where they have a config and a summary they are a tracker's."""
    if not objects:
        raise InputError(f"{path} is empty; it needs an object a run, with params, tokens and loss")
    tracked = all("config" in value and "summary" in value for _, value in objects)
    header, rows = fill((line, flatten(_unpack(value))) for line, value in objects)
    return Sheet(path=path, header=header, rows=rows, word=word, tracked=tracked)


def _unpack(value: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parts that a tracker stores as JSON in a string."""
    packed = [key for key, item in value.items() if isinstance(item, str) and item.startswith("{")]
    return {**value, **{key: _load(value[key], value[key]) for key in packed}}


def _load(text: str, otherwise: Any = None) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


def _read_lines(path: Path, text: str) -> Numbered:
    objects: Numbered = []
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        value = parse_json(path, content, line)
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {line}: {type(value).__name__}, not an object; mend or delete it")
        objects.append((line, value))
    return objects


def _find_objects(path: Path, value: Any) -> Sequence[Mapping[str, Any]]:
    """The runs in a JSON value."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if _is_objects(item)]
        if len(lists) == 1:  # {"runs": [...], ...}
            return list(lists[0])
        return _turn(path, value) or [value]
    if isinstance(value, list) and not value:
        return []
    if not _is_objects(value):
        raise InputError(f"{path} holds no objects; write a list of them, one a run")
    return list(value)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _turn(path: Path, value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An object of columns, `{"params": [...]}` or pandas' `{"params": {"0": ...}}`, as rows; empty if it is none."""
    if not value:
        return []
    if all(isinstance(item, dict) and item and all(key.isdigit() for key in item) for item in value.values()):
        keys = dict.fromkeys(key for item in value.values() for key in item)
        return [{name: item.get(key) for name, item in value.items()} for key in keys]
    if not all(isinstance(item, list) for item in value.values()):
        return []
    lengths = {len(item) for item in value.values()}
    if len(lengths) > 1:
        raise InputError(f"{path} has columns of {' and '.join(str(n) for n in sorted(lengths))} values; mend it")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
