"""Targets: what a forecast is asked for, read from a CSV and answered row by row."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chidu.errors import InputError
from chidu.stats import Interval
from chidu.store import write_text
from chidu.tables.delimited import read_rows
from chidu.tables.numbers import check_number
from chidu.tables.spelling import SPELLINGS

ANSWERS = ("median", "lower", "upper")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A run that was not trained: `params` and `tokens`, or `flops`; `unique_tokens` for a law of repeated data."""

    params: float | None = None
    tokens: float | None = None
    flops: float | None = None
    unique_tokens: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """The row's own columns, as they stood."""


class Answer(Protocol):
    """A forecast, as far as a file of answers needs it."""

    @property
    def median(self) -> float:
        """Nats per token."""

    @property
    def interval(self) -> Interval:
        """Of the loss."""


def read_targets(path: str | Path, columns: Mapping[str, str] | None = None) -> list[Target]:
    """Read a CSV of targets: `params,tokens`, or `flops`, or all three; other columns are kept as they stand.

    Args:
        path: the file, with a header; columns are recognised as in a run table.
        columns: chidu's name -> the file's name, for columns that are spelt otherwise.

    Raises:
        InputError: no such file, a missing column, text in a number, a value not finite or not positive, no rows.
    """
    path = Path(path)
    rows, header = read_rows(path)
    lower = {name.lower(): name for name in header}
    names = {}
    for ours in ("params", "tokens", "flops", "unique_tokens"):
        found = [lower[spelling] for spelling in (ours, *SPELLINGS[ours]) if spelling in lower]
        theirs = (columns or {}).get(ours) or (found[0] if found else None)
        if theirs is not None and theirs not in header:
            raise InputError(f"--column {ours}={theirs}: {path} has no column {theirs}; it has {', '.join(header)}")
        if theirs is not None:
            names[ours] = theirs
    if not {"params", "tokens"} <= names.keys() and "flops" not in names:
        raise InputError(f"{path} has neither params and tokens nor flops; it has {', '.join(header)}")
    if not rows:
        raise InputError(f"{path} has no rows; give a row a target")
    return [_read_target(path, line, row, names) for line, row in rows]


def _read_target(path: Path, line: int, row: Mapping[str, str], names: Mapping[str, str]) -> Target:
    values = {
        ours: check_number(path, line, ours, theirs, row[theirs], strict=True)
        for ours, theirs in names.items()
        if row[theirs].strip()
    }
    if not {"params", "tokens"} <= values.keys() and "flops" not in values:
        raise InputError(f"{path}, row {line}: neither params and tokens nor flops are filled in")
    return Target(**values, columns=dict(row))


def write_forecasts(path: Path, targets: Sequence[Target], forecasts: Sequence[Answer]) -> None:
    """Write one row a target, atomically: its own columns, then `median,lower,upper`, in nats per token."""
    own = [name for name in (targets[0].columns if targets else {}) if name not in ANSWERS]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*own, *ANSWERS])
    for target, forecast in zip(targets, forecasts, strict=True):
        answers = (forecast.median, forecast.interval.lower, forecast.interval.upper)
        writer.writerow([*[target.columns[name] for name in own], *[f"{value:.6g}" for value in answers]])
    write_text(path, out.getvalue())
