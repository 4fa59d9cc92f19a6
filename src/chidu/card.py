"""The model card of an export: what the model is, what it was trained on, how good it is, and what was forecast."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chidu.accounting import count_params
from chidu.config import ModelConfig, TrainConfig
from chidu.errors import InputError
from chidu.store import read_json

BY_EXPORT = "Written by `chidu export`"
"""What the card of every export says."""
KINDS = {
    "decoder": "a decoder: it tells the next token",
    "encoder": "an encoder: it tells the token at each place, seen from both sides",
    "encoder_decoder": "an encoder-decoder: it tells the next token of a target, given a source",
}


def model_card(source: Path, config: ModelConfig) -> str:
    """The text of a `README.md`: what is known of a model from its run's folder and the lab around it.

    `source` is a run's folder, a checkpoint, the folder of a tuned model, or any other folder, of which nothing more is
    known.
    """
    tuned = _read(source / "tuned.json")
    if tuned is not None:
        return "\n".join([*_model(config), *_tuning(source, tuned)]) + "\n"
    run = source.parent if source.name.startswith("checkpoint-") else source
    lab = run.parent.parent
    parts = [*_model(config), *_training(run), *_result(run)]
    if (run / "config.json").is_file():
        parts += [*_data(lab), *_law(lab), *_forecast(lab), *_extra(lab, "scores.json", "Scores")]
        parts += _extra(lab, "audit.json", "Audit")
    return "\n".join(parts) + "\n"


def _model(config: ModelConfig) -> Iterator[str]:
    count = count_params(config)
    yield "# Model card"
    yield ""
    yield f"A Transformer, {KINDS[config.kind]}. {BY_EXPORT}; `transformers` loads it without other code."
    yield ""
    yield "## Model"
    yield ""
    yield f"- params: {count.total:,} in all, {count.non_embedding:,} without embedding, positions and head"
    layers = f"{config.n_layer} layers"
    if config.kind == "encoder_decoder":
        layers = f"{config.encoder_layers} layers of the encoder, {config.n_layer} of the decoder"
    yield f"- {layers}, width {config.d_model}, {config.n_head} heads, context {config.context} tokens"
    yield f"- vocabulary {config.vocab_size:,}, {config.position} positions, {config.activation}"


def _training(run: Path) -> Iterator[str]:
    value = _read(run / "config.json")
    if value is None or "model_type" in value:
        return
    try:
        config = TrainConfig.from_json(value)
    except InputError:
        return
    yield ""
    yield "## Training"
    yield ""
    yield f"- {config.steps * config.batch_tokens:,} tokens in {config.steps:,} steps of {config.batch_tokens:,}"
    rates = f"{config.learning_rate:g} (embeddings, norms) and {config.hidden_learning_rate:g} (matrices)"
    yield f"- AdamW, peak rates {rates}"
    yield f"- run {config.id} on data set {config.data}, seed {config.seed}"


def _tuning(folder: Path, about: Mapping[str, Any]) -> Iterator[str]:
    """Of a tuned model: the task, how its texts are put to it, and how the tuning went."""
    yield ""
    yield "## Tuning"
    yield ""
    yield f"- task: {about['task']['task']}"
    if about["labels"]:
        yield f"- labels: {', '.join(about['labels'])}"
    yield f"- reads: {_reads(about['way'], about['task']['task'])}"
    how = _read(folder.parent / "tuning.json")
    if how is not None:
        best = f"the weights of step {how['best_step']:,} were kept"
        yield f"- {how['steps']:,} steps, {how['epochs']:.1f} epochs; {best}"
        yield f"- validation loss {how['valid_loss']:.4f} nats, overfitting gap {how['gap']:+.4f}"


def _reads(way: str, key: str) -> str:
    """What stands before the model: the text alone, or the prompt of the task around it."""
    from chidu.tasks import TASKS
    from chidu.tasks.example import Example

    if way == "label":
        return "the text alone; Chinese text was cut into characters before it was encoded"
    if way == "span":
        return "question, separator, passage; each word and Chinese character was encoded alone"
    return json.dumps(TASKS[key]().prompt(Example(source="TEXT", context="PASSAGE")), ensure_ascii=False)


def _result(run: Path) -> Iterator[str]:
    value = _read(run / "run.json")
    if value is None or value.get("loss") is None:
        return
    yield ""
    yield "## Held-out loss"
    yield ""
    error = f" ± {float(value['loss_se']):.4f}" if value.get("loss_se") is not None else ""
    bits = f", {float(value['bits_per_byte']):.3f} bits per byte" if value.get("bits_per_byte") is not None else ""
    yield f"- passages of the training sources: {float(value['loss']):.4f}{error} nats per token{bits}"
    if value.get("unseen_loss") is not None:
        yield f"- whole unseen documents: {float(value['unseen_loss']):.4f} nats per token"


def _data(lab: Path) -> Iterator[str]:
    value = _read(lab / "data" / "datasheet.json")
    if value is None:
        return
    yield ""
    yield "## Data sheet"
    yield ""
    yield from _lines(value)


def _law(lab: Path) -> Iterator[str]:
    value = _read(lab / "fit.json")
    if value is None:
        return
    yield ""
    yield "## Law"
    yield ""
    yield from _lines({name: value[name] for name in ("form", "params", "parameters", "signature") if name in value})


def _forecast(lab: Path) -> Iterator[str]:
    value = _read(lab / "forecast.json")
    if value is None:
        return
    yield ""
    yield "## Forecast"
    yield ""
    yield from _lines(value)


def _extra(lab: Path, name: str, heading: str) -> Iterator[str]:
    value = _read(lab / name)
    if value is None:
        return
    yield ""
    yield f"## {heading}"
    yield ""
    yield from _lines(value)


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is none."""
    if not path.is_file():
        return None
    value = read_json(path)
    return value if isinstance(value, dict) else None


def _lines(value: Mapping[str, Any], depth: int = 0, deepest: int = 2) -> Iterator[str]:
    """A JSON object as a nested list; long lists are counted, and what lies deeper is left to the file."""
    indent = "  " * depth
    for name, item in value.items():
        words = str(name).replace("_", " ")
        if isinstance(item, Mapping):
            yield f"{indent}- {words}:"
            if depth < deepest:
                yield from _lines(item, depth + 1, deepest)
        elif isinstance(item, list) and (len(item) > 8 or any(isinstance(part, dict | list) for part in item)):
            yield f"{indent}- {words}: {len(item)} entries"
        elif isinstance(item, list):
            yield f"{indent}- {words}: {', '.join(map(str, item)) or 'none'}"
        elif item is not None and item != "":
            yield f"{indent}- {words}: {item:.6g}" if isinstance(item, float) else f"{indent}- {words}: {item}"
