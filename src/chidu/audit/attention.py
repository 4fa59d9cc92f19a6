"""The attention of every layer and head on one text.

Shapes: L layers, H heads, T tokens, S tokens of the source, W words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from chidu.audit.words import Array, Word, merge_tokens, merge_weights, roll_out
from chidu.data.hub_tokenizer import HubTokenizer
from chidu.errors import InputError
from chidu.model.generation import generate
from chidu.model.pretrained import Pretrained
from chidu.model.transformer import Transformer
from chidu.model.watch import attention_maps

MOST_NUMBERS = 6_000_000
"""Most weights that a page carries: 32 MB."""
WRITTEN = 24
"""Tokens that an encoder-decoder writes where no target is given."""
TITLES = {
    "own": "of a text on itself",
    "encoder": "of the source on itself",
    "cross": "of the target on the source",
}


@dataclass(frozen=True, eq=False)
class Read:
    """A text as the model reads it."""

    text: str
    ids: tuple[int, ...]
    words: tuple[Word, ...]
    names: tuple[str, ...]
    """What to call each token."""


@dataclass(frozen=True, eq=False)
class Board:
    """The maps of one attention: which words ask, which are looked at, and the weights."""

    part: str
    """own, encoder or cross."""
    queries: Read
    keys: Read
    weights: NDArray[np.float32]
    """[L, H, T, S], as the model computed them."""
    causal: bool

    @property
    def title(self) -> str:
        """In words."""
        return TITLES[self.part]

    def words(self) -> Array:
        """Between words, [L, H, W, W]."""
        return merge_weights(self.weights.astype(np.float64), self.queries.words, self.keys.words)

    def mean(self) -> Array:
        """Between words, averaged over layers and heads, [W, W]."""
        return self.words().mean(axis=(0, 1))

    def rolled(self) -> Array | None:
        """Between words, rolled out over the layers, [W, W]; None across two texts."""
        if self.part == "cross":
            return None
        rolled = roll_out(list(self.weights.astype(np.float64)))
        return merge_weights(rolled, self.queries.words, self.keys.words)

    def chance(self) -> Array:
        """What words would get from a model that looks everywhere alike, [W, W]."""
        length, width = self.weights.shape[-2:]
        even = np.tril(np.ones((length, width))) if self.causal else np.ones((length, width))
        return merge_weights(even / even.sum(axis=1, keepdims=True), self.queries.words, self.keys.words)


def read_text(loaded: Pretrained, text: str, *, start: bool, cut: Sequence[str] = ()) -> Read:
    """Tokens and words of a text; `start` puts the model's first token, which stands for no text, before it.

    `cut` are the text's words, in order, where they are not to be found.

    Raises:
        InputError: there is no tokenizer, the text is empty, or longer than the context.
    """
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise InputError("the model has no tokenizer.json; put its own beside it")
    if isinstance(tokenizer, HubTokenizer):
        ids, spans = tokenizer.encode_spans(text, special=loaded.model.config.kind != "decoder")
    else:
        ids, spans = tokenizer.encode_spans(text)
    if start:
        first = loaded.start if loaded.start is not None else tokenizer.eot
        ids, spans = [first, *ids], [(0, 0), *spans]
    names = ["·" if first == last else text[first:last] for first, last in spans]
    words = merge_tokens(text, spans, names, cut)
    if not any(not word.special for word in words):
        raise InputError("the text is empty; give some words")
    if len(ids) > loaded.model.config.context:
        raise InputError(
            f"the text has {len(ids)} tokens, but the model's context is {loaded.model.config.context}; shorten it"
        )
    return Read(text, tuple(ids), tuple(words), tuple(names))


def gather(loaded: Pretrained, text: str, target: str = "", cut: Sequence[str] = ()) -> list[Board]:
    """The boards of a text: one, or the three of an encoder-decoder, whose target is written by the model if not given.

    Raises:
        InputError: the text cannot be read, or its maps are too many to show.
    """
    model = loaded.model
    kind = model.config.kind
    read = read_text(loaded, text, start=kind == "decoder", cut=cut)
    if kind != "encoder_decoder":
        return [_board("own", model, read, read, _own_weights(model, read), causal=kind == "decoder")]
    said = read_text(loaded, target or _write(loaded, read), start=True)
    maps = attention_maps(model, _row(model, said), source=_row(model, read))
    return [
        _board("cross", model, said, read, _stack(maps.cross), causal=False),
        _board("encoder", model, read, read, _stack(maps.encoder), causal=False),
        _board("own", model, said, said, _stack(maps.own), causal=True),
    ]


def _own_weights(model: Transformer, read: Read) -> NDArray[np.float32]:
    return _stack(attention_maps(model, _row(model, read)).own)


def _board(
    part: str, model: Transformer, queries: Read, keys: Read, weights: NDArray[np.float32], *, causal: bool
) -> Board:
    if weights.size > MOST_NUMBERS:
        raise InputError(
            f"{len(queries.ids)} tokens in {model.config.n_layer} layers of {model.config.n_head} heads are "
            f"{weights.size:,} weights, more than a page can carry ({MOST_NUMBERS:,}); shorten the text"
        )
    return Board(part, queries, keys, weights, causal)


def _write(loaded: Pretrained, read: Read) -> str:
    """The target that an encoder-decoder writes for a source."""
    tokenizer = loaded.tokenizer
    assert tokenizer is not None
    first = loaded.start if loaded.start is not None else tokenizer.eot
    room = min(WRITTEN, loaded.model.config.context - 1)
    new = generate(loaded.model, [first], tokens=room, stop=loaded.stops, source=read.ids)
    text = tokenizer.decode(token for token in new if token < tokenizer.vocab_size)
    if not text.strip():
        raise InputError("the model writes nothing for this source; give the target with --target")
    return text


def _row(model: Transformer, read: Read) -> torch.Tensor:
    return torch.tensor([read.ids], device=model.device)


def _stack(maps: Sequence[torch.Tensor]) -> NDArray[np.float32]:
    return np.stack([weights[0].float().cpu().numpy() for weights in maps])
