"""Cells become numbers, as people and spreadsheets write them."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

from chidu.errors import InputError
from chidu.runs import POSITIVE, parse_number

NOTHING = frozenset(("", "-", "--", "–", "—", "?", "na", "n/a", "#n/a", "none", "null"))
"""How tables write that a value is not known. NaN is not among them: it is a loss that came out."""

DECIMAL = re.compile(r"[+-]?(\d+,(\d{1,2}|\d{4,})|\d{4,},\d+|0,\d+)([eE][+-]?\d+)?\s*[kmbgt]?", re.I)
"""A comma here can only be a decimal one."""
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3}){2,}(\.\d*)?|[+-]?\d{1,3}(,\d{3})+\.\d*")
"""Commas here can only group thousands."""
DOTTED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
"""Thousands grouped by points, where commas are decimal."""
SPACED = re.compile(r"[+-]?\d{1,3}([ '\u2019\u00a0\u2009\u202f]\d{3})+([.,]\d+)?")
"""Thousands grouped by spaces or apostrophes."""


SHOWN = 40
"""Characters of a cell that an error shows."""


class BadCell(ValueError):
    """A cell that is no usable number; `str` says what it is, `remedy` what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        """Take both."""
        super().__init__(what)
        self.remedy = remedy


def has_decimal_commas(cells: Iterable[str], delimiter: str) -> bool:
    """Whether the commas in a table's numbers are decimal.

    Where no cell tells (`1,234` may be either), they are in a file whose columns are divided by semicolons.

    Raises:
        ValueError: some can only be decimal and some can only group thousands.
    """
    commas = [cell.strip() for cell in cells if "," in cell]
    decimal = next((cell for cell in commas if DECIMAL.fullmatch(cell)), None)
    grouped = next((cell for cell in commas if THOUSANDS.fullmatch(cell)), None)
    if decimal is not None and grouped is not None:
        raise ValueError(f"the comma is decimal in {decimal} but groups thousands in {grouped}")
    return decimal is not None or (bool(commas) and grouped is None and delimiter == ";")


def read_cell(text: str, power: int = 0, decimal_comma: bool = False) -> float | None:
    """Read a cell, given in units of 10^power; None where it says that the value is not known.

    Raises:
        BadCell: it is no number.
    """
    if not decimal_comma and not power:
        try:
            return float(text)
        except ValueError:
            pass
    plain = text.strip()
    if plain.lower() in NOTHING:
        return None
    if plain.endswith("%"):
        raise BadCell(f"{_short(plain)!r}, a percentage", "write the number itself")
    if SPACED.fullmatch(plain):
        plain = re.sub(r"[^\d.,+-]", "", plain)
    if decimal_comma:
        plain = plain.replace(".", "") if DOTTED.fullmatch(plain) else plain
        plain = plain.replace(",", ".", 1)
    try:
        return parse_number(plain, power)
    except ValueError:
        raise BadCell(f"{_short(text)!r}, which is not a number", "correct it") from None


def _short(text: str) -> str:
    """A cell as an error shows it."""
    plain = " ".join(text.split())
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}..."


def check_value(ours: str, text: str, value: float) -> float:
    """Hold a number that was read to what its column allows.

    Raises:
        BadCell: it is not finite, or not positive where it must be.
    """
    if not math.isfinite(value):
        raise BadCell(f"{_short(text)}, not a finite number", "delete the row or set its status to diverged")
    if ours in POSITIVE and value <= 0:
        raise BadCell(f"{_short(text)}, but it must be positive", "correct it")
    return value


def check_number(path: Path, line: int, ours: str, theirs: str, text: str, *, strict: bool) -> float:
    """Read one number of a row of a text file; where it need not be strict it may be infinite or negative.

    Raises:
        InputError: it is no number, or not one that the column allows.
    """
    try:
        value = read_cell(text)
        if value is None:
            raise BadCell(f"{_short(text)!r}, which is not a number", "correct it")
        return check_value(ours, text, value) if strict else value
    except BadCell as error:
        raise InputError(f"{path}, row {line}: {theirs} is {error}; {error.remedy}") from None
