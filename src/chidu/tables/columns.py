"""A sheet's headers -> the columns that are read, and in words what was decided where more than one could be meant."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from chidu.errors import InputError
from chidu.runs import NUMBERS, TEXTS, parse_number
from chidu.tables.numbers import BadCell, read_cell
from chidu.tables.sheet import Sheet
from chidu.tables.spelling import Match, loss_kind, recognise
from chidu.tables.units import canonical, describe, split_flops, split_unit

Columns = dict[str, Match]

LISTED = 6
"""Names of other columns in a note."""


def match_columns(sheet: Sheet, given: Mapping[str, str]) -> tuple[Columns, list[str]]:
    """Find chidu's columns among a sheet's headers, [chidu's name] -> match, and the notes of what was decided.

    Args:
        sheet: the table.
        given: chidu's name -> the file's, or a number for every row.

    Raises:
        InputError: a column that was given is not there, or one that is needed is not found.
    """
    names = {ours: _take(sheet, ours, theirs) for ours, theirs in given.items()}
    taken = {match.theirs for match in names.values()}
    found: dict[str, list[Match]] = {}
    for theirs in sheet.header:
        match = recognise(theirs) if theirs not in taken else None
        if match is not None and match.ours not in names:
            found.setdefault(match.ours, []).append(match)
    notes = [note for match in names.values() if (note := _say_unit(match))]
    for ours, matches in found.items():
        match, others = _choose(sheet, ours, sorted(matches, key=lambda each: each.rank))
        if match is not None:
            names[ours] = match
            notes += [note for note in (_say_unit(match), _say_others(match, others)) if note]
    _require(sheet, names)
    if names["loss"].measure and "loss_se" in names:
        notes.append(f"{names.pop('loss_se').theirs} is not read: its unit is not known where the loss is converted")
    return names, notes


def find_loss(header: Collection[str], given: str | None = None) -> str | None:
    """The header that is the loss, for readers of logs; None where none or several could be."""
    matches = [match for theirs in header if (match := recognise(theirs)) and match.ours == "loss"]
    if given is not None and given in header:
        return given
    sure = [match for match in matches if match.kind != "other"] or (matches if len(matches) == 1 else [])
    return min(sure, key=lambda match: match.rank).theirs if sure else None


def _take(sheet: Sheet, ours: str, theirs: str) -> Match:
    """A column that the user named, or a number for every row."""
    if ours not in (*NUMBERS, *TEXTS):
        raise InputError(
            f"--column {ours}={theirs}: chidu has no column {ours}; it has {', '.join((*NUMBERS, *TEXTS))}"
        )
    if theirs in sheet.header:
        return _take_unit(ours, theirs)
    try:
        value = parse_number(theirs) if ours in NUMBERS else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"--column {ours}={theirs}: {sheet.path} has no column {theirs}; it has {_listed(sheet.header, 40)}"
        )
    return Match(ours, theirs, constant=value)


def _take_unit(ours: str, theirs: str) -> Match:
    """The unit of a column that the user named; a single letter must be a capital or stand in brackets."""
    known, name = recognise(theirs), canonical(theirs)
    if known and known.ours == ours:
        return replace(known, rank=())
    if ours in ("loss", "unseen_loss") and (kind := loss_kind(name)):
        return Match(ours, theirs, measure=kind[0])
    unit = (split_flops(name) if ours == "flops" else None) or (split_unit(name) if ours in NUMBERS else None)
    if unit is None or (unit.letter and not theirs.rstrip()[-1].isupper() and theirs.rstrip()[-1] not in ")]"):
        return Match(ours, theirs)
    return Match(ours, theirs, unit=unit)


def _choose(sheet: Sheet, ours: str, matches: list[Match]) -> tuple[Match | None, list[Match]]:
    """The surest of the columns that could be meant, and the others that differ from it.

    Raises:
        InputError: several could be the loss, and nothing tells which.
    """
    if ours in NUMBERS:
        numeric = [match for match in matches if _is_numeric(sheet, match)]
        matches = numeric or [match for match in matches[:1] if match.kind != "other"]
    if not matches:
        return None, []
    first, *others = matches
    first = next((each for each in others if each.theirs == ours and _is_same(sheet, first, each)), first)
    if first.kind == "other" and (alike := [match for match in others if match.rank == first.rank]):
        names = [match.theirs for match in (first, *alike)]
        raise InputError(
            f"{sheet.path} has {len(names)} columns that could be the loss: {_listed(names, 20)}; "
            f"choose one with --column loss={names[0]}"
        )
    return first, [match for match in matches if not _is_same(sheet, first, match)]


def _is_same(sheet: Sheet, one: Match, other: Match) -> bool:
    """Whether two columns hold the same."""
    alike = (one.unit, one.measure) == (other.unit, other.measure)
    return alike and all(row[one.theirs] == row[other.theirs] for _, row in sheet.rows)


def _is_numeric(sheet: Sheet, match: Match) -> bool:
    """Whether the first cell that is filled in is a number."""
    for _, row in sheet.rows:
        if row[match.theirs].strip():
            try:
                read_cell(row[match.theirs], decimal_comma=sheet.delimiter == ";")
            except BadCell:
                return False
            return True
    return False


def _say_unit(match: Match) -> str:
    """What was done to a column's numbers, or where their convention matters."""
    ours, theirs = match.ours, match.theirs
    if match.constant is not None:
        return f"{ours} is {theirs} for every run, as given with --column"
    if match.unit:
        return f"{ours} is read from {theirs!r} in units of {describe(match.unit)}"
    if match.measure == "bits":
        return f"{ours} is read from {theirs!r} and brought from bits to nats (times ln 2)"
    if match.measure == "perplexity":
        return f"{ours} is the logarithm of the perplexity in {theirs!r}"
    if ours == "params" and match.kind == "non-embedding":
        return f"params is read from {theirs!r}: parameters without embedding; count a target in the same way"
    if ours == "loss" and match.kind == "training":
        return f"the loss is a training loss ({theirs!r}): no held-out loss was found"
    if ours == "loss" and match.kind == "other":
        return f"loss is read from {theirs!r}, the only column that could be a held-out loss"
    return ""


def _say_others(match: Match, others: list[Match]) -> str:
    """Which columns were left that could have been meant."""
    if match.ours in TEXTS or match.ours not in ("params", "tokens", "flops", "loss", "learning_rate"):
        return ""
    left = [other for other in others if not (match.ours == "loss" and other.kind == "training")]
    if not left:
        return ""
    total = " (the total)" if match.ours == "params" and match.kind in ("", "total") else ""
    return (
        f"{match.ours} is read from {match.theirs!r}{total}, not from "
        f"{_listed([other.theirs for other in left], LISTED)}; "
        f"choose another with --column {match.ours}={left[0].theirs}"
    )


def _require(sheet: Sheet, names: Columns) -> None:
    """Name what a table lacks.

    Raises:
        InputError: no loss, or neither params and tokens nor flops.
    """
    missing = [] if "loss" in names else ["loss"]
    counted = "tokens" in names or {"step", "batch_tokens"} <= names.keys()
    if not ("params" in names and counted) and "flops" not in names:
        missing += [] if "params" in names else ["params"]
        missing += [] if counted else ["tokens"]
    if not missing:
        return
    if sheet.header and all(_looks_numeric(name) for name in sheet.header):
        raise InputError(f"{sheet.path} has no header: its first row is numbers; add one such as params,tokens,loss")
    number = "" if missing[0] == "loss" else f", or give one number for all rows: --column {missing[0]}=1.4B"
    advice = f"; or {sheet.advice}" if sheet.advice and missing[0] != "loss" else ""
    raise InputError(
        f"{sheet.path} lacks the column {' and '.join(missing)}; it has {_listed(sheet.header, 40) or 'none'}; "
        f"map one with --column {missing[0]}=ITS_NAME{number}{advice}"
    )


def _looks_numeric(name: str) -> bool:
    try:
        parse_number(name)
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str], most: int) -> str:
    listed = [" ".join(name.split()) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
