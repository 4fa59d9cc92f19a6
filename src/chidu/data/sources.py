"""Documents of files and folders, one after the other, in an order that depends on names only.

A text file is one document, unless it is so large a part of the sources that it is cut at blank lines. In JSON lines,
JSON and CSV a record is a document, and one field of the file is its text.
"""

import gzip
import os
import sysconfig
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chidu.data.records import Record, csv_rows, json_records, jsonl_records, records_text
from chidu.errors import CorruptError, InputError

TEXT_ENDINGS = (".txt", ".md", ".rst", ".py")
RECORD_ENDINGS = (".jsonl", ".json", ".csv")
ENDINGS = (*TEXT_ENDINGS, *RECORD_ENDINGS)
"""File name endings that are read; each may be followed by `.gz`."""

BUILTIN = ("builtin", "python-stdlib")
"""Names of the built-in corpus: the running interpreter's standard library, code and documents, about 30 MB."""

MIN_PIECE, MAX_PIECE = 4 << 10, 100_000


class Unreadable(InputError):
    """A file that holds no text: an error where the user named it, a dropped file where a folder holds it."""

    def __init__(self, message: str, reason: str) -> None:
        """Keep the short reason for the datasheet beside the message."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class SourceFile:
    """A file to read."""

    path: Path
    source: str
    """The source that it belongs to, as the user wrote it."""
    name: str
    """The source, and where in it the file lies."""
    named: bool
    """Whether the user named this very file."""

    @property
    def ending(self) -> str:
        """The file name's ending that says how to read it, without `.gz`."""
        return _ending(self.path)

    def size(self) -> int:
        """Bytes of the content; of a gzip file what its last four bytes claim (RFC 1952), for planning only."""
        size = self.path.stat().st_size
        if self.path.suffix.lower() != ".gz" or size < 4:
            return size
        with self.path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return max(size, int.from_bytes(file.read(4), "little"))


@dataclass
class Reading:
    """What was learnt while a file was read."""

    text_field: str | None = None
    """The field that holds the text; `None` for text files and for records that are plain strings."""


def find_files(sources: Sequence[str], without: Path | None = None) -> list[SourceFile]:
    """List the files of the sources: names of files and folders, or `builtin`.

    Folders are searched to the bottom, but for hidden names and `__pycache__`; each in the order of names.

    Args:
        sources: what the user wrote.
        without: a folder to leave out: the one that will be written.

    Raises:
        InputError: no sources, a source that is missing, a file whose ending is not read, a folder without any text.
    """
    if not sources:
        raise InputError(f"no source was named; name files or folders of text, or {BUILTIN[0]} for a trial")
    files = []
    for source in sources:
        path = Path(source)
        if source in BUILTIN:
            found = _walk(source, Path(sysconfig.get_paths()["stdlib"]), TEXT_ENDINGS, None)
        elif path.is_dir():
            found = _walk(source, path, ENDINGS, without)
        elif path.exists():
            if _ending(path) not in ENDINGS:
                raise InputError(f"{source} has an ending that is not read; chidu reads {_endings()}")
            found = [SourceFile(path, source, source, True)]
        else:
            raise InputError(f"{source} does not exist; name a file or folder of text, or {BUILTIN[0]} for a trial")
        if not found:
            raise InputError(f"{source} holds no file that is read; chidu reads {_endings()}")
        files += found
    return files


def piece_size(file_bytes: int, total_bytes: int) -> int | None:
    """Choose the pieces, in bytes, that a text file is cut into; `None` leaves it whole.

    Whole documents are held out, so that none may be too large a part of the sources. With T the power of two above the
    total, so that files added later seldom change the cuts: a file of more than T/16 is cut into pieces of T/128, but
    of 4 kB at least and 100 kB at most.
    """
    coarse = 1 << max(total_bytes, 1).bit_length()
    piece = min(max(coarse // 128, MIN_PIECE), MAX_PIECE)
    return piece if file_bytes > max(coarse // 16, 2 * piece) else None


def read_documents(file: SourceFile, piece: int | None, reading: Reading) -> Iterator[str]:
    """Yield the documents of one file as they stand, and note in `reading` what was learnt.

    Args:
        file: from `find_files`.
        piece: bytes of the pieces of a text file, from `piece_size`.
        reading: is filled in.

    Raises:
        Unreadable: binary, not UTF-8, or no field of text.
        CorruptError: a damaged gzip file.
        InputError: a line that is not JSON, a record without text, a row of the wrong length.
    """
    try:
        with _open(file.path) as stream:
            if file.ending in TEXT_ENDINGS:
                for raw in [stream.read()] if piece is None else _pieces(stream, piece):
                    yield _decode(file, raw)
            else:
                yield from _read_records(file, stream, reading)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptError(f"{file.path} is a damaged gzip file ({error}); fetch it again") from None


def _read_records(file: SourceFile, stream: IO[bytes], reading: Reading) -> Iterator[str]:
    lines = (_decode(file, line) for line in stream)
    if file.ending == ".jsonl":
        records = jsonl_records(file.path, lines)
    elif file.ending == ".csv":
        records = csv_rows(file.path, lines)
    else:
        records = _read_json(file, "".join(lines))
    if file.ending == ".json" and not file.named:
        try:
            yield from list(records_text(file.path, records, reading))
        except InputError as error:
            raise Unreadable(str(error), "no field of text") from None
    else:
        yield from records_text(file.path, records, reading)


def _read_json(file: SourceFile, text: str) -> Iterator[Record]:
    try:
        return json_records(text)
    except ValueError as error:
        raise Unreadable(f"{file.path} is not valid JSON ({error}); mend or remove it", "not JSON") from None


def _decode(file: SourceFile, raw: bytes) -> str:
    if b"\0" in raw:
        raise Unreadable(
            f"{file.path} is a binary file, or text in UTF-16 (it has zero bytes); name text in UTF-8", "binary"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"{file.path} is not text in UTF-8 (byte {raw[error.start]:#04x}); convert it to UTF-8", "not UTF-8"
        ) from None


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Cut a text at the first blank line after `size` bytes, at a line end after twice that, or else anywhere."""
    parts: list[bytes] = []
    length = 0
    rest = b""
    while line := rest + stream.readline(2 * size):
        rest = b""
        if len(line) >= 2 * size and not line.endswith(b"\n"):
            end = len(line)
            while end > 1 and line[end - 1] & 0xC0 == 0x80:
                end -= 1
            line, rest = line[: end - 1] or line, line[end - 1 :] if end > 1 else b""
        parts.append(line)
        length += len(line)
        if length >= 2 * size or (length >= size and not line.strip()):
            yield b"".join(parts)
            parts, length = [], 0
    if parts:
        yield b"".join(parts)


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def _walk(source: str, folder: Path, endings: Sequence[str], without: Path | None) -> list[SourceFile]:
    """List the files of a folder that may be read."""
    skip = {"__pycache__"} | ({"site-packages", "dist-packages"} if source in BUILTIN else set())
    found = []
    for where, folders, names in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(
            name
            for name in folders
            if name not in skip
            and not name.startswith(".")
            and (without is None or (here / name).resolve() != without.resolve())
        )
        for name in sorted(names):
            path = here / name
            if not name.startswith(".") and _ending(path) in endings and path.is_file():
                inside = path.relative_to(folder).as_posix()
                found.append(SourceFile(path, source, f"{source.rstrip('/')}/{inside}", False))
    return found


def _ending(path: Path) -> str:
    """Ending in lower case, without `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _endings() -> str:
    return f"{', '.join(ENDINGS)}, each also with .gz"
