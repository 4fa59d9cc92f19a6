"""Checkpoints: safetensors and JSON, written whole or not at all, verified by checksum when read.

A checkpoint is a folder `checkpoint-<step>` with `config.json` (the TrainConfig), `model.safetensors`, `state.json`
(the step, the checksums) and, while the run goes on, `optimizer.safetensors` and `average.safetensors`, the mean of the
weights so far. Of a run that averages, the last one's weights are the mean. Nothing in it is executed.
"""

import re
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from chidu.config import TrainConfig
from chidu.errors import CorruptError, InputError
from chidu.model.transformer import Transformer
from chidu.store import hash_file, read_json, write_folder, write_json
from chidu.training.average import Average
from chidu.training.optimizer import Optimizer

MODEL, OPTIMIZER, STATE, CONFIG = "model.safetensors", "optimizer.safetensors", "state.json", "config.json"
AVERAGE = "average.safetensors"


def save_checkpoint(
    out: Path,
    step: int,
    model: Transformer,
    optimizer: Optimizer | None,
    config: TrainConfig,
    seconds: float = 0.0,
    average: Average | None = None,
) -> Path:
    """Write `out/checkpoint-<step>` and delete the older ones; without an optimizer it is a final one.

    `seconds` is the time spent on the run so far, kept so that a resumed run knows its whole price.

    Raises:
        InputError, OSError: the folder cannot be written, or the disk is full; the older checkpoint stays.
    """
    folder = out / f"checkpoint-{step}"
    write_checkpoint(folder, step, model, optimizer, config, seconds, average)
    for other in [*_checkpoints(out), *out.glob(".checkpoint-*.tmp")]:
        if other != folder:
            shutil.rmtree(other)
    return folder


def write_checkpoint(
    folder: Path,
    step: int,
    model: Transformer,
    optimizer: Optimizer | None,
    config: TrainConfig,
    seconds: float,
    average: Average | None = None,
) -> None:
    """Write one checkpoint, whole or not at all; the folder's name ends with the step.

    Raises:
        InputError, OSError: the folder cannot be written, or the disk is full.
    """
    with write_folder(folder) as beside:
        _save(dict(model.state_dict()), beside / MODEL)
        if optimizer is not None:
            _save(_moments(model, optimizer), beside / OPTIMIZER)
        if average is not None and average.mean:
            _save(average.to_tensors(model), beside / AVERAGE)
        write_json(beside / CONFIG, config.to_json())
        sums = {file.name: hash_file(file) for file in sorted(beside.iterdir())}
        write_json(beside / STATE, {"step": step, "seconds": seconds, "sha256": sums})


def latest_checkpoint(out: Path) -> Path | None:
    """The checkpoint of the largest step in a run's folder, or None."""
    found = _checkpoints(out)
    return max(found, key=_step) if found else None


def load_model(folder: Path, device: str = "cpu") -> tuple[Transformer, TrainConfig]:
    """Load the model of a checkpoint, or of a run's folder (its latest checkpoint).

    Raises:
        InputError: there is no checkpoint.
        CorruptError: a file's checksum is not the one recorded.
    """
    checkpoint = folder if (folder / STATE).exists() else latest_checkpoint(folder)
    if checkpoint is None:
        raise InputError(f"{folder} holds no checkpoint; name a run's folder, such as LAB/runs/ID")
    verify(checkpoint)
    config = TrainConfig.from_json(read_json(checkpoint / CONFIG))
    model = Transformer(config.model)
    model.load_state_dict(_load(checkpoint / MODEL))
    return model.to(device).eval(), config


def restore(
    checkpoint: Path, model: Transformer, optimizer: Optimizer, average: Average | None = None
) -> tuple[int, float]:
    """Put a checkpoint's weights, moments and mean in place; return the number of the next step and the seconds spent.

    A final checkpoint has no moments: its next step is past the last.

    Raises:
        CorruptError: a file's checksum is not the one recorded.
    """
    verify(checkpoint)
    step, seconds, sums = _read_state(checkpoint)
    model.load_state_dict(_load(checkpoint / MODEL))
    if average is not None:
        average.load(model, _load(checkpoint / AVERAGE) if AVERAGE in sums else {})
    if OPTIMIZER not in sums:
        return step, seconds
    moments = _load(checkpoint / OPTIMIZER)
    for name, weight in model.named_parameters():
        optimizer.state[weight] = {
            key: moments[f"{key}.{name}"].to("cpu" if key == "step" else weight.device)
            for key in ("step", "exp_avg", "exp_avg_sq")
        }
        optimizer.state[weight]["step"] = optimizer.state[weight]["step"].to(weight.device)
    return step, seconds


def verify(checkpoint: Path) -> None:
    """Compare every file of a checkpoint with its recorded checksum.

    Raises:
        CorruptError: one differs or is missing.
    """
    for name, expected in _read_state(checkpoint)[2].items():
        file = checkpoint / name
        if not file.exists() or hash_file(file) != expected:
            raise CorruptError(
                f"{file} is damaged (its checksum is not the recorded one); delete {checkpoint} and rerun"
            )


def _read_state(checkpoint: Path) -> tuple[int, float, dict[str, str]]:
    """Step, seconds spent and checksums of a checkpoint; the checksums cannot cover the file that they stand in."""
    try:
        state = read_json(checkpoint / STATE)
        step, seconds, sums = int(state["step"]), float(state["seconds"]), dict(state["sha256"])
        whole = step == _step(checkpoint) and {MODEL, CONFIG} <= set(sums)
    except (InputError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise CorruptError(f"{checkpoint / STATE} is missing or damaged; delete {checkpoint} and rerun")
    return step, seconds, sums


def _moments(model: Transformer, optimizer: Optimizer) -> dict[str, Tensor]:
    return {
        f"{key}.{name}": value
        for name, weight in model.named_parameters()
        for key, value in optimizer.state[weight].items()
    }


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
    except SafetensorError as error:
        raise InputError(
            f"{file.parent.parent} cannot be written ({error}); free some space or mend its permissions, then rerun"
        ) from None


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, FileNotFoundError) as error:
        raise CorruptError(f"{file} cannot be read ({error}); delete its folder and rerun") from None


def _checkpoints(out: Path) -> list[Path]:
    return [path for path in out.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
