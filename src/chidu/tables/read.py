"""A path -> a table of runs: what the path is decides which reader takes it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chidu.errors import InputError
from chidu.runs import RunTable
from chidu.tables import mlflow, tensorboard, text_log, trainer_state, wandb
from chidu.tables.delimited import read_delimited
from chidu.tables.files import UNDERSTOOD, decode, read_bytes, suffix, walk
from chidu.tables.json_lines import read_json_table
from chidu.tables.parquet import MAGIC, read_parquet
from chidu.tables.sheet import Sheet
from chidu.tables.table import make_table

JSON = frozenset((".json", ".jsonl", ".ndjson"))
PARQUET = frozenset((".parquet", ".pq"))
TABLES = frozenset((".csv", ".tsv"))
READERS = (
    wandb.read_folder,
    mlflow.read_folder,
    trainer_state.read_folder,
    tensorboard.read_folder,
    text_log.read_folder,
)
"""Of folders, the surest kind first: the tools that know a run's settings come before those that log curves only."""


def read_runs(path: str | Path, columns: Mapping[str, str] | None = None) -> RunTable:
    """Read a table of runs: `params, tokens, loss`, or `flops, loss`, and whatever else it knows.

    Args:
        path: a table (CSV, TSV, JSON, JSONL, Parquet), an export or folder of W&B or MLflow, TensorBoard's event files,
            a Trainer's state, logs of nanoGPT, a folder of any of these, or a lab of chidu; see docs/architecture.md.
        columns: chidu's name -> the file's name, for columns that are spelt otherwise; or a number for every run.

    Raises:
        InputError: no such file, one that is not understood, a missing column, text in a number, a value not finite or
            not positive, no finished run.
    """
    path, given = Path(path), columns or {}
    try:
        sheet = read_folder(path, given.get("loss")) if path.is_dir() else read_file(path, given.get("loss"))
    except RecursionError:
        raise InputError(f"{path} is nested too deeply for a table of runs; {UNDERSTOOD}") from None
    return make_table(sheet, given)


def read_file(path: Path, loss: str | None = None) -> Sheet:
    """Read one file as a sheet, by its suffix and its first bytes.

    Args:
        path: the file.
        loss: the name of the loss in a log, where it was given.

    Raises:
        InputError: it is none that chidu understands.
    """
    content = read_bytes(path)
    if content.startswith(MAGIC) or suffix(path) in PARQUET:
        return read_parquet(path, content)
    if tensorboard.MARK in path.name:
        return tensorboard.read_event_file(path, loss)
    text = decode(path, content)
    kind = suffix(path)
    if kind in JSON or (kind not in TABLES and text.lstrip()[:1] in ("{", "[")):
        if path.name == trainer_state.NAME or ('"log_history"' in text and _is_state(text)):
            return trainer_state.read_states(path, [path], loss)
        return read_json_table(path, text, kind)
    if kind not in TABLES and text_log.is_log(text):
        return text_log.read_logs(path, {path: text}, loss)
    sheet = read_delimited(path, text)
    if wandb.is_export(sheet.header):
        return wandb.tidy_export(sheet)
    return replace(sheet, tracked=mlflow.is_export(sheet.header))


def _is_state(text: str) -> bool:
    try:
        return trainer_state.is_trainer_state(json.loads(text))
    except ValueError:
        return False


def read_folder(folder: Path, loss: str | None = None) -> Sheet:
    """Read the runs of a folder: those of the first of `READERS` that finds any, or of a lab of chidu.

    Raises:
        InputError: it holds none that chidu understands.
    """
    if (folder / "runs.csv").is_file():
        return read_delimited(folder / "runs.csv")
    files = list(walk(folder))
    for read in READERS:
        sheet = read(folder, files, loss)
        if sheet is not None:
            return sheet
    raise InputError(f"{folder} is a folder without runs in it: {UNDERSTOOD}")
