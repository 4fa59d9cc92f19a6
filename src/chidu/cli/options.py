"""How words on the command line become values: numbers and times as people write them, tables, JSON or text out."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chidu.errors import InputError
from chidu.runs import RunTable, parse_number

if TYPE_CHECKING:
    from chidu.terminal import Terminal
    from chidu.training.train import Machine

UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def read_number(type_: Any, tokens: Sequence[Any]) -> float:
    """Read `70e9`, `70B`, `1_000`."""
    text = tokens[0].value
    try:
        return parse_number(text)
    except ValueError:
        raise InputError(f"--{tokens[0].keyword.lstrip('-')} {text}: not a number; write 70e9 or 70B") from None


def read_duration(type_: Any, tokens: Sequence[Any]) -> float:
    """Read `90s`, `10min`, `2h`, or seconds."""
    text = tokens[0].value.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        seconds = float(digits) * UNITS[text[len(digits) :] or "s"]
    except (ValueError, KeyError):
        raise InputError(f"--budget {text}: not a time; write 90s, 10min or 2h") from None
    if not 0 < seconds < float("inf"):
        raise InputError(f"--budget {text}: a time must be positive")
    return seconds


def read_seed(type_: Any, tokens: Sequence[Any]) -> int:
    """Read a whole number that is not negative."""
    text = tokens[0].value
    if not text.strip().isdecimal():
        raise InputError(f"--{tokens[0].keyword.lstrip('-')} {text}: it must be a whole number that is not negative")
    return int(text)


Number = Annotated[float, Parameter(converter=read_number)]
Duration = Annotated[float, Parameter(converter=read_duration)]
Seed = Annotated[int, Parameter(converter=read_seed)]
Columns = Annotated[
    list[str] | None,
    Parameter(name="--column", help="chidu's name = the file's, such as params=N; or a number for every run."),
]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON on stdout and nothing else.")]


def read_table(path: Path, column: list[str] | None) -> RunTable:
    """Read a table of runs, its columns renamed by `ours=theirs`."""
    pairs = {}
    for item in column or []:
        ours, equals, theirs = item.partition("=")
        if not equals:
            raise InputError(f"--column {item}: write chidu's name = the file's, such as params=N")
        pairs[ours.strip()] = theirs.strip()
    from chidu.tables.read import read_runs

    return read_runs(path, pairs)


def read_sizes(flag: str, text: str) -> tuple[int, ...]:
    """Read `16,32,64`, each larger than the one before; nothing for nothing."""
    try:
        sizes = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        sizes = (0,)
    if any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes)):
        raise InputError(f"{flag} {text}: write rising whole numbers, such as 16,32,64")
    return sizes


def check_level(level: float) -> None:
    """Refuse a probability outside (0, 1) before any work is done."""
    if not 0 < level < 1:
        raise InputError(f"--level {level}: it lies between 0 and 1, such as 0.9")


def show(as_json: bool, value: Any, text: str) -> None:
    """Print a result on stdout: JSON and nothing else, or text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) if as_json else text)


def show_with_notes(as_json: bool, value: dict[str, Any], text: str, notes: Sequence[str]) -> None:
    """Print a result, and what was assumed when its table was read."""
    show(as_json, {**value, "notes": list(notes)}, "\n".join([text, *[f"note: {note}" for note in notes]]))


def open_terminal(quiet: bool) -> "Terminal":
    """What shows progress on stderr, loaded only where there is some."""
    from chidu.terminal import Terminal

    return Terminal(quiet=quiet)


def find_machine(device: str, threads: int) -> "Machine":
    """Where the tensors are; the device is found out, and all cores are taken, unless said otherwise."""
    from chidu.ladder.machine import find_device
    from chidu.training.train import Machine

    if threads < 0:
        raise InputError(f"--threads {threads}: it must not be negative")
    check_device(device)
    return Machine(device=device or find_device(), threads=threads or os.cpu_count() or 1)


def check_device(device: str) -> None:
    """Refuse a device that is not here; nothing stands for what is found out."""
    if device in ("", "cpu"):
        return
    from chidu.ladder.machine import find_device

    if not device.startswith("cuda"):
        raise InputError(f"--device {device}: it is cpu or cuda")
    if find_device() != "cuda":
        raise InputError(f"--device {device}: PyTorch sees no such GPU here; use cpu, or install a build with CUDA")


def fail(code: int, message: str, error: Exception | None = None) -> int:
    """Print one sentence on stderr and return the exit code; with CHIDU_DEBUG a fault of chidu is raised instead."""
    print(f"chidu: {message}", file=sys.stderr)
    if error is not None and os.environ.get("CHIDU_DEBUG"):
        raise error
    return code


def drop_output() -> None:
    """What stdout does not take now, the interpreter must not try to write once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
