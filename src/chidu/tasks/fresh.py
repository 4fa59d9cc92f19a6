"""Models from nothing for a task: a tokenizer from its training file, a Transformer, the head that answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chidu.config import Kind, ModelConfig
from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.tasks.answering import Answering
from chidu.tasks.classification import Classification
from chidu.tasks.example import Example
from chidu.tasks.passages import TYPES
from chidu.tasks.task import Task
from chidu.tasks.tuned import Tuned, Way, make_head

BLANKS = 32
"""Of the special tokens, so that a fresh model can be denoised too."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Size of a fresh model."""

    kind: Kind = "encoder_decoder"
    width: int = 256
    layers: int = 3
    """Of an encoder-decoder, on each side."""
    heads: int = 4
    vocab: int = 5000
    context: int = 96
    feed_forward: int = 0
    """Width of the feed-forward's hidden layer; 0 means 8/3 of the width."""
    dense: bool = True
    """Whether a classifier has a dense layer before its scores."""

    def config(self, vocab_size: int, *, types: int = 0) -> ModelConfig:
        """The model's whole config: feed-forward of 8/3 the width, gated (2002.05202); T5's positions where it has two
        sides, so that `transformers` knows the architecture."""
        return ModelConfig(
            kind=self.kind,
            vocab_size=vocab_size,
            d_model=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            n_kv_head=self.heads,
            d_ff=self.feed_forward or -(-8 * self.width // 3 // 32) * 32,
            context=self.context,
            position="relative" if self.kind == "encoder_decoder" else "rotary",
            activation="geglu" if self.kind == "encoder_decoder" else "swiglu",
            token_types=types,
        )


def fresh(shape: Shape, task: Task, train: Sequence[Example], *, seed: int = 0) -> Tuned:
    """Learn a tokenizer from the training examples and draw a model's weights."""
    tokenizer = Tokenizer.train(_texts(train), shape.vocab)
    specials = Specials(tokenizer.vocab_size, eot=tokenizer.eot, blanks=BLANKS)
    way = way_for(task, shape.kind)
    config = shape.config(specials.vocab_size, types=TYPES if way == "span" else 0)
    return put_head(Tuned(Transformer(config, seed), tokenizer, specials), task, train, seed=seed, dense=shape.dense)


def put_head(tuned: Tuned, task: Task, train: Sequence[Example], *, seed: int = 0, dense: bool = True) -> Tuned:
    """The model with the head that a task wants; one that has it already, for the same labels, stays as it is.

    Raises:
        InputError: a model of this kind cannot do the task.
    """
    way = way_for(task, tuned.body.config.kind)
    labels = tuple(sorted({example.targets[0] for example in train})) if way == "label" else ()
    if way == "label" and len(labels) < 2:
        raise InputError("all training examples have one label; name a file with two labels or more")
    if tuned.way == way and tuned.labels == labels:
        return tuned
    return replace(tuned, head=make_head(tuned.body, way, len(labels), seed, dense=dense), labels=labels)


def way_for(task: Task, kind: Kind) -> Way:
    """How a kind of model answers a task.

    Raises:
        InputError: it cannot.
    """
    if isinstance(task, Classification):
        if kind == "encoder_decoder":
            raise InputError("an encoder-decoder has no classification head; use an encoder or a decoder")
        return "label"
    if kind == "encoder":
        if not isinstance(task, Answering):
            raise InputError(f"an encoder cannot write, and {task.key} wants text; use a decoder or an encoder_decoder")
        return "span"
    return "write"


def _texts(train: Sequence[Example]) -> list[str]:
    """All that is read and said, each text once."""
    seen: dict[str, None] = {}
    for example in train:
        for text in (example.source, example.context or "", *example.targets):
            if text:
                seen.setdefault(text)
    return list(seen)
