"""Files that are either wholly there or not there at all.

A file is written beside its final place, flushed to disk and renamed over it, so that a process killed at any moment
leaves the old file or the new one. A step is done when its last file exists. Nothing here executes what it reads.
"""

import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError

ID_LENGTH = 12
"""Hex digits of a content hash that name a run, a data set or a receipt: 48 bits, enough for millions of them."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: it holds all of `content`, or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, keys in the order given. NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the step that writes it first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} is not valid JSON ({error}); delete it and run its step again") from None


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Fill a folder beside its final place and rename it there when the block ends without an exception.

    Yields the folder to write into. An existing folder at `path` is renamed out of the way just before, so that a kill
    between the two renames leaves none; folders left by a killed process are swept away first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        shutil.rmtree(left_over, ignore_errors=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.mkdir()
    try:
        yield beside
        for file in beside.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        if path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old.tmp")
            path.rename(old)
            beside.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a lock file for the length of a block; another process that wants it waits.

    The lock goes with the process, however it ends. The file stays. On Windows nothing is locked.
    """
    with path.open("ab") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hash_json(value: Any, digits: int = ID_LENGTH) -> str:
    """Hash a JSON value by its content: the same for any order of keys. Returns the first hex digits of its SHA-256."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:digits]


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
