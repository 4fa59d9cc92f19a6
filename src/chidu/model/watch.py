"""Watching attention at work, and silencing heads: for maps and ablations, never for training.

Shapes: B sequences, H heads, T queries, S keys.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

Part = Literal["own", "encoder", "cross"]
"""Which attention: of the stack that gives the logits on itself, of an encoder-decoder's encoder, of its decoder on the
source."""
Head = tuple[Part, int, int]
"""Part, layer and head, both counted from 0."""


@dataclass(frozen=True)
class Maps:
    """Attention weights of one pass, a tensor [B, H, T, S] a layer; each row sums to one."""

    own: list[Tensor] = field(default_factory=list)
    encoder: list[Tensor] = field(default_factory=list)
    cross: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Watch:
    """Hand it to a model's pass: it collects the weights, and what its silenced heads say is not heard."""

    silenced: Collection[Head] = ()
    maps: Maps = field(default_factory=Maps)

    def keep(self, part: Part, weights_BHTS: Tensor) -> None:
        """Take the weights of a layer, in the order of the layers."""
        getattr(self.maps, part).append(weights_BHTS.detach())

    def silence(self, part: Part, layer: int, mixed_BHTK: Tensor) -> Tensor:
        """The heads' outputs, those of silenced heads set to zero."""
        heads = [head for where, at, head in self.silenced if (where, at) == (part, layer)]
        if not heads:
            return mixed_BHTK
        heard = torch.ones(mixed_BHTK.shape[1], device=mixed_BHTK.device)
        heard[heads] = 0
        return mixed_BHTK * heard[:, None, None]


@torch.no_grad()
def attention_maps(model: nn.Module, tokens_BT: Tensor, **given: Tensor | None) -> Maps:
    """The weights of every layer and head for some tokens, by the formula written out.

    `given` is what else the model is called with: segments, types, source, source_segments.
    """
    watch = Watch()
    model(tokens_BT, watch=watch, **given)
    return watch.maps
