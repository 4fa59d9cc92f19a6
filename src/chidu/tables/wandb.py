"""Weights & Biases: the folder that a run leaves, and what its export and its API write.

The runs table of a project page, exported as CSV, has `Name`, `State`, `Created`, ... and a column for each value of
config and summary. The script of W&B's documentation ("Import and export data") writes `summary,config,name`, the
first two as Python dictionaries. A local folder holds `run-DATE-ID/files/` with `config.yaml`, whose values are wrapped
as `{desc, value}`, and `wandb-summary.json`, the last value of everything that was logged.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chidu.errors import InputError
from chidu.runs import SetAside
from chidu.tables.files import name_below, read_json, read_yaml
from chidu.tables.sheet import Row, Sheet, fill, flatten

SUMMARY = "wandb-summary.json"
CONFIG = "config.yaml"
METADATA = "wandb-metadata.json"
NESTED = ("summary", "config")
PAGE = frozenset(("created", "runtime", "user", "sweep", "tags", "notes"))
"""Columns of a project page, beside Name and State."""
FOLDER = re.compile(r"(?:offline-)?run-(?:(?P<date>\d{8}_\d{6})-)?(?P<id>.+)")


def is_export(header: Sequence[str]) -> bool:
    """Whether a table is the export of a project page, or what the documented script writes."""
    names = {name.lower() for name in header}
    return ({"name", "state"} <= names and bool(names & PAGE)) or set(NESTED) <= names


def tidy_export(sheet: Sheet) -> Sheet:
    """Bring an export's dictionaries into columns, `summary/val/loss`, `config/lr`.

    Raises:
        InputError: a cell is no dictionary.
    """
    nested = [name for name in sheet.header if name.lower() in NESTED]
    if not any(row[name].strip().startswith("{") for _, row in sheet.rows for name in nested):
        return replace(sheet, tracked=True)
    rows = []
    for line, row in sheet.rows:
        plain = {name: text for name, text in row.items() if name not in nested}
        for name in nested:
            plain |= flatten(_read_dictionary(sheet, line, name, row[name]), f"{name.lower()}/")
        rows.append((line, plain))
    header, filled = fill(rows)
    return replace(sheet, header=header, rows=filled, tracked=True)


def _read_dictionary(sheet: Sheet, line: int, name: str, text: str) -> Mapping[str, Any]:
    """A cell that holds a dictionary as JSON or as Python prints it; nothing in it is executed."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(re.sub(r"(?<=[\s\[(])-?(?:nan|inf)\b", "None", text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise InputError(f"{sheet.where(line)}: {name} is not a dictionary; export the runs again, as JSON or CSV")
    return value


def read_folder(folder: Path, files: Sequence[Path], loss: str | None) -> Sheet | None:
    """Read the runs of a local `wandb/` folder; None where there are none. A summary has no curves to align by `loss`.

    A run without summary, one that crashed early or was not synced, is set aside.
    """
    places = dict.fromkeys(
        path.parent for path in files if path.name == SUMMARY or (path.name == CONFIG and _is_run(path))
    )
    found = [place for place in places if place.parent.name != "latest-run"] or list(places)
    if not found:
        return None
    last = {_name(folder, place): place for place in sorted(found, key=_order)}
    rows: list[tuple[int, Row]] = []
    aside = []
    for line, place in enumerate(found, start=1):
        name = _name(folder, place)
        if last[name] != place:
            aside.append(SetAside(line, name, "it was resumed: the later folder of this run is read"))
        elif (place / SUMMARY).is_file():
            rows.append((line, {"run": name, **_read_run(place)}))
        else:
            aside.append(SetAside(line, name, f"there is no {SUMMARY}: it logged nothing, or did not end"))
    header, filled = fill(rows)
    return Sheet(
        path=folder,
        header=header,
        rows=filled,
        word="run",
        tracked=True,
        notes=("the loss of a run is the last value in its summary; the folder of W&B does not say how a run ended",),
        set_aside=tuple(aside),
    )


def _is_run(path: Path) -> bool:
    """Whether a config.yaml is that of a run, and not any other tool's."""
    return path.parent.name == "files" and FOLDER.fullmatch(path.parent.parent.name) is not None


def _name(folder: Path, place: Path) -> str:
    """A run's ID, which its folder's name ends with."""
    home = _home(place)
    found = FOLDER.fullmatch(home.name)
    return found["id"] if found else name_below(folder, home) if home.is_relative_to(folder) else home.name


def _home(place: Path) -> Path:
    return place.resolve().parent if place.name == "files" else place


def _order(place: Path) -> tuple[bool, str]:
    """Of the folders of one run, those with a summary come last, in the order in which it was resumed."""
    found = FOLDER.fullmatch(_home(place).name)
    return (place / SUMMARY).is_file(), (found["date"] or "") if found else ""


def _read_run(place: Path) -> dict[str, str]:
    row: dict[str, str] = {}
    if (place / CONFIG).is_file():
        config = read_yaml(place / CONFIG)
        if isinstance(config, dict):
            row |= flatten({key: value for key, value in config.items() if key != "wandb_version"}, "config/")
    summary = read_json(place / SUMMARY)
    row |= flatten(summary, "summary/") if isinstance(summary, dict) else {}
    metadata = read_json(place / METADATA) if (place / METADATA).is_file() else None
    state = metadata.get("state") if isinstance(metadata, dict) else None  # older clients wrote it
    return row | ({"state": state} if isinstance(state, str) else {})
