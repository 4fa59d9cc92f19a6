"""Hugging Face's Trainer: `trainer_state.json`, in the output folder and in each `checkpoint-STEP/`.

`log_history` holds an entry for each time it logged: `loss` (training, the mean since the last), `eval_loss`,
`learning_rate`, `num_input_tokens_seen` where that was asked for, each with its `step`. `total_flos` is 6 times the
parameters without embedding times the tokens read (`floating_point_ops` of `PreTrainedModel`).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError
from chidu.tables.curves import Ends, last_values
from chidu.tables.files import name_below, read_json
from chidu.tables.settings import HOW, read_settings
from chidu.tables.sheet import Sheet, fill, to_text

NAME = "trainer_state.json"
CHECKPOINT = re.compile(r"checkpoint-\d+")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MOST_HEADER = 100_000_000
"""Bytes of a safetensors header, as its own reader allows."""
NO_CURVES = frozenset(
    ("step", "epoch", "train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
)
"""The position of an entry, and what the last one has: means and totals of the whole training."""


def is_trainer_state(value: Any) -> bool:
    """Whether a JSON value is a Trainer's state."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("global_step"), int)
        and isinstance(value.get("log_history"), list)
        and all(isinstance(entry, dict) and isinstance(entry.get("step", 0), int) for entry in value["log_history"])
    )


def read_folder(folder: Path, files: Sequence[Path], loss: str | None) -> Sheet | None:
    """Read one run for each output folder; None where there are none."""
    found = [path for path in files if path.name == NAME]
    return read_states(folder, found, loss) if found else None


def read_states(source: Path, files: Sequence[Path], loss: str | None) -> Sheet:
    """Read one run for each output folder of states, from the one that got furthest.

    Raises:
        InputError: a file is not valid JSON, or no state.
    """
    states: dict[Path, tuple[Path, dict[str, Any]]] = {}
    for path in files:
        state = _read_state(path)
        home = path.parent.parent if CHECKPOINT.fullmatch(path.parent.name) else path.parent
        if home not in states or state["global_step"] >= states[home][1]["global_step"]:
            states[home] = (path, state)
    ends, notes = Ends(), dict[str, None]()
    rows = []
    for line, (home, (path, state)) in enumerate(states.items(), start=1):
        name = name_below(source, home) if home.is_relative_to(source) else home.name
        rows.append((line, {"run": name, **_read_run(path, state, ends, notes, loss)}))
    header, filled = fill(rows)
    return Sheet(
        path=source,
        header=header,
        rows=filled,
        word="run",
        tracked=True,
        notes=(*ends.notes(), *notes),
        advice=HOW,
    )


def _read_state(path: Path) -> dict[str, Any]:
    state = read_json(path)
    if not is_trainer_state(state):
        raise InputError(f"{path} has no log_history and global_step of a Trainer's state; delete it")
    return dict(state)


def _read_run(
    path: Path, state: Mapping[str, Any], ends: Ends, notes: dict[str, None], loss: str | None
) -> dict[str, str]:
    values = last_values(_read_curves(state["log_history"]), ends, loss)
    if values.get("step", state["global_step"]) == state["global_step"]:  # the totals are those of the last step
        for total in ("num_input_tokens_seen", "total_flos"):
            if _positive(state.get(total)):
                values.setdefault(total, float(state[total]))
    row = read_settings(path.parent) | {name: to_text(value) for name, value in values.items()}
    params = _count_params(path.parent)
    if params:
        notes["params is counted from the weights beside the state, all of them, tied ones once"] = None
        row["params_total"] = str(params)
    elif values.get("num_input_tokens_seen") and values.get("total_flos"):
        notes["params is what total_flos implies, 6 * params without embedding * tokens"] = None
        row["params_non_embedding"] = to_text(values["total_flos"] / 6 / values["num_input_tokens_seen"])
    if _positive(state.get("max_steps")) and 0 < state["global_step"] < state["max_steps"]:
        row["status"] = f"stopped at step {state['global_step']} of {state['max_steps']}"
    return row


def _read_curves(history: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """What was logged, (step, value); the Trainer's `loss` is named as what it is, the training loss."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in history:
        for name, value in entry.items():
            if isinstance(value, int | float) and name not in NO_CURVES:
                curves.setdefault("train/loss" if name == "loss" else name, []).append((entry.get("step", 0), value))
    return curves


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _count_params(folder: Path) -> int:
    """Weights of the model beside a state: of its index, or of the header of its one file; 0 where there is none."""
    if (folder / INDEX).is_file():
        try:
            return int(json.loads((folder / INDEX).read_bytes())["metadata"]["total_parameters"])
        except (ValueError, KeyError, TypeError):  # older indices do not say
            return 0
    if not (folder / WEIGHTS).is_file():
        return 0
    try:
        with (folder / WEIGHTS).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < MOST_HEADER else {}
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptError(f"{folder / WEIGHTS} is damaged; delete it, or write it again") from None
