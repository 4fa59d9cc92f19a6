"""Runs that have landed: which one a receipt is about, and the record of a whole folder of receipts."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.forecast.ledger import Entry, verify
from chidu.forecast.receipt import LOSS, SAME, error_of, misses, quantity_of, read_receipt
from chidu.runs import Run, RunTable
from chidu.store import read_json

BANDS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)
"""Ends of the ranges of distance that a record is told by, times the largest fitted run's compute."""


def find_run(receipt: Path, table: RunTable, name: str = "") -> Run:
    """The run of a table that a receipt is about: of its target's size, of several settings the best.

    Args:
        receipt: the file.
        table: the runs, as they were read.
        name: of the run, or `row N`, where several seeds of it landed.

    Raises:
        InputError: no run of that size has landed, or several have; the sentence says which.
    """
    forecast = read_receipt(receipt)["forecast"]
    lines = table.lines or tuple(range(1, len(table) + 1))
    rows = [(run.with_flops(), run.run or f"row {line}", line) for run, line in zip(table.runs, lines, strict=True)]
    if name:
        rows = [row for row in rows if name in (row[1], f"row {row[2]}")]
        if not rows:
            raise InputError(f"--run {name}: {table.source or 'the table'} has no such run")
    found = [row for row in rows if _is_sized(forecast, row[0]) and not misses(forecast, row[0])]
    if not found:
        asked = ", ".join(f"{key} {forecast[key]:.4g}" for key in _asked(forecast))
        raise InputError(
            f"{table.source or 'the table'} has no finished run of {asked} (to {SAME:.0%}), as {receipt} forecast; "
            "add its row, or give --loss or --value"
        )
    settings: dict[object, list[tuple[Run, str, int]]] = defaultdict(list)
    for row in found:
        settings[(row[0].learning_rate, row[0].batch_tokens)].append(row)
    best = min(settings.values(), key=lambda rows: float(np.mean([run.loss for run, _, _ in rows])))
    if len(best) > 1:
        names = ", ".join(label for _, label, _ in best[:8])
        raise InputError(
            f"{len(best)} runs of {table.source or 'the table'} are of that size; give --run, one of {names}"
        )
    return best[0][0]


def _asked(forecast: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a target decides which run is its own."""
    return ("params", "tokens") if forecast["params"] is not None and forecast["tokens"] is not None else ("flops",)


def _is_sized(forecast: Mapping[str, Any], run: Run) -> bool:
    return all(getattr(run, name) is not None for name in _asked(forecast))


@dataclass(frozen=True)
class Locked:
    """One receipt of a folder, and how it did."""

    receipt: str
    time: str
    params: float | None
    tokens: float | None
    flops: float
    distance: float
    median: float
    lower: float
    upper: float
    level: float
    quantity: str
    """`loss`, or the column of a metric."""
    value: float | None
    """Of its first outcome; None while the run has not landed."""
    outcomes: int
    """How many were written; only the first counts."""

    @property
    def error(self) -> float | None:
        """Of a loss median / value - 1, of a metric median - value: positive where the forecast was too high."""
        return None if self.value is None else error_of(self.quantity, self.median, self.value)

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in the interval."""
        return None if self.value is None else self.lower <= self.value <= self.upper

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "error": self.error, "inside": self.inside}


@dataclass(frozen=True)
class Record:
    """A verified folder of receipts."""

    folder: str
    entries: int
    head: str
    """Hash of the ledger's last line: publish it, and nothing before it can be rewritten unseen."""
    rows: tuple[Locked, ...]
    """In the order of locking."""

    def bands(self) -> list[tuple[float, float, list[Locked]]]:
        """The scored receipts of losses by their distance: from, to, rows; only where there are some."""
        scored = [row for row in self.rows if row.value is not None and row.quantity == LOSS]
        made = [(a, b, [row for row in scored if a <= row.distance < b]) for a, b in pairwise(BANDS)]
        return [(a, b, rows) for a, b, rows in made if rows]

    def __str__(self) -> str:
        """Every receipt, the record by distance, and what was verified."""
        head = f"{'receipt':<13} {'locked':<16} {'distance':>9} {'forecast':>9} {'interval':>19} "
        head += f"{'landed':>8} {'error':>8}"
        lines = [head, *[_line(row) for row in self.rows], ""]
        for low, high, rows in self.bands():
            where = f"over {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
            error = float(np.mean([abs(row.error or 0.0) for row in rows]))
            inside = sum(bool(row.inside) for row in rows)
            lines.append(f"at {where} times: mean error {error:.2%}, {inside} of {len(rows)} inside")
        metrics = [row for row in self.rows if row.value is not None and row.quantity != LOSS]
        if metrics:
            lines.append(f"of metrics: {sum(bool(row.inside) for row in metrics)} of {len(metrics)} inside")
        waiting = sum(row.value is None for row in self.rows)
        lines += [f"{waiting} of {len(self.rows)} not landed yet"] if waiting else []
        lines += [f"verified: {self.entries} lines of {self.folder}, none changed; head {self.head}"]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        bands = [
            {
                "from": low,
                "to": None if math.isinf(high) else high,
                "scored": len(rows),
                "error": float(np.mean([abs(row.error or 0.0) for row in rows])),
                "inside": sum(bool(row.inside) for row in rows),
            }
            for low, high, rows in self.bands()
        ]
        value = {"folder": self.folder, "entries": self.entries, "head": self.head}
        return {**value, "receipts": [row.to_json() for row in self.rows], "distances": bands}


def _line(row: Locked) -> str:
    interval = f"{row.lower:.4f} to {row.upper:.4f}"
    start = f"{row.receipt:<13} {row.time[:16]:<16} {row.distance:>8.3g}x {row.median:>9.4f} {interval:>19}"
    of = "" if row.quantity == LOSS else f", {row.quantity}"
    if row.value is None:
        return f"{start} {'none yet':>8}{of}"
    error = f"{row.error:+.2%}" if row.quantity == LOSS else f"{row.error:+.4f}"
    again = f", scored {row.outcomes} times: the first counts" if row.outcomes > 1 else ""
    return f"{start} {row.value:>8.4f} {error:>8} {'inside' if row.inside else 'outside'}{of}{again}"


def read_record(folder: Path, head: str = "") -> Record:
    """Verify a folder of receipts and list how they did.

    Args:
        folder: with a ledger.
        head: a hash that was published once, or its first digits: some line must have it.

    Raises:
        InputError: there is no ledger.
        CorruptError: something was changed, taken out, put in or moved.
    """
    entries = verify(folder, head)
    outcomes: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "outcome":
            value = read_json(folder / entry.file)
            outcomes[value["receipt"]].append(value["value"] if "quantity" in value else value["loss"])
    rows = tuple(_locked(folder, entry, outcomes) for entry in entries if entry.kind == "lock")
    return Record(str(folder), len(entries), entries[-1].hash, rows)


def _locked(folder: Path, entry: Entry, outcomes: Mapping[str, list[float]]) -> Locked:
    content = read_receipt(folder / entry.file)
    forecast = content["forecast"]
    values = outcomes.get(Path(entry.file).stem, [])
    return Locked(
        receipt=Path(entry.file).stem,
        time=content["time"],
        **{name: forecast[name] for name in ("params", "tokens", "flops", "distance", "median")},
        **forecast["interval"],
        quantity=quantity_of(content),
        value=values[0] if values else None,
        outcomes=len(values),
    )
