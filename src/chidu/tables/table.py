"""A sheet -> a `RunTable`: every number checked, every row that is set aside named, every assumption noted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.runs import NUMBERS, TEXTS, Run, RunTable, SetAside
from chidu.tables.columns import Columns, match_columns
from chidu.tables.numbers import NOTHING, BadCell, check_value, has_decimal_commas, read_cell
from chidu.tables.sheet import Sheet
from chidu.tables.spelling import Match
from chidu.tables.units import canonical

DONE = frozenset(("", "done", "finished", "finish", "completed", "complete", "ok", "success", "succeeded"))
"""States of a run whose loss is a result; of any other the row is set aside."""
ALIKE = 0.5
"""Decades by which FLOPs may differ from 6 params tokens without a note: attention, the head, recomputation."""
HIGH_LOSS = 14.0
"""Nats per token: more than a uniform guess among a million tokens."""

WAYS = 4
"""Words that tell how params are counted; a column with more of them says something else."""

Cell = float | None | BadCell


@dataclass(frozen=True)
class _Numbers:
    """The numeric columns of a sheet, [row] each."""

    columns: Mapping[str, list[Cell]]
    needed: tuple[str, ...]
    extra: tuple[str, ...]
    """The file's columns that chidu does not read."""
    notes: tuple[str, ...]


def make_table(sheet: Sheet, columns: Mapping[str, str] | None = None) -> RunTable:
    """Read the runs of a sheet.

    Args:
        sheet: the rows.
        columns: chidu's name -> the file's name or a number, for columns that are spelt otherwise.

    Raises:
        InputError: a missing column, text in a number, a value not finite or not positive, no finished run.
    """
    names, notes = match_columns(sheet, columns or {})
    done = [_status(row, names).lower() in DONE for _, row in sheet.rows]
    numbers = _read_numbers(sheet, names, done)
    runs, lines, aside = [], [], list(sheet.set_aside)
    for i, (line, row) in enumerate(sheet.rows):
        name = row[names["run"].theirs].strip() if "run" in names else ""
        if not done[i]:
            aside.append(SetAside(line, name, f"status is {_status(row, names)!r}"))
            continue
        try:
            runs.append(_make_run(row, i, names, numbers))
            lines.append(line)
        except BadCell as error:
            if not sheet.tracked:
                raise InputError(f"{sheet.where(line, name)}: {error}; {error.remedy}") from None
            aside.append(SetAside(line, name, str(error)))
    aside.sort(key=lambda gone: gone.row)
    if not runs:
        raise InputError(f"{sheet.path} has no finished run{_say_why(sheet, aside)}")
    notes = [*sheet.notes, *notes, *numbers.notes]
    if any(run.flops is None for run in runs):
        runs = [run.with_flops() for run in runs]
        notes.append("flops was not given and is taken as 6 * params * tokens")
    table = RunTable(tuple(runs), tuple(aside), str(sheet.path), lines=tuple(lines))
    return replace(table, notes=(*notes, *doubts(table)))


def _status(row: Mapping[str, str], names: Columns) -> str:
    text = row[names["status"].theirs].strip() if "status" in names else ""
    return "" if text.lower() in NOTHING else text


def _say_why(sheet: Sheet, aside: Sequence[SetAside]) -> str:
    if not aside:
        return "; a forecast needs rows with params, tokens and loss"
    first, more = aside[0], len(aside) - 1
    where = " ".join(first.run.split()) or f"{sheet.word} {first.row}"
    return f": {where}: {first.reason}" + (f"; and {more} more rows were set aside" if more else "")


# ---- numbers


def _read_numbers(sheet: Sheet, names: Columns, done: Sequence[bool]) -> _Numbers:
    """Read every numeric column; what cannot be read is kept as its error until its row is made."""
    numeric = {ours: match for ours, match in names.items() if ours in NUMBERS}
    counted = ("tokens",) if "tokens" in names else ("step", "batch_tokens")
    split = {"params", *counted} <= names.keys()
    needed = ("loss", "params", *counted) if split else ("loss", "flops")
    comma, notes = _find_decimal_commas(sheet, numeric)
    columns: dict[str, list[Cell]] = {}
    for ours, match in numeric.items():
        cells = [_read(ours, match, row, comma, needed) for _, row in sheet.rows]
        bad = next((i for i, cell in enumerate(cells) if done[i] and isinstance(cell, BadCell)), None)
        if bad is not None and ours not in needed and match.rank and (sheet.tracked or match.theirs.lower() != ours):
            line, row = sheet.rows[bad]
            notes.append(f"{match.theirs} is not read as {ours}: in {sheet.word} {line} it is {row[match.theirs]!r}")
            continue
        columns[ours] = cells
    if split and "tokens" not in columns:
        columns["tokens"] = [_count(*pair) for pair in zip(columns["step"], columns["batch_tokens"], strict=True)]
        notes.append("tokens is taken as step * batch_tokens")
    used = {match.theirs for ours, match in names.items() if ours in columns or ours in TEXTS}
    return _Numbers(columns, needed, tuple(name for name in sheet.header if name not in used), tuple(notes))


def _find_decimal_commas(sheet: Sheet, numeric: Columns) -> tuple[bool, list[str]]:
    read = [match.theirs for match in numeric.values() if match.constant is None]
    try:
        comma = has_decimal_commas((row[name] for _, row in sheet.rows for name in read), sheet.delimiter)
    except ValueError as error:
        raise InputError(f"{sheet.path}: {error}; write all numbers in one way") from None
    return comma, ["commas in numbers are read as decimal commas"] if comma else []


def _read(ours: str, match: Match, row: Mapping[str, str], comma: bool, needed: Sequence[str]) -> Cell:
    """One cell: a number in chidu's units, None where it is not known, or what is wrong with it."""
    if match.constant is not None:
        return match.constant
    text = row[match.theirs]
    try:
        value = read_cell(text, match.unit.power if match.unit else 0, comma)
        if value is None or (math.isnan(value) and ours not in needed):
            return None
        if match.unit:
            value *= match.unit.factor
        return _to_nats(match, text, check_value(ours, text, value))
    except BadCell as error:
        return BadCell(f"{match.theirs} is {error}", error.remedy)


def _to_nats(match: Match, text: str, value: float) -> float:
    if match.measure == "bits":
        return value * math.log(2.0)
    if match.measure != "perplexity":
        return value
    if value <= 1:
        raise BadCell(f"{text.strip()}, but a perplexity is above 1", "correct it")
    return math.log(value)


def _count(steps: Cell, batch: Cell) -> Cell:
    """Tokens of so many steps."""
    if not isinstance(steps, float) or not isinstance(batch, float):
        return next((cell for cell in (steps, batch) if isinstance(cell, BadCell)), None)
    return steps * batch if steps * batch > 0 else BadCell("tokens are 0: step or batch_tokens is", "correct it")


def _make_run(row: Mapping[str, str], i: int, names: Columns, numbers: _Numbers) -> Run:
    """Make a run of one row.

    Raises:
        BadCell: a number that is needed is missing, or one is bad.
    """
    values: dict[str, Any] = {}
    for ours, cells in numbers.columns.items():
        cell = cells[i]
        if isinstance(cell, BadCell):
            raise cell
        if cell is not None:
            values[ours] = cell
        elif ours in numbers.needed:
            raise BadCell(f"{names[ours].theirs if ours in names else ours} is empty", "fill it in or delete the row")
    for ours in TEXTS:
        if ours in names and (text := row[names[ours].theirs].strip()):
            values[ours] = text
    values["status"] = "done"
    return Run(**values, extra={name: row[name] for name in numbers.extra})


# ---- doubts


def doubts(table: RunTable) -> list[str]:
    """What looks like a unit or convention other than chidu's; nothing is corrected."""
    notes = []
    params, tokens = table.column("params"), table.column("tokens")
    flops, loss = table.column("flops"), table.column("loss")
    if table.has_params:
        small, few = float(np.median(params)), float(np.median(tokens))
        if small < 1000:
            notes.append(
                f"params are about {small:.3g}: if they are in millions or billions, name the unit in the header, "
                "such as params (M)"
            )
        if few < small:
            notes.append(
                f"tokens ({few:.3g}) are fewer than params ({small:.3g}): if they are in billions, name the unit in "
                "the header, such as tokens (B)"
            )
        active = table.column("active_params")
        counted = np.where(np.isnan(active), params, active)
        decades = float(np.median(np.log10(flops / 6) - np.log10(counted) - np.log10(tokens)))
        if abs(decades) > ALIKE:
            notes.append(
                f"flops are 10^{decades:.1f} times 6 * params * tokens: they are in another unit, or params counts "
                "others than those that compute"
            )
    notes += [
        f"{name} differs between the rows ({', '.join(ways)}): if params are counted in several ways, keep those of one"
        for name in table.runs[0].extra
        if (ways := _ways_of_counting(table, name))
    ]
    if float(np.median(loss)) > HIGH_LOSS:
        notes.append(
            f"losses are about {float(np.median(loss)):.3g}, high for nats per token: if they are perplexities or "
            "bits, name them so in the header, such as val_ppl or loss_bits"
        )
    return notes


def _ways_of_counting(table: RunTable, name: str) -> list[str]:
    """The words of a column about params whose rows differ, such as `kaplan` and `standard`; empty for any other."""
    if not {"param", "params", "parameter", "parameters"} & set(canonical(name).split("_")):
        return []
    ways = sorted({run.extra.get(name, "").strip() for run in table} - {""})
    return ways if 1 < len(ways) <= WAYS and not any(way[0].isdigit() for way in ways) else []
