"""CSV and TSV, as tools and spreadsheets write them."""

import csv
import io
from pathlib import Path

from chidu.errors import InputError
from chidu.tables.files import decode, read_bytes
from chidu.tables.sheet import Row, Sheet

DELIMITERS = (",", "\t", ";")


def read_delimited(path: Path, text: str | None = None) -> Sheet:
    """Read a CSV: the delimiter is the one that divides the header most; empty rows and unnamed empty columns go.

    Raises:
        InputError: no header, one name twice, a row of another length.
    """
    if text is None:
        text = decode(path, read_bytes(path))
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next((_strip(values) for values in reader if any(value.strip() for value in values)), [])
        rows = [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: not valid CSV ({error}); mend the row") from None
    if not header:
        raise InputError(f"{path} is empty; it needs a header such as params,tokens,loss and a row a run")
    return _make_sheet(path, header, rows, delimiter)


def _make_sheet(path: Path, header: list[str], rows: list[tuple[int, list[str]]], delimiter: str) -> Sheet:
    width = len(header)
    while width and not header[width - 1]:
        width -= 1
    twice = sorted({name for name in header[:width] if name and header.count(name) > 1})
    if twice:
        raise InputError(f"{path} has the column {' and '.join(twice)} twice; rename or delete one")
    made: list[tuple[int, Row]] = []
    for line, values in rows:
        if len(values) > width and not any(value.strip() for value in values[width:]):
            values = values[:width]
        if len(values) != width:
            raise InputError(f"{path}, row {line}: {len(values)} values under {width} column names; mend the row")
        made.append((line, dict(zip(header, values, strict=False))))
    names = tuple(name for name in header[:width] if name)
    if len(names) < width:  # an index that has no name, or empty columns
        made = [(line, {name: row[name] for name in names}) for line, row in made]
    return Sheet(path=path, header=names, rows=tuple(made), delimiter=delimiter)


def _strip(values: list[str]) -> list[str]:
    """Names in one line, without the spaces around them."""
    return [" ".join(value.split()) for value in values]


def read_rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Rows of a CSV as (line, {column: text}), and the header."""
    sheet = read_delimited(path)
    return [(line, dict(row)) for line, row in sheet.rows], list(sheet.header)
