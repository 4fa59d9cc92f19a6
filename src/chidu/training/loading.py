"""Any model by its place: a lab, a run, a checkpoint, or a folder in the format of `transformers`."""

import re
from dataclasses import replace
from pathlib import Path

from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.model.pretrained import Pretrained, load_pretrained
from chidu.runs import Run
from chidu.store import read_json
from chidu.training.checkpoint import load_model


def load_any(path: Path | str, *, device: str = "cpu", context: int | None = None) -> Pretrained:
    """Load a model with its tokenizer.

    Args:
        path: a lab (its run of most compute), a run's folder, a checkpoint, a folder in the format of `transformers`,
            or a name on the Hugging Face hub.
        device: where the weights go.
        context: most tokens of a text, of a model in the format of `transformers`.

    Raises:
        InputError: nothing of the kind is there.
        CorruptError: a file is damaged.
    """
    folder = Path(path)
    if is_hub_folder(folder) or is_hub_name(path):
        loaded = load_pretrained(path, context=context)
    else:
        found = find_model(folder)
        tokenizer = Tokenizer.load(tokenizer_file(found))
        model, config = load_model(found)
        specials = Specials.within(tokenizer.vocab_size, tokenizer.eot, config.model.vocab_size)
        start = tokenizer.eot if config.model.kind == "encoder_decoder" else None
        mask = specials.mask if specials is not None else None
        loaded = Pretrained(model, tokenizer, (tokenizer.eot,), start, mask, specials)
    return replace(loaded, model=loaded.model.to(device))


def is_hub_name(path: Path | str) -> bool:
    """Whether a path that is not there may be a name on the Hugging Face hub, and no misspelt folder beside others."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(path))) and not Path(path).parent.exists()


def is_hub_folder(folder: Path) -> bool:
    """Whether a folder's `config.json` is that of a model of `transformers`, and not of a run of ours."""
    if not (folder / "config.json").is_file():
        return False
    try:
        value = read_json(folder / "config.json")
    except CorruptError:
        return False
    return isinstance(value, dict) and "model_type" in value


def find_model(path: Path) -> Path:
    """The run's folder meant by a lab (its run of most compute), a run's folder or a checkpoint.

    Raises:
        InputError: nothing finished is there.
    """
    if list(path.glob("checkpoint-*")) or path.name.startswith("checkpoint-"):
        return path
    if not path.exists():
        raise InputError(f"{path} does not exist; name a lab, a run's folder, a checkpoint or another model")
    if (path / "model.safetensors").is_file():
        raise InputError(
            f"{path} holds weights, but no config.json that says of which architecture; put the model's own beside them"
        )
    finished = [file.parent for file in path.glob("runs/*/run.json")]
    runs = {folder: Run.from_json(read_json(folder / "run.json")) for folder in finished}
    done = {folder: run for folder, run in runs.items() if run.status == "done"}
    if not done:
        raise InputError(
            f"{path} holds no finished run; name a lab, a run's folder such as LAB/runs/ID, or a checkpoint"
        )
    return max(done, key=lambda folder: (done[folder].flops or 0.0, folder.name))


def tokenizer_file(model: Path) -> Path:
    """The tokenizer of a run's folder or checkpoint.

    Raises:
        InputError: it is not there.
    """
    folder = model.parent if model.name.startswith("checkpoint-") else model
    if not (folder / "tokenizer.json").exists():
        raise InputError(f"{folder / 'tokenizer.json'} is missing; copy it from the data folder of the run")
    return folder / "tokenizer.json"
