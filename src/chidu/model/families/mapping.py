"""From the weights of an architecture of `transformers` to ours and back: which tensor is which.

The scales that chidu keeps apart are folded into weights on the way out: the residual scale into what writes to the
stream, the logit scale into the norm before the head.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from chidu.config import ModelConfig
from chidu.errors import InputError

Weights = dict[str, Tensor]
Word = TypeVar("Word", bound=str)


@dataclass(frozen=True)
class Part:
    """One of their tensors, which is some rows of one of ours."""

    name: str
    rows: int = 0
    """Rows of ours; 0 where it is all of them."""
    scale: float = 1.0
    """Ours = scale * theirs."""


@dataclass(frozen=True)
class Entry:
    """One of our tensors: theirs, one under the other."""

    ours: str
    parts: tuple[Part, ...]
    transposed: bool = False
    """Whether theirs has inputs as rows (GPT-2's)."""

    def read(self, find: Callable[[str], Tensor]) -> Tensor:
        """Ours from theirs."""
        parts = [find(part.name) * part.scale if part.scale != 1 else find(part.name) for part in self.parts]
        whole = [part.T for part in parts] if self.transposed else parts
        return whole[0] if len(whole) == 1 else torch.cat(whole)

    def write(self, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Theirs from ours."""
        pieces = [tensor] if len(self.parts) == 1 else tensor.split([part.rows for part in self.parts])
        for part, piece in zip(self.parts, pieces, strict=True):
            scaled = piece / part.scale if part.scale != 1 else piece
            yield part.name, (scaled.T if self.transposed else scaled).contiguous().clone()


@dataclass(frozen=True)
class HeadShape:
    """How a family writes a head of ours."""

    architecture: str
    entries: tuple[Entry, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """An architecture of `transformers`, or several of one shape."""

    model_types: tuple[str, ...]
    prefix: str
    """Before the names of the body's weights; left out where the body was saved alone."""
    read_config: Callable[[Mapping[str, Any]], ModelConfig]
    write_config: Callable[[ModelConfig], dict[str, Any]]
    """Raises InputError where the config has a part that the architecture has not."""
    entries: Callable[[ModelConfig], list[Entry]]
    ignored: tuple[str, ...] = ()
    """Ends of names of tensors that carry nothing: tables that can be computed, copies of tied weights."""
    heads: Callable[[ModelConfig, str, str], HeadShape | None] = lambda config, kind, pooling: None
    """The shape of our `classifier` or `span` head, and its pooling; None where the family has none like it."""
    first_position: Callable[[Mapping[str, Any]], int] = lambda value: 0
    """Row of the table of positions that a text begins with, from the `config.json`."""


def linear(ours: str, theirs: Iterable[str | Part], *, bias: bool, transposed: bool = False) -> list[Entry]:
    """A matrix and, where it has one, its bias."""
    parts = tuple(part if isinstance(part, Part) else Part(part) for part in theirs)

    def named(end: str) -> tuple[Part, ...]:
        return tuple(replace(part, name=f"{part.name}.{end}") for part in parts)

    entries = [Entry(f"{ours}.weight", named("weight"), transposed)]
    return [*entries, Entry(f"{ours}.bias", named("bias"))] if bias else entries


def heads_of(config: ModelConfig, q: str, k: str, v: str, scale: float = 1.0) -> list[Part]:
    """Queries, keys and values as parts of `qkv`."""
    queries, keys = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
    return [Part(q, queries, scale), Part(k, keys), Part(v, keys)]


def read_weights(family: Family, config: ModelConfig, tensors: Weights, others: Collection[Entry] = ()) -> Weights:
    """Our body's weights from a checkpoint's; `others` are entries of a head, read elsewhere.

    Raises:
        InputError: a tensor is missing, has another shape, or has no place in our model.
    """
    used: set[str] = set()

    def find(name: str) -> Tensor:
        for spelt in (name, name.removeprefix(family.prefix), family.prefix + name):
            if spelt in tensors:
                used.add(spelt)
                return tensors[spelt].float()
        raise InputError(f"the checkpoint has no tensor {name}, which its config.json promises")

    weights = {entry.ours: entry.read(find) for entry in family.entries(config)}
    for entry in others:
        for part in entry.parts:
            find(part.name)
    left = [name for name in tensors if name not in used and not name.endswith(family.ignored)]
    if left:
        raise InputError(f"the checkpoint has {len(left)} tensors that have no place here, such as {sorted(left)[0]}")
    return weights


def read_entries(entries: Collection[Entry], tensors: Weights) -> Weights:
    """Weights of a head from a checkpoint's."""
    return {entry.ours: entry.read(lambda name: tensors[name].float()) for entry in entries}


def write_weights(entries: Collection[Entry], weights: Weights) -> Weights:
    """Theirs from ours."""
    return dict(pair for entry in entries for pair in entry.write(weights[entry.ours]))


def fold(config: ModelConfig, weights: Weights, *, logits: bool, logit_scale: float = 1.0) -> Weights:
    """The weights of the same function with a residual scale of 1 and, with `logits`, the given logit scale."""
    writes = (".attention.out.", ".cross.out.", ".feed_forward.down.")
    last = "head_transform.norm." if config.head_transform else "norm."
    ratio = config.logit_scale / logit_scale
    if logits and ratio != 1 and f"{last}weight" not in weights:
        raise InputError("a post-norm model without a head transform has nowhere to put its logit_scale")
    folded = {}
    for name, weight in weights.items():
        scale = config.residual_scale if any(part in name for part in writes) else 1.0
        if logits and name.startswith(last):
            scale = ratio
        folded[name] = weight * scale if scale != 1 else weight
    return folded


def refuse(config: ModelConfig, architecture: str, **wanted: Any) -> None:
    """Check that fields have the only values that an architecture knows; a tuple lists several.

    Raises:
        InputError: one has another.
    """
    for name, value in wanted.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if getattr(config, name) not in allowed:
            words = " or ".join(map(repr, allowed))
            raise InputError(f"{architecture} has {name} {words}, not this model's {getattr(config, name)!r}")


def demand(value: Mapping[str, Any], **wanted: Any) -> None:
    """Check that a config.json, where it names these switches, sets them to what our model computes.

    Raises:
        InputError: one is set to something else.
    """
    for name, right in wanted.items():
        if value.get(name, right) not in (right, None):
            raise InputError(f"config.json sets {name} to {value[name]!r}, which chidu's models do not compute")


def word(value: Mapping[str, Any], name: str, words: Mapping[str, Word], default: str) -> Word:
    """Translate a word of a config.json.

    Raises:
        InputError: it is none of those known.
    """
    found = value.get(name, default)
    if found not in words:
        raise InputError(f"config.json sets {name} to {found!r}; chidu's models know {', '.join(words)}")
    return words[found]


def number(value: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A value of a config.json that must be there, or its default.

    Raises:
        InputError: it is missing.
    """
    found = value.get(name)
    if found is None:
        found = default
    if found is None:
        raise InputError(f"config.json lacks {name}")
    return found
