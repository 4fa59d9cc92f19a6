"""The waist of the house: what a training run was, and a table of them.

Everything above (data, model, training, ladder) makes runs; everything below (laws, forecast, report) reads them.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.accounting import law_flops
from chidu.errors import CorruptError, InputError
from chidu.store import write_text

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run and where it landed. `None` means not known."""

    loss: float
    """Held-out loss, nats per token."""
    params: float | None = None
    tokens: float | None = None
    flops: float | None = None
    run: str = ""
    """Name; chidu's own are the hash of config and data."""
    status: str = "done"
    """`done`, or `diverged`: a run whose loss is not a result."""
    loss_se: float | None = None
    """Standard error of `loss` from the finite held-out text."""
    bits_per_byte: float | None = None
    unseen_loss: float | None = None
    """Loss on whole documents that were never trained on, nats per token."""
    unseen_bits_per_byte: float | None = None
    unique_tokens: float | None = None
    active_params: float | None = None
    """Of a mixture of experts: the params that work on one token."""
    batch_tokens: float | None = None
    learning_rate: float | None = None
    d_model: float | None = None
    n_layer: float | None = None
    seed: float | None = None
    step: float | None = None
    group: str | None = None
    family: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    """Columns that chidu does not know, as they stood."""

    def with_flops(self) -> "Run":
        """The same run, its FLOPs taken as 6 params tokens where they are not known and the others are."""
        if self.flops is not None or self.params is None or self.tokens is None:
            return self
        return replace(self, flops=law_flops(self.params, self.tokens))

    def to_json(self) -> dict[str, Any]:
        """Plain values of every field; a loss that is not a number becomes null."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"extra": dict(self.extra)}
        return values | {"loss": self.loss if math.isfinite(self.loss) else None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Run":
        """Read what `to_json` wrote.

        Raises:
            CorruptError: it is not a run, or of another version of chidu.
        """
        try:
            return cls(**{**value, "loss": math.nan if value["loss"] is None else value["loss"]})
        except (KeyError, TypeError) as error:
            raise CorruptError(f"a run.json is of another version ({error}); delete its folder and run again") from None


@dataclass(frozen=True)
class SetAside:
    """A row that is not fitted, and why."""

    row: int
    """Line of the file, the header being 1; in tables that were not read from a file, the position counted from 1."""
    run: str
    reason: str


@dataclass(frozen=True)
class RunTable:
    """Runs in the order of their file, and the rows set aside with reasons."""

    runs: tuple[Run, ...]
    set_aside: tuple[SetAside, ...] = ()
    source: str = ""
    """The file they were read from, or what made them."""
    notes: tuple[str, ...] = ()
    """What was assumed when the table was read (units, conventions)."""
    lines: tuple[int, ...] = ()
    """Line of the file of each run; empty in tables that were not read from one."""

    def __len__(self) -> int:
        """Number of usable runs."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """The usable runs."""
        return iter(self.runs)

    def column(self, name: str) -> Array:
        """Take a numeric column, [n]; NaN where a run does not know it."""
        values = [getattr(run, name) for run in self.runs]
        return np.array([math.nan if value is None else float(value) for value in values])

    @property
    def has_params(self) -> bool:
        """Whether every run knows its parameters and tokens (else the table is a compute frontier)."""
        return all(run.params is not None and run.tokens is not None for run in self.runs)

    def without(self, reasons: Mapping[int, str]) -> "RunTable":
        """Set runs aside by their position, [position] -> reason."""
        lines = self.lines or tuple(range(1, len(self.runs) + 1))
        gone = [SetAside(lines[i], self.runs[i].run, reason) for i, reason in sorted(reasons.items())]
        kept = [i for i in range(len(self.runs)) if i not in reasons]
        runs, left = tuple(self.runs[i] for i in kept), tuple(lines[i] for i in kept)
        return replace(self, runs=runs, lines=left, set_aside=(*self.set_aside, *gone))


NUMBERS = tuple(f.name for f in fields(Run) if "float" in str(f.type))
TEXTS = ("run", "status", "group", "family")
POSITIVE = (
    "params",
    "tokens",
    "flops",
    "loss",
    "bits_per_byte",
    "unseen_loss",
    "unseen_bits_per_byte",
    "unique_tokens",
    "active_params",
)

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "params": ("n", "n_params", "num_params", "parameters", "model_size", "total_params"),
    "tokens": ("d", "n_tokens", "num_tokens", "train_tokens", "training_tokens", "tokens_seen"),
    "flops": ("c", "compute", "train_flops", "training_flops", "total_flops"),
    "loss": (
        "l",
        "final_loss",
        "val_loss",
        "val/loss",
        "valid_loss",
        "validation_loss",
        "eval_loss",
        "eval/loss",
        "test_loss",
    ),
    "bits_per_byte": ("bpb", "val_bpb"),
    "run": ("name", "run_id", "run_name", "id", "tag"),
    "status": ("state",),
    "learning_rate": ("lr", "peak_lr", "max_lr"),
    "batch_tokens": ("batch_size_tokens",),
    "d_model": ("width", "hidden_size", "n_embd"),
    "n_layer": ("depth", "layers", "num_layers", "n_layers"),
    "unique_tokens": ("u", "unique_d"),
    "active_params": ("params_active", "n_active", "activated_params"),
}
"""Other names under which a column is recognised, whatever their case."""

SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def parse_number(text: str) -> float:
    """Read a number as people write them: `3e9`, `1.4B`, `70m`, `1_000`, `1,000`.

    Raises:
        ValueError: it is not a number.
    """
    plain = text.strip().lower().replace("_", "").replace(",", "")
    if plain and plain[-1] in SUFFIXES:
        return float(plain[:-1]) * SUFFIXES[plain[-1]]
    return float(plain)


def read_runs(path: str | Path, columns: Mapping[str, str] | None = None) -> RunTable:
    """Read a CSV of runs: `params, tokens, loss`, or `flops, loss`, and whatever else it knows.

    Args:
        path: the file, UTF-8, comma- or tab-separated, with a header.
        columns: chidu's name -> the file's name, for columns that are spelt otherwise.

    Raises:
        InputError: no such file, a missing column, text in a number, a value not finite or not positive, no rows.
    """
    path = Path(path)
    rows, header = read_rows(path)
    names = _match_columns(path, header, columns or {})
    runs, lines, aside = [], [], []
    for line, row in rows:
        run = _read_run(path, line, row, names)
        if run.status.lower() in ("done", "finished", "completed", "ok"):
            runs.append(run)
            lines.append(line)
        else:
            aside.append(SetAside(line, run.run, f"status is {run.status!r}"))
    if not runs:
        raise InputError(f"{path} has no finished run; a forecast needs rows with params, tokens and loss")
    notes = []
    if any(run.flops is None for run in runs):
        runs = [run.with_flops() for run in runs]
        notes.append("flops was not given and is taken as 6 * params * tokens")
    return RunTable(tuple(runs), tuple(aside), str(path), tuple(notes), tuple(lines))


def read_rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Rows of a CSV as (line, {column: text}), and the header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; name a CSV file") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name a CSV file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text (UTF-8); name a CSV file") from None
    first = text.split("\n", 1)[0]
    if "\0" in text:
        raise InputError(f"{path} is a binary file; name a CSV file")
    reader = csv.reader(io.StringIO(text), delimiter="\t" if "\t" in first and "," not in first else ",")
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise InputError(f"{path} is empty; it needs a header such as params,tokens,loss and a row a run")
    rows = []
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            raise InputError(
                f"{path}, row {reader.line_num}: {len(values)} values under {len(header)} column names; mend the row"
            )
        rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    return rows, header


def _match_columns(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Match chidu's names to the file's, [chidu's] -> file's."""
    lower = {name.lower(): name for name in header}
    names = {}
    for ours in (*NUMBERS, *TEXTS):
        for spelling in (ours, *SPELLINGS.get(ours, ())):
            if spelling in lower:
                names[ours] = lower[spelling]
                break
    for ours, theirs in columns.items():
        if ours not in (*NUMBERS, *TEXTS):
            raise InputError(
                f"--column {ours}={theirs}: chidu has no column {ours}; it has {', '.join((*NUMBERS, *TEXTS))}"
            )
        if theirs not in header:
            raise InputError(f"--column {ours}={theirs}: {path} has no column {theirs}; it has {', '.join(header)}")
        names[ours] = theirs
    missing = [name for name in ("loss",) if name not in names]
    if not ("params" in names and "tokens" in names) and "flops" not in names:
        missing += [name for name in ("params", "tokens") if name not in names]
    if missing:
        raise InputError(
            f"{path} lacks the column {' and '.join(missing)}; it has {', '.join(header)}; "
            f"map one with --column {missing[0]}=ITS_NAME"
        )
    return names


def _read_run(path: Path, line: int, row: Mapping[str, str], names: Mapping[str, str]) -> Run:
    """Make a run of one row, checking every number."""
    values: dict[str, Any] = {}
    needed = ("loss", "params", "tokens") if "params" in names and "tokens" in names else ("loss", "flops")
    unfinished = row.get(names.get("status", ""), "done").strip().lower() in (
        "diverged",
        "failed",
        "crashed",
        "running",
    )
    for ours, theirs in names.items():
        text = row[theirs].strip()
        if not text:
            if ours in needed and not unfinished:
                raise InputError(f"{path}, row {line}: {theirs} is empty; fill it in or delete the row")
            continue
        values[ours] = text if ours in TEXTS else check_number(path, line, ours, theirs, text, strict=not unfinished)
    if unfinished:
        values.setdefault("loss", math.nan)
    return Run(**values, extra={name: row[name] for name in row if name not in names.values()})


def check_number(path: Path, line: int, ours: str, theirs: str, text: str, *, strict: bool) -> float:
    """Read one number of a row; a run that did not finish may carry anything."""
    try:
        value = parse_number(text)
    except ValueError:
        raise InputError(f"{path}, row {line}: {theirs} is {text!r}, which is not a number; correct it") from None
    if strict and not math.isfinite(value):
        raise InputError(
            f"{path}, row {line}: {theirs} is {text}, not a finite number; delete the row or set its status to diverged"
        )
    if strict and ours in POSITIVE and value <= 0:
        raise InputError(f"{path}, row {line}: {theirs} is {text}, but it must be positive; correct it")
    return value


def write_runs(path: Path, table: Sequence[Run]) -> None:
    """Write runs as a CSV, atomically; a column that no run knows is left out; numbers read back exactly."""
    known = [f.name for f in fields(Run) if f.name != "extra"]
    known = ["run", *[name for name in known if name != "run"]]
    used = [name for name in known if any(getattr(run, name) is not None for run in table)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(used)
    for run in table:
        writer.writerow([_text(getattr(run, name)) for name in used])
    write_text(path, out.getvalue())


def _text(value: float | str | None) -> str:
    """Shortest text that reads back as the same value; whole numbers without a decimal point."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)
