"""What a model remembers of the tokens it has read: the keys and values of each layer (the KV cache).

Shapes: B sequences, S tokens seen, G key heads, K channels of a head.
"""

from dataclasses import dataclass, field

from torch import Tensor

LEAST = 32
"""Tokens that a buffer has room for at first."""


class KeyValues:
    """Keys and values of one layer, [B, G, S, K], in buffers that double when they are full."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.buffers: tuple[Tensor, Tensor] | None = None
        self.length = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new tokens', and return those of all tokens, as views of the buffers."""
        end = self.length + keys.shape[2]
        if self.buffers is None or end > self.buffers[0].shape[2]:
            self._grow(keys, end)
        assert self.buffers is not None
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            buffer[:, :, self.length : end] = new
        self.length = end
        return self.buffers[0][:, :, :end], self.buffers[1][:, :, :end]

    def _grow(self, like: Tensor, end: int) -> None:
        batch, heads, _, channels = like.shape
        room = LEAST
        while room < end:
            room *= 2
        larger = like.new_empty(batch, heads, room, channels), like.new_empty(batch, heads, room, channels)
        if self.buffers is not None:
            for new, old in zip(larger, self.buffers, strict=True):
                new[:, :, : self.length] = old[:, :, : self.length]
        self.buffers = larger

    def select(self, rows: Tensor) -> None:
        """Keep the rows of those numbers, in that order; a row may be taken more than once."""
        if self.buffers is not None:
            self.buffers = self.buffers[0].index_select(0, rows), self.buffers[1].index_select(0, rows)


@dataclass
class Memory:
    """The state of a continuation. It is changed in place by `Transformer.step`."""

    own: list[KeyValues]
    """Of each layer of the decoder."""
    cross: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Keys and values of the source, for each layer of an encoder-decoder."""
    segments: Tensor | None = None
    """Segments of the tokens seen, [B, S]; None where every row is one text without padding."""
    next_position: Tensor | None = None
    """Position of each row's next token, [B]; None where that is the number of tokens seen."""
    source_segments: Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens seen, padding included."""
        return self.own[0].length

    def select(self, rows: Tensor, *, same_sources: bool = False) -> None:
        """Keep the rows of those numbers, [new B], in that order: what a beam search needs.

        `same_sources` says that each row is replaced by one of the same source, whose keys may stay where they are.
        """
        for layer in self.own:
            layer.select(rows)
        for name in ("segments", "next_position"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.index_select(0, rows))
        if same_sources:
            return
        self.cross = [(keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.cross]
        if self.source_segments is not None:
            self.source_segments = self.source_segments.index_select(0, rows)
