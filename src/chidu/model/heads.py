"""Heads on a Transformer that answer about a text rather than continue it.

Shapes: B sequences, T tokens, D model width, C classes.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.transformer import Transformer

Pooling = Literal["mean", "first"]
SMALL = 2.0**-12
"""tanh(x) is x to float32's precision where x is this small: the next term is x³/3."""


class Classifier(nn.Module):
    """Which class a text is of: one vector for the text, a dense layer with its activation, and a score a class.

    Without `dense` the scores are a linear function of the vector: with few examples a fresh body learns better so.

    The activation is tanh on the first token's vector where the body has LayerNorm, as in BERT, else GELU, as in
    EuroBERT (2503.05500), so that both can be loaded by `transformers`.
    """

    def __init__(
        self, body: Transformer, classes: int, *, pooling: Pooling = "mean", dense: bool = True, seed: int = 0
    ) -> None:
        """Put a fresh head on a body, whose weights are shared, not copied."""
        super().__init__()
        if classes < 2:
            raise InputError(f"a classifier needs at least two classes, not {classes}")
        if pooling not in get_args(Pooling):
            raise InputError(f"pooling must be one of {get_args(Pooling)}, not {pooling!r}")
        self.body, self.classes, self.pooling = body, classes, pooling
        width = body.config.d_model
        self.dense = nn.Linear(width, width) if dense else None
        self.out = nn.Linear(width, classes)
        self.activation = torch.tanh if body.config.norm == "layer" else F.gelu
        initialise([*([] if self.dense is None else [self.dense]), self.out], seed)

    @property
    def config(self) -> ModelConfig:
        """That of the body."""
        return self.body.config

    def forward(
        self, tokens_BT: Tensor, fused: bool = False, *, segments: Tensor | None = None, types: Tensor | None = None
    ) -> Tensor:
        """Scores of the classes, [B, C]; a row is one text, and its padding has segment 0."""
        x_BTD = drop(self, self.body.hidden(tokens_BT, fused, segments=segments, types=types))
        pooled = pool(x_BTD, segments, self.pooling)
        if self.dense is not None:
            pooled = drop(self, self.activation(self.dense(pooled)))
        return self.out(pooled)

    def with_dense(self) -> dict[str, Tensor]:
        """Weights of `dense` and `out` of the same scores, of a head that has no dense layer.

        For architectures that always have one. tanh(εx)/ε is x for a small ε. GELU(x) - GELU(-x) = x, so that there
        each score takes two of the layer's channels: one for itself, one for its negative.

        Raises:
            InputError: the layer has too few channels for that many classes.
        """
        width, weight, bias = self.config.d_model, self.out.weight.detach(), self.out.bias.detach()
        if self.activation is torch.tanh:
            eye = torch.eye(width, dtype=weight.dtype, device=weight.device)
            found = {"dense.weight": SMALL * eye, "out.weight": weight / SMALL}
            return {**found, "dense.bias": torch.zeros_like(eye[0]), "out.bias": bias}
        if 2 * self.classes > width:
            raise InputError(
                f"transformers' classifier has a dense layer of {width} channels, which cannot stand in for none with "
                f"{self.classes} classes, only with {width // 2}; train the head with a dense layer to export it"
            )
        dense, out = weight.new_zeros(width, width), weight.new_zeros(self.classes, width)
        dense[: 2 * self.classes] = torch.cat([weight, -weight])
        out[:, : 2 * self.classes] = torch.cat([torch.eye(self.classes), -torch.eye(self.classes)], dim=1)
        return {"dense.weight": dense, "dense.bias": weight.new_zeros(width), "out.weight": out, "out.bias": bias}


class SpanReader(nn.Module):
    """Where in a text an answer begins and ends: two scores a token (1810.04805, section 4.2)."""

    def __init__(self, body: Transformer, *, seed: int = 0) -> None:
        """Put a fresh head on a body, whose weights are shared, not copied."""
        super().__init__()
        self.body = body
        self.out = nn.Linear(body.config.d_model, 2)
        initialise([self.out], seed)

    @property
    def config(self) -> ModelConfig:
        """That of the body."""
        return self.body.config

    def forward(
        self, tokens_BT: Tensor, fused: bool = False, *, segments: Tensor | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of each token as the first and as the last of the answer, each [B, T]; -inf at the padding."""
        x_BTD = drop(self, self.body.hidden(tokens_BT, fused, segments=segments, types=types))
        start, end = self.out(x_BTD).unbind(dim=-1)
        if segments is not None:
            start, end = start.masked_fill(segments == 0, -math.inf), end.masked_fill(segments == 0, -math.inf)
        return start, end


def best_spans(
    start_BT: Tensor, end_BT: Tensor, allowed_BT: Tensor | None = None, *, longest: int
) -> tuple[Tensor, Tensor]:
    """The span of the largest start + end score: first and last token, [B, 2], and the score, [B].

    Args:
        start_BT: scores of the first token, [B, T].
        end_BT: scores of the last token, [B, T].
        allowed_BT: whether a token may be in an answer, [B, T]; the context but not the question.
        longest: most tokens of a span.
    """
    if allowed_BT is not None:
        start_BT, end_BT = (x.masked_fill(~allowed_BT.bool(), -math.inf) for x in (start_BT, end_BT))
    length = start_BT.shape[1]
    place = torch.arange(length, device=start_BT.device)
    extent = place[None, :] - place[:, None]
    fits = (extent >= 0) & (extent < longest)
    scores = (start_BT[:, :, None] + end_BT[:, None, :]).masked_fill(~fits, -math.inf)
    best, flat = scores.flatten(1).max(dim=1)
    return torch.stack([flat // length, flat % length], dim=1), best


def pool(x_BTD: Tensor, segments_BT: Tensor | None, pooling: Pooling) -> Tensor:
    """One vector a row, [B, D]: the mean over its tokens, or its first token's, padding left out."""
    if segments_BT is None:
        return x_BTD.mean(dim=1) if pooling == "mean" else x_BTD[:, 0]
    real = (segments_BT != 0).to(x_BTD.dtype)
    if pooling == "first":
        first = real.argmax(dim=1)
        return x_BTD[torch.arange(len(first), device=first.device), first]
    return (x_BTD * real[:, :, None]).sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)


def drop(head: Classifier | SpanReader, x: Tensor) -> Tensor:
    """The body's dropout, in training."""
    rate = head.config.dropout
    return F.dropout(x, rate) if head.training and rate else x


@torch.no_grad()
def initialise(layers: list[nn.Linear], seed: int) -> None:
    """Matrices at 1/sqrt(fan-in) but the last, which starts at zero: a uniform guess; biases at zero."""
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        layer.weight.normal_(0, 1 / math.sqrt(layer.weight.shape[1]), generator=generator)
        layer.bias.zero_()
    layers[-1].weight.zero_()
