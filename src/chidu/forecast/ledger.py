"""The ledger of a folder of receipts: a line for each lock and each outcome, chained to the line before by its hash.

A line that is changed, taken out, put in or moved breaks the chain; a file that is changed, taken out or put in does
not match its line; and `ledger.head` names the last line, so that none is cut off the end. What no folder shows by
itself is that all of it was written anew: against that, publish the *head*, the hash of the last line (commit it, send
it), and ask for it when verifying.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from chidu.errors import CorruptError, InputError
from chidu.store import hash_file, hash_json, hold, write_text

LEDGER, HEAD = "ledger.jsonl", "ledger.head"
FULL = 64
"""Hex digits of a whole SHA-256."""
FIRST = "0" * FULL
"""What the first line has for the hash of the one before."""

LEAST_HEAD = 12
"""Hex digits that a head must have to be looked for."""
ADVICE = "restore it from a copy, or move the folder away and start a new one"

Kind = Literal["lock", "outcome"]


@dataclass(frozen=True)
class Entry:
    """One line."""

    number: int
    """Counted from 1."""
    time: str
    """When the line was written, ISO 8601, UTC."""
    kind: Kind
    """A forecast was locked; a run has landed."""
    file: str
    """Name of the receipt or of the outcome."""
    sha256: str
    """Of the file's bytes."""
    previous: str
    """`hash` of the line before."""
    hash: str
    """SHA-256 of all the above."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def append(folder: Path, kind: Kind, file: Path) -> Entry:
    """Add the line of a file to its folder's ledger, atomically; the line that is there already is not added again.

    Raises:
        CorruptError: the chain is broken already.
    """
    with hold(folder / ".ledger.lock"):
        entries = read_ledger(folder) if (folder / LEDGER).exists() else []
        sha256 = hash_file(file)
        for entry in entries:
            if (entry.file, entry.sha256) == (file.name, sha256):
                return entry
        made = {
            "number": len(entries) + 1,
            "time": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
            "kind": kind,
            "file": file.name,
            "sha256": sha256,
            "previous": entries[-1].hash if entries else FIRST,
        }
        entry = Entry(**made, hash=hash_json(made, FULL))  # type: ignore[arg-type]
        write_text(folder / LEDGER, "".join(f"{json.dumps(each.to_json())}\n" for each in (*entries, entry)))
        write_text(folder / HEAD, f"{entry.hash}\n")
    return entry


def check_chain(folder: Path) -> None:
    """Check the chain of a folder that has one, before anything is added to it.

    Raises:
        CorruptError: it is broken.
    """
    if (folder / LEDGER).exists():
        read_ledger(folder)


def read_ledger(folder: Path) -> list[Entry]:
    """Read a ledger and check its chain; `verify` checks the files too.

    Raises:
        InputError: there is none.
        CorruptError: a line was changed, taken out, put in or moved.
    """
    path = folder / LEDGER
    if not path.exists():
        raise InputError(f"{folder} holds no {LEDGER}; name a folder that chidu forecast --lock wrote receipts into")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise CorruptError(f"{path} is not text: it was changed; {ADVICE}") from None
    previous, out = FIRST, []
    for number, line in enumerate(lines, start=1):
        entry = _read_line(path, number, line)
        if entry.number != number or entry.previous != previous:
            raise CorruptError(f"{path}, line {number}: a line was taken out, put in or moved just before it; {ADVICE}")
        previous = entry.hash
        out.append(entry)
    if not out:
        raise CorruptError(f"{path} is empty: its lines were taken out; {ADVICE}")
    _check_head(folder, out)
    return out


def _check_head(folder: Path, entries: list[Entry]) -> None:
    """Some line must be the one that was the last; a kill between the two files may have left one more."""
    path = folder / HEAD
    known = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    if known not in {entry.hash for entry in entries} and (known or len(entries) > 1):
        raise CorruptError(
            f"{folder / LEDGER} has not the line that {HEAD} names: lines were taken out, or one of the two was "
            f"written anew; {ADVICE}"
        )


def _read_line(path: Path, number: int, line: str) -> Entry:
    """One line, checked against its own hash."""
    try:
        value = json.loads(line)
        content = {field.name: value[field.name] for field in fields(Entry) if field.name != "hash"}
        if len(value) == len(fields(Entry)) and value["hash"] == hash_json(content, FULL):
            return Entry(**value)
    except (ValueError, KeyError, TypeError):
        pass
    raise CorruptError(f"{path}, line {number}: it was changed after it was written; {ADVICE}")


def verify(folder: Path, head: str = "") -> list[Entry]:
    """Check the chain, and every receipt and outcome in the folder against its line.

    Args:
        folder: the receipts.
        head: a hash that was published once, or its first digits: some line must have it.

    Raises:
        InputError: there is no ledger, or a head of too few digits.
        CorruptError: something was changed, taken out, put in or moved; the sentence says what.
    """
    if head and len(head) < LEAST_HEAD:
        raise InputError(f"--head {head}: give at least the first {LEAST_HEAD} digits of the hash")
    entries = read_ledger(folder)
    for entry in entries:
        file = folder / entry.file
        if not file.exists():
            raise CorruptError(f"{file} was taken out: line {entry.number} of {LEDGER} is about it; {ADVICE}")
        if hash_file(file) != entry.sha256:
            raise CorruptError(f"{file} was changed after line {entry.number} of {LEDGER} was written; {ADVICE}")
    unknown = _without_line(folder, {entry.file for entry in entries})
    if unknown:
        raise CorruptError(
            f"{folder / unknown[0]} has no line in {LEDGER}: its line was taken out, or the file was put in, or a kill "
            f"came between the two; {ADVICE}"
        )
    if head and not any(entry.hash.startswith(head.lower()) for entry in entries):
        raise CorruptError(f"{folder / LEDGER} has no line with the hash {head}: it was written anew; {ADVICE}")
    return entries


def _without_line(folder: Path, known: Iterable[str]) -> list[str]:
    """Names of receipts and outcomes that the ledger does not know."""
    return sorted({path.name for path in folder.glob("*.json") if not path.name.startswith(".")} - set(known))
