"""What a tuning leaves on disk on its way: the state to go on from, and the best weights so far."""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter

from chidu.errors import CorruptError, InputError
from chidu.store import hash_file, read_json, write_folder, write_json
from chidu.tasks.tuned import Head
from chidu.tasks.tuning_config import TuneConfig
from chidu.training.muon import Muon

WEIGHTS, MOMENTS, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def make_optimizer(head: Head, config: TuneConfig) -> torch.optim.AdamW:
    """AdamW, or Muon for the matrices of the blocks; matrices decay, embeddings, norms and biases do not."""
    learning = {name: weight for name, weight in head.named_parameters() if weight.requires_grad}
    decays = {name for name, weight in learning.items() if weight.dim() == 2 and "embedding" not in name}
    turned = {name for name in decays if "blocks." in name} if config.matrix_rate else set()
    groups = [
        _group(learning, turned, config.matrix_rate, config.weight_decay, orthogonal=True),
        _group(learning, decays - turned, config.learning_rate, config.weight_decay),
        _group(learning, set(learning) - decays, config.learning_rate * config.embedding_factor, 0.0),
    ]
    kind = Muon if config.matrix_rate else torch.optim.AdamW
    return kind([group for group in groups if group["params"]], lr=0.0, betas=(0.9, config.beta2), fused=True)


def _group(
    learning: dict[str, Parameter], names: set[str], peak: float, decay: float, *, orthogonal: bool = False
) -> dict[str, Any]:
    """Weights that learn alike, in the model's order."""
    weights = [weight for name, weight in learning.items() if name in names]
    return {"params": weights, "peak": peak, "weight_decay": decay, "orthogonal": orthogonal}


def newest_state(out: Path) -> Path | None:
    """The state of the largest step in a tuning's folder, or None."""
    found = [folder for folder in out.glob("state-*") if folder.name.rpartition("-")[2].isdigit()]
    return max(found, key=lambda folder: int(folder.name.rpartition("-")[2])) if found else None


def save_state(out: Path, step: int, head: Head, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write `state-<step>` whole and delete the older ones."""
    folder = out / f"state-{step}"
    moments = {
        f"{key}.{name}": optimizer.state[weight][key].detach().cpu().contiguous()
        for name, weight in head.named_parameters()
        if weight.requires_grad and weight in optimizer.state
        for key in sorted(optimizer.state[weight])
    }
    with write_folder(folder) as beside:
        _save(_weights(head), beside / WEIGHTS)
        _save(moments, beside / MOMENTS)
        sums = {name: hash_file(beside / name) for name in (WEIGHTS, MOMENTS)}
        write_json(beside / STATE, {**state, "sha256": sums})
    for other in out.glob("state-*"):
        if other != folder:
            shutil.rmtree(other)


def restore_state(folder: Path, head: Head, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put weights and moments in place; returns the rest of the state.

    Raises:
        CorruptError: a file is damaged.
    """
    try:
        state = dict(read_json(folder / STATE))
        for name, expected in state["sha256"].items():
            if hash_file(folder / name) != expected:
                raise ValueError(f"the checksum of {name} is not the recorded one")
        head.load_state_dict(load_file(folder / WEIGHTS))
        moments = load_file(folder / MOMENTS)
        for name, weight in head.named_parameters():
            if weight.requires_grad:
                own = {key.partition(".")[0]: value for key, value in moments.items() if key.partition(".")[2] == name}
                if not own:
                    raise ValueError(f"the moments of {name} are missing")
                optimizer.state[weight] = {key: value.to(weight.device) for key, value in own.items()}
    except (InputError, OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise CorruptError(f"{folder} is damaged ({error}); delete it and rerun") from None
    return state


def save_best(out: Path, step: int, head: Head) -> None:
    """Write `best-<step>.safetensors`; the older one stays until the state knows of this one."""
    beside = out / f".best-{step}.tmp"
    _save(_weights(head), beside)
    beside.replace(out / f"best-{step}.safetensors")


def drop_older_best(out: Path, step: int) -> None:
    """Delete all but the best weights of that step."""
    for file in out.glob("best-*.safetensors"):
        if file.name != f"best-{step}.safetensors":
            file.unlink()


def load_best(out: Path, head: Head) -> None:
    """Put the best weights in place; CorruptError where they are not there."""
    found = sorted(out.glob("best-*.safetensors"), key=lambda file: int(file.stem.rpartition("-")[2]))
    if not found:
        raise CorruptError(f"{out} has lost its best weights; delete it and tune again")
    try:
        head.load_state_dict(load_file(found[-1]))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CorruptError(f"{found[-1]} is damaged ({error}); delete {out} and tune again") from None


def _weights(head: Head) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in head.state_dict().items()}


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    try:
        save_file(tensors, file)
    except SafetensorError as error:
        raise InputError(
            f"{file.parent} cannot be written ({error}); free some space or mend its permissions, then rerun"
        ) from None
