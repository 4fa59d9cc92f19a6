"""The waist of the house: what a training run was, and a table of them.

Training and the ladder make runs, `tables/` reads those of others; laws, forecast and report know nothing else.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.accounting import law_flops
from chidu.errors import CorruptError
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
    """Line of the file; in tables without lines (Parquet, folders, those that were made) the position, from 1."""
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

SUFFIXES = {"k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
"""Power of ten of a number's last letter."""
GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?![\d,])")
"""A number whose commas group thousands, `1,000,000`."""


def parse_number(text: str, power: int = 0) -> float:
    """Read a number as people write them: `3e9`, `1.4B`, `70m`, `1_000`, `1,000`.

    Args:
        text: the number; one with a suffix of its own is taken by that alone.
        power: of ten, the unit that it is given in.

    Raises:
        ValueError: it is not a number; a comma that does not group thousands is none.
    """
    plain = text.strip().lower().replace("_", "")
    if "," in plain:
        if not GROUPED.match(plain):
            raise ValueError(f"{text!r} has a comma that does not group thousands")
        plain = plain.replace(",", "")
    if plain and plain[-1] in SUFFIXES:
        plain, power = plain[:-1].rstrip(), SUFFIXES[plain[-1]]
    try:
        return float(f"{plain}e{power}")  # exact, as a product would not be
    except ValueError:
        return float(plain) * 10.0**power


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
