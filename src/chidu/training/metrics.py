"""The log of a run: one JSON object a line in `metrics.jsonl`, and TensorBoard beside it where that is installed."""

import importlib.util
import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from chidu.store import write_text

METRICS = "metrics.jsonl"
LOG_EVERY = 20
"""Optimiser steps between lines."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, none where there is no file: a kill may have cut the last one."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines


class Metrics:
    """Appends lines; opened again after a kill, it drops the lines of steps that will be done again."""

    def __init__(self, folder: Path, step: int, *, tensorboard: bool = True) -> None:
        """Open the log of `folder`, keeping the lines of the first `step` steps."""
        self.path = folder / METRICS
        kept = [line for line in read_lines(self.path) if line["step"] <= step] if step else []
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.file = self.path.open("a", encoding="utf-8", buffering=1)
        self.board: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, **values: float) -> None:
        """Record values after `step` optimiser steps; what is not a finite number is null in JSON."""
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self.file.write(json.dumps({"step": step, **plain}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def __enter__(self) -> "Metrics":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()
