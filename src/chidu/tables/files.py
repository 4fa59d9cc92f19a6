"""Bytes of a file -> text, or one sentence that says why not."""

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError

UNDERSTOOD = (
    "chidu reads tables of runs (CSV, TSV, JSON, JSONL, Parquet, also .gz), exports and folders of W&B and MLflow, "
    "TensorBoard event files, trainer_state.json of Hugging Face, logs of nanoGPT, and its own labs"
)
FOREIGN = {
    b"PK\x03\x04": "a workbook or an archive; save the sheet as CSV",
    b"SQLite format 3": "an SQLite database; write its runs as CSV, such as mlflow.search_runs().to_csv(...)",
    b"\x80\x04": "a pickle, which could run anything; write the table as CSV or Parquet",
    b"\x80\x05": "a pickle, which could run anything; write the table as CSV or Parquet",
    b"ARROW1": "an Arrow file; write the table as Parquet",
    b"\xd0\xcf\x11\xe0": "a workbook; save the sheet as CSV",
    b"%PDF": "a PDF; give the table that it was made from",
}
GZIP = b"\x1f\x8b"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is gzipped.

    Raises:
        InputError: there is no such file.
        CorruptError: its gzip is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; name a table of runs, or a folder of runs") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name a file") from None
    if not content.startswith(GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptError(f"{path} is a damaged gzip file ({error}); fetch or write it again") from None


def decode(path: Path, content: bytes) -> str:
    """A file's text, without a byte-order mark.

    Raises:
        InputError: it is not text in UTF-8.
    """
    for magic, what in FOREIGN.items():
        if content.startswith(magic):
            raise InputError(f"{path} is {what}")
    if content.startswith(UTF16):
        raise InputError(f"{path} is not text in UTF-8 but in UTF-16; save it as CSV UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text (UTF-8): byte {error.start} is none; save it as CSV UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path} is a binary file; {UNDERSTOOD}")
    return text


def suffix(path: Path) -> str:
    """A file's suffix in lower case, before `.gz` where it has that."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder in order of names; hidden folders and links to folders are not entered."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_natural)
        for name in sorted(names, key=_natural):
            yield Path(here) / name


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names with numbers as people count: run-2 before run-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def name_below(folder: Path, place: Path) -> str:
    """A run's name: its folder's path below the folder that was named, or that folder's own name."""
    relative = place.relative_to(folder).as_posix()
    return relative if relative != "." else (folder.name or folder.resolve().name)


def parse_json(path: Path, text: str, line: int = 0) -> Any:
    """Read a JSON value, that of a line where one is given; NaN and infinities are allowed.

    Raises:
        InputError: it is not valid.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where, what = line or error.lineno, error.msg
    except ValueError as error:  # a number of thousands of digits
        where, what = line or 1, str(error).partition(";")[0]
    raise InputError(f"{path}, line {where}: not valid JSON ({what}); mend or delete it")


def read_json(path: Path) -> Any:
    """Read a JSON file, as `parse_json`."""
    return parse_json(path, decode(path, read_bytes(path)))


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file; nothing in it is executed.

    Raises:
        InputError: it is not YAML, or holds more than plain values.
    """
    import yaml

    try:
        return yaml.safe_load(decode(path, read_bytes(path)))
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise InputError(f"{path}{line}: not valid YAML of plain values; correct or delete it") from None
