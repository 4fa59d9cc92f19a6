"""The door to Hugging Face: folders that `transformers` loads without our code, in and out.

What is written is `config.json`, `generation_config.json`, `model.safetensors`, and the tokenizer. What is read is
`config.json` and safetensors, one file or several; nothing that executes (no pickle) is opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from chidu.config import ModelConfig
from chidu.data.hub_tokenizer import FILES, HubTokenizer
from chidu.data.specials import MASK, PAD, SEPARATOR, Specials
from chidu.data.tokenizer import EOT, Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.model.families import FAMILIES, family_of
from chidu.model.families.mapping import Family, HeadShape, Weights, fold, read_entries, read_weights, write_weights
from chidu.model.heads import Classifier, SpanReader
from chidu.model.transformer import Transformer
from chidu.store import read_json, write_folder, write_json, write_text

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
MOST_CONTEXT = 8192
"""Longest context that a loaded model gets unless asked: its tables are made for every position."""

Head = Classifier | SpanReader


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What a folder held."""

    model: Transformer
    tokenizer: Tokenizer | HubTokenizer | None
    """None where the folder has no `tokenizer.json`."""
    stops: tuple[int, ...]
    """Ids that end a text."""
    start: int | None = None
    """Of an encoder-decoder: the id that a target starts with."""
    mask: int | None = None
    """The id that stands where a token is to be guessed, of an encoder."""
    specials: Specials | None = None
    """Of a model that chidu trained with them."""
    head: Head | None = None
    """The classifier or the span reader of a folder that has one; its body is `model`."""
    labels: tuple[str, ...] = ()
    """Names of a classifier's classes."""


def load_pretrained(source: str | Path, *, context: int | None = None) -> Pretrained:
    """Load a folder in the format of `transformers`, or a model of the Hugging Face hub by its name.

    Args:
        source: the folder, or a name such as `org/model`, for which `huggingface_hub` must be installed.
        context: most tokens of a text; by default the model's own, at most `MOST_CONTEXT`.

    Raises:
        InputError: there is no such folder, or its architecture is none that chidu's models can be.
        CorruptError: a file is damaged.
    """
    folder = _find(source)
    value = read_json(folder / CONFIG)
    if not isinstance(value, dict) or value.get("model_type") not in FAMILIES:
        kind = value.get("model_type") if isinstance(value, dict) else value
        raise InputError(f"{folder / CONFIG}: model_type {kind!r}; chidu loads {', '.join(FAMILIES)}")
    family, tensors = FAMILIES[value["model_type"]], _read_tensors(folder)
    value.setdefault("tie_word_embeddings", "lm_head.weight" not in tensors)
    try:
        config = _fit_config(family.read_config(value), tensors, family, context)
        head_kind, labels = _head_of(value)
        model = Transformer(config)
        shape = family.heads(config, head_kind, _pooling(value)) if head_kind else None
        others = shape.entries if shape else ()
        weights = read_weights(family, config, tensors, others)
        if "position" in weights:
            weights["position"] = weights["position"][family.first_position(value) :][: config.context]
        _fill(model, weights)
        head = _make_head(model, head_kind, value, shape, tensors)
        stops = _stops(value)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{folder / CONFIG} has a value that cannot be ({error}); fetch the folder again") from None
    tokenizer = _load_tokenizer(folder, stops[0] if stops else 0)
    specials = _read_specials(folder, config, stops)
    return Pretrained(
        model.eval(),
        tokenizer,
        stops,
        value.get("decoder_start_token_id"),
        _mask_id(value, tokenizer, specials),
        specials,
        head.eval() if head is not None else None,
        labels if isinstance(head, Classifier) else (),
    )


def _find(source: str | Path) -> Path:
    """The folder of a model, fetched by name where there is no such folder."""
    folder = Path(source)
    if (folder / CONFIG).is_file():
        return folder
    name = str(source)
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/")):
        raise InputError(f"{source} is no folder in the format of transformers: it has no {CONFIG}")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(f"there is no folder {source}; to fetch it by name, pip install huggingface_hub") from None
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub's failures are of many classes; all mean that it is not to be had
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"there is no folder {source}, and the hub does not give it ({reason}); fetch it first"
        ) from None


def _read_tensors(folder: Path) -> Weights:
    """All tensors of a checkpoint, in one file or in several."""
    names = [WEIGHTS]
    if not (folder / WEIGHTS).exists():
        if not (folder / INDEX).exists():
            raise InputError(
                f"{folder} has no {WEIGHTS}; other formats can execute what they hold: save it as safetensors first"
            )
        index = read_json(folder / INDEX)
        try:
            names = sorted(set(index["weight_map"].values()))
        except (KeyError, TypeError, AttributeError):
            raise CorruptError(f"{folder / INDEX} is damaged; fetch the folder again") from None
    tensors: Weights = {}
    for name in names:
        try:
            tensors |= load_file(folder / name)
        except (SafetensorError, OSError) as error:
            raise CorruptError(f"{folder / name} cannot be read ({error}); fetch the folder again") from None
    return tensors


def _fit_config(config: ModelConfig, tensors: Weights, family: Family, context: int | None) -> ModelConfig:
    """The config with the context asked for, and without the parts that a body saved alone lacks."""
    changes: dict[str, Any] = {"context": min(context or MOST_CONTEXT, config.context)}
    names = set(tensors)
    head, embedding = tensors.get("lm_head.weight"), _embedding(tensors, family, config)
    if head is None:
        changes["tied"] = True
    elif config.tied and embedding is not None and not torch.equal(head, embedding):
        changes["tied"] = False  # T5 1.1, saved again by a version of transformers that says it were tied
    if config.head_transform and not any(".dense.weight" in name and _of_lm_head(name) for name in names):
        changes |= {"head_transform": False, "head_bias": False}
    if config.head_bias and not any(name.endswith((".bias",)) and _of_lm_head(name) for name in names):
        changes["head_bias"] = False
    return config_with(config, **changes)


def _embedding(tensors: Weights, family: Family, config: ModelConfig) -> Tensor | None:
    name = family.entries(config)[0].parts[0].name
    return tensors.get(name, tensors.get(name.removeprefix(family.prefix)))


def _of_lm_head(name: str) -> bool:
    return name.startswith(("cls.predictions.", "lm_head."))


def config_with(config: ModelConfig, **changes: Any) -> ModelConfig:
    """A config with changes."""
    return ModelConfig.from_json({**config.to_json(), **changes})


def _fill(module: nn.Module, weights: Weights) -> None:
    """Put weights in place.

    Raises:
        InputError: one has another shape than the config says.
    """
    own = module.state_dict()
    for name, weight in weights.items():
        if own[name].shape != weight.shape:
            raise InputError(f"{name} is {list(weight.shape)} in the checkpoint, {list(own[name].shape)} by its config")
    module.load_state_dict({**own, **weights})


def _head_of(value: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Which of our heads a folder has, and the names of its classes."""
    architecture = str((value.get("architectures") or [""])[0])
    names = value.get("id2label") or {}
    labels = tuple(str(names[key]) for key in sorted(names, key=int))
    if architecture.endswith("ForSequenceClassification"):
        return "classifier", labels or ("LABEL_0", "LABEL_1")
    if architecture.endswith("ForQuestionAnswering"):
        return "span", ()
    return ("span", ()) if architecture == "EuroBertForTokenClassification" and len(labels) == 2 else ("", ())


def _pooling(value: dict[str, Any]) -> str:
    if value["model_type"] != "eurobert":
        return "first"
    known = {"bos": "first", "mean": "mean"}
    found = value.get("classifier_pooling", "late")
    if found not in known and _head_of(value)[0] == "classifier":
        raise InputError(f"its classifier pools by {found!r}; chidu's pool by {' or '.join(known)}")
    return known.get(found, "mean")


def _make_head(
    model: Transformer, kind: str, value: dict[str, Any], shape: HeadShape | None, tensors: Weights
) -> Head | None:
    if shape is None:
        return None
    head: Head
    if kind == "span":
        head = SpanReader(model)
    else:
        pooling = _pooling(value)
        classes = len(_head_of(value)[1])
        head = Classifier(model, classes, pooling="first" if pooling == "first" else "mean")
    _fill(head, read_entries(shape.entries, tensors))
    return head


def _stops(value: dict[str, Any]) -> tuple[int, ...]:
    found = value.get("eos_token_id")
    return tuple(found) if isinstance(found, list) else () if found is None else (int(found),)


def _mask_id(
    value: dict[str, Any], tokenizer: Tokenizer | HubTokenizer | None, specials: Specials | None
) -> int | None:
    """The mask of an encoder, by what the config or the tokenizer calls it."""
    if specials is not None:
        return specials.mask
    names = ("[MASK]", "<mask>", "<|mask|>") if isinstance(tokenizer, HubTokenizer) else ()
    found = [tokenizer.id_of(name) for name in names if isinstance(tokenizer, HubTokenizer)]
    return next((token for token in found if token is not None), value.get("mask_token_id"))


def _load_tokenizer(folder: Path, eot: int) -> Tokenizer | HubTokenizer | None:
    """The tokenizer of a folder: ours where ours wrote it, so that it encodes faster."""
    file = folder / FILES[0]
    if not file.is_file():
        return None
    try:
        return Tokenizer.load(file)
    except CorruptError:
        return HubTokenizer.load(folder, eot)


def _read_specials(folder: Path, config: ModelConfig, stops: Sequence[int]) -> Specials | None:
    """The special ids of a folder that chidu wrote."""
    tokenizer = HubTokenizer.load(folder, stops[0] if stops else 0)
    first = tokenizer.id_of(PAD) if tokenizer is not None and EOT in tokenizer.text else None
    if tokenizer is None or first is None or tokenizer.id_of(MASK) != first + 1:
        return None
    return Specials.within(first, stops[0] if stops else 0, config.vocab_size)


def save_pretrained(
    model: Transformer | Head,
    tokenizer: Tokenizer | HubTokenizer | None,
    out: Path,
    *,
    specials: Specials | None = None,
    labels: Sequence[str] = (),
    card: str = "",
) -> None:
    """Write a model, or one with a head, as a folder that `transformers` loads without our code, atomically.

    A decoder becomes a Llama, a Qwen 2 or 3, or a GPT-2; an encoder a EuroBERT or a BERT; an encoder-decoder a T5.

    Args:
        model: the model, or the head that holds it.
        tokenizer: written too where there is one.
        out: the folder; replaced if it exists.
        specials: the special ids that the model was trained with.
        labels: names of a classifier's classes.
        card: text of the `README.md`; none is written where it is empty.

    Raises:
        InputError: no architecture is the same function, or the disk is full.
    """
    body = model if isinstance(model, Transformer) else model.body
    family = family_of(body.config)
    value, weights = _write_body(body, family, logits=isinstance(model, Transformer))
    if not isinstance(model, Transformer):
        value, weights = _write_head(model, family, value, weights, labels)
    eot = tokenizer.eot if tokenizer is not None else specials.eot if specials is not None else 0
    value |= _ids(body.config, eot, specials)
    with write_folder(out) as beside:
        try:
            save_file(weights, beside / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:
            raise InputError(f"{out} cannot be written ({error}); free some space or choose another --out") from None
        write_json(beside / CONFIG, value)
        if isinstance(model, Transformer) and body.config.kind != "encoder":
            wanted = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
            write_json(beside / "generation_config.json", {name: value[name] for name in wanted if name in value})
        if tokenizer is not None:
            _write_tokenizer(tokenizer, body.config, specials, beside)
        if card:
            write_text(beside / "README.md", card)


def _write_body(body: Transformer, family: Family, *, logits: bool) -> tuple[dict[str, Any], Weights]:
    """The `config.json` and the weights of a body, scales folded in."""
    config = body.config
    value = {**family.write_config(config), "dtype": "float32", "torch_dtype": "float32"}
    logit_scale = config.d_model**-0.5 if value["model_type"] == "t5" else 1.0
    state: dict[str, Tensor] = {name: weight.detach().cpu() for name, weight in body.state_dict().items()}
    state = fold(config, state, logits=logits, logit_scale=logit_scale)
    state.setdefault("token_type.weight", torch.zeros(1, config.d_model))  # BERT has one at least
    return value, write_weights(family.entries(config), state)


def _write_head(
    head: Head, family: Family, value: dict[str, Any], weights: Weights, labels: Sequence[str]
) -> tuple[dict[str, Any], Weights]:
    """The same with a head in place of the output head.

    Raises:
        InputError: the family has no such head.
    """
    span = isinstance(head, SpanReader)
    pooling = "" if isinstance(head, SpanReader) else head.pooling
    shape = family.heads(head.config, "span" if span else "classifier", pooling)
    if shape is None:
        kind = "span reader" if span else f"classifier by the {pooling} vector"
        raise InputError(
            f"transformers has no {kind} on {value['model_type']}; tune an encoder for the same task to export it"
        )
    names = (
        ("start", "end")
        if isinstance(head, SpanReader)
        else tuple(labels) or tuple(f"LABEL_{i}" for i in range(head.classes))
    )
    state = {name: weight.detach().cpu() for name, weight in head.state_dict().items()}
    if isinstance(head, Classifier) and head.dense is None:
        state |= {name: weight.cpu() for name, weight in head.with_dense().items()}
    kept = {name: weight for name, weight in weights.items() if not name.startswith(("lm_head.", "cls.predictions."))}
    value = {
        **value,
        **shape.config,
        "architectures": [shape.architecture],
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }
    return value, kept | write_weights(shape.entries, state)


def _ids(config: ModelConfig, eot: int, specials: Specials | None) -> dict[str, Any]:
    """Ids of special tokens for a `config.json`."""
    value: dict[str, Any] = {"bos_token_id": eot, "eos_token_id": eot}
    if specials is not None:
        value |= {"pad_token_id": specials.pad, "mask_token_id": specials.mask}
    elif config.kind != "decoder":
        value |= {"pad_token_id": eot, "mask_token_id": eot}
    if config.kind == "encoder_decoder":
        value["decoder_start_token_id"] = eot
    return value


def _write_tokenizer(
    tokenizer: Tokenizer | HubTokenizer, config: ModelConfig, specials: Specials | None, folder: Path
) -> None:
    if isinstance(tokenizer, HubTokenizer):
        write_text(folder / FILES[0], tokenizer.text)
        for name in FILES[1:]:
            if tokenizer.folder is not None and (tokenizer.folder / name).is_file():
                write_text(folder / name, (tokenizer.folder / name).read_text(encoding="utf-8"))
        return
    names = specials.names if specials is not None else []
    write_json(folder / FILES[0], tokenizer.to_json(names))
    value: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": EOT,
        "eos_token": EOT,
        "model_max_length": config.context,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if specials is not None:
        value |= {"pad_token": PAD, "mask_token": MASK, "sep_token": SEPARATOR}
    write_json(folder / FILES[1], value)
