"""Where a run begins: with fresh weights, at its own checkpoint, or at the branch point of a shorter run.

Runs that differ in length alone are the same run up to the shorter one's decay (`TrainConfig.trunk`). The shorter one
keeps `branch-<step>/` at the first step of its decay, a checkpoint like any other, which the next longer one starts
from. What a run began with stands in its `branch.json`: nothing of it changes the run's numbers, only its price.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chidu.config import TrainConfig
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.store import read_json, write_json, write_text
from chidu.training.average import Average
from chidu.training.checkpoint import CONFIG, STATE, latest_checkpoint, restore, write_checkpoint
from chidu.training.metrics import LOG_EVERY, METRICS, read_lines
from chidu.training.optimizer import Optimizer

BEGAN = "branch.json"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a run shares with others of its trunk; nothing here changes its numbers."""

    start: Path | None = None
    """The `branch-<step>/` of a shorter run to start from; where it is not there, the run trains alone."""
    keep: bool = False
    """Whether a longer run will start from this one's branch point."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Shared":
        """Read a job's `shared`."""
        return cls(**{**value, "start": Path(value["start"]) if "start" in value else None})


def begin(
    config: TrainConfig,
    out: Path,
    shared: Shared,
    model: Transformer,
    optimizer: Optimizer,
    average: Average,
) -> tuple[int, float]:
    """Put the state that a run goes on from in place; return the number of its next step and the seconds spent on it.

    Raises:
        InputError: the branch point is not one of this run's trunk.
        CorruptError: the checkpoint is damaged.
    """
    if checkpoint := latest_checkpoint(out):
        return restore(checkpoint, model, optimizer, average)
    (out / BEGAN).unlink(missing_ok=True)
    if shared.start is None or not (shared.start / STATE).exists():
        return 0, 0.0
    shorter = TrainConfig.from_json(read_json(shared.start / CONFIG))
    step, seconds = restore(shared.start, model, optimizer, average)
    if shorter.trunk != config.trunk or step > config.branch_step:
        raise InputError(f"{shared.start} is no branch point of run {config.id}; plan again, or train the run alone")
    lines = [line for line in read_lines(shared.start.parent / METRICS) if line["step"] <= step]
    if step == shorter.steps and step % LOG_EVERY:  # its last step, which a longer run would not have logged
        lines = [line for line in lines if line["step"] < step]
    write_text(out / METRICS, "".join(json.dumps(line) + "\n" for line in lines))
    write_json(out / BEGAN, {"from": shorter.id, "step": step, "seconds": seconds})
    return step, seconds


def shared_seconds(out: Path) -> float:
    """Seconds of a run's training that a shorter one did for it."""
    return float(read_json(out / BEGAN)["seconds"]) if (out / BEGAN).exists() else 0.0


def keep_branch_point(config: TrainConfig, out: Path, model: Transformer, optimizer: Optimizer, seconds: float) -> None:
    """Write `branch-<step>/` before the first step of the decay; once there, it is never written again."""
    folder = branch_point(config, out)
    if not folder.exists():
        write_checkpoint(folder, config.branch_step, model, optimizer, config, seconds)


def branch_point(config: TrainConfig, out: Path) -> Path:
    """Where a run keeps its branch point."""
    return out / f"branch-{config.branch_step}"
