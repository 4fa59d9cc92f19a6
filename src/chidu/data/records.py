"""Records of JSON lines, JSON and CSV files, and which of their fields is the text."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from chidu.errors import InputError

Record = tuple[str, Any]
"""Where it stands in its file ("line 3"), and what it holds: a string, or an object of fields."""

TEXT_FIELDS = ("text", "content", "body", "document", "article", "story", "passage", "page_text", "code")
"""Fields taken for the text when a file has them, the first of these first."""

SAMPLE = 100
"""Records at the start of a file among which the longest field is looked for."""


class Notes(Protocol):
    """Where the reader notes which field it took for the text."""

    text_field: str | None


def jsonl_records(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    """Yield one record a line; blank lines are passed over.

    Raises:
        InputError: a line that is not JSON.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not valid JSON ({error}); mend or delete the line") from None


def json_records(text: str) -> Iterator[Record]:
    """Yield the elements of a list; of an object those of its only list of records; or the one object itself.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        value = json.loads(text) if text.strip() else []
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(value, dict) and not any(isinstance(part, str) for part in value.values()):
        lists = [part for part in value.values() if isinstance(part, list)]
        value = lists[0] if len(lists) == 1 else value
    records = value if isinstance(value, list) else [value]
    return ((f"record {number}", record) for number, record in enumerate(records, start=1))


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    """Yield the rows under a header, comma- or tab-separated, as objects.

    Raises:
        InputError: a row with more or fewer values than the header, or quotes that do not close.
    """
    csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))
    lines = iter(lines)
    first = next(lines, "")
    delimiter = "\t" if "\t" in first and "," not in first else ","
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    header: Sequence[str] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise InputError(
                    f"{path}, row {reader.line_num}: {len(values)} values under {len(header)} column names; "
                    "mend or delete the row"
                )
            yield f"row {reader.line_num}", dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: not valid CSV ({error}); mend or delete the row") from None


def records_text(path: Path, records: Iterator[Record], notes: Notes) -> Iterator[str]:
    """Yield the text of each record, from one field that is chosen for the whole file and noted.

    Raises:
        InputError: a record that has no text in it, or not in the file's field; its place is named.
    """
    start = list(islice(records, SAMPLE))
    notes.text_field = name = choose_field([record for _, record in start if isinstance(record, dict)])
    for place, record in chain(start, records):
        text = record
        if isinstance(record, dict) and name in record:
            text = record[name] if record[name] is not None else ""
        if not isinstance(text, str):
            wanted = f'no text in the field "{name}", the text of this file' if name else "no field of text"
            raise InputError(f"{path}, {place}: {wanted}; mend or delete the record")
        yield text


def choose_field(records: Sequence[dict[str, Any]]) -> str | None:
    """Choose the field of the text: the first of `TEXT_FIELDS` that holds a string, else the longest strings'."""
    lengths: dict[str, int] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, str):
                lengths[name] = lengths.get(name, 0) + len(value)
    lower = {name.lower(): name for name in reversed(lengths)}
    for name in TEXT_FIELDS:
        if name in lower:
            return lower[name]
    return max(lengths, key=lambda name: lengths[name], default=None)
