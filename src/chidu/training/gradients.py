"""The loss of a plain decoder and its gradients, forward and backward written out: the fast path of a CPU.

Small models spend more time on launching, allocating and copying than on products. Written out, a block is some fifty
operations instead of a hundred and twenty: gains are folded into the matrices that follow, a sum joins the product
before it, queries and keys turn as complex numbers, the logits exist for a few tokens at a time, and gradients are
added where they belong. `Transformer.forward` and autograd are the reference; the two agree to rounding.

Shapes: B sequences, T tokens of one, N = B T tokens, D width, H heads, K channels of a head, F hidden width of the
feed-forward, V vocabulary.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.model.blocks import Block
from chidu.model.masks import causal_mask
from chidu.model.norms import RMSNorm
from chidu.model.transformer import Transformer
from chidu.training.cross_entropy import cross_entropies

PLAIN = ("d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "vocab_size", "context", "tied", "head_width", "start")
SCALES = ("rope_theta", "norm_eps", "init_std", "residual_scale", "logit_scale")
SCORES = 1 << 17
"""Attention scores that are made at a time."""
QUERIES = 64
"""Queries of a piece: keys ahead of all of them are left out."""


def is_plain(config: ModelConfig) -> bool:
    """Whether a model is of the form that is written out here: any size of the decoder that a ladder trains."""
    default = ModelConfig(**{name: getattr(config, name) for name in PLAIN + SCALES})
    return config == default and config.n_head == config.n_kv_head


def can_write_out(model: Transformer) -> bool:
    """Whether `add_gradients` can stand for a model's own forward and backward."""
    sharded = type(model) is not Transformer  # FSDP2 gives a class of its own; single weights may be whole for a while
    return is_plain(model.config) and not model.compiled and not sharded


def add_gradients(model: Transformer, windows_BT: Tensor, weight: float = 1.0) -> Tensor:
    """The mean loss of windows, [B, T+1], in nats per token; `weight` times its gradient is added to every `grad`.

    Autograd is not asked for anything but the embedding's rows. The model must be plain (`is_plain`).
    """
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    with torch.enable_grad():
        embedded = model.embedding(windows_BT[:, :-1])
    with torch.no_grad():
        x_ND = embedded.detach().flatten(0, 1)
        frame = _Frame.of(model, *embedded.shape[:2])
        blocks = [cast(Block, block) for block in model.blocks]
        passes: list[_AttentionPass | _FeedForwardPass] = []
        for block in blocks:
            for kind in (_AttentionPass, _FeedForwardPass):
                passes.append(kind(block, frame))
                x_ND = passes[-1].forward(x_ND)
        loss, dx_ND = _head(model, x_ND, windows_BT[:, 1:].flatten(), weight)
        while passes:
            passes.pop().backward(dx_ND)
        embedded.backward(dx_ND.view_as(embedded))
    return loss


@dataclass(frozen=True)
class _Frame:
    """What all layers of one pass share."""

    sequences: int
    tokens: int
    turns_STK: Tensor
    """Complex [2, 1, 1, T, K/2]: queries turn and are divided by sqrt(K), keys turn."""
    back_STK: Tensor
    """Their conjugates, which take a gradient back."""
    mask_TT: Tensor
    """Of the past, for the first `QUERIES` queries: every later piece looks the same on its own diagonal."""

    @classmethod
    def of(cls, model: Transformer, sequences: int, tokens: int) -> "_Frame":
        half = model.config.head_dim // 2
        turns_TK = torch.complex(model.cos_TK[:tokens, :half], model.sin_TK[:tokens, :half])
        turns_STK = torch.stack([turns_TK * model.config.head_dim**-0.5, turns_TK])[:, None, None]
        side = min(QUERIES, tokens)
        mask = causal_mask(side, side, turns_TK.device)
        return cls(sequences, tokens, turns_STK, turns_STK.conj().resolve_conj(), mask)


class _AttentionPass:
    """x + s out(attention(qkv(norm x))) of one layer; `backward` gives the stream its gradient back in place."""

    def __init__(self, block: Block, frame: _Frame) -> None:
        self.frame, self.layer, self.norm = frame, block.attention, cast(RMSNorm, block.attention_norm)
        self.scale = block.scale

    def forward(self, x_ND: Tensor) -> Tensor:
        layer, rows = self.layer, _paired(self.layer.heads, self.layer.channels)
        self.normed_ND, self.inverse_N1 = _normalise(x_ND, self.norm.eps)
        self.matrix = layer.qkv.weight[rows].mul_(self.norm.weight)
        qkv = self._by_head(self.normed_ND @ self.matrix.t())
        turned, values = qkv[:2], qkv[2]
        size = (2, *values.shape)
        self.queries_keys = torch.empty(size, dtype=x_ND.dtype, device=x_ND.device)
        torch.mul(_complex(turned), self.frame.turns_STK, out=_complex(self.queries_keys))
        self.values = values.contiguous()
        mixed, self.pieces = _attend(self.queries_keys, self.values, self.frame.mask_TT)
        self.mixed_ND = mixed.transpose(1, 2).reshape(len(x_ND), -1)
        return torch.addmm(x_ND, self.mixed_ND, layer.out.weight.t(), alpha=self.scale)

    def backward(self, dx_ND: Tensor) -> None:
        layer, rows = self.layer, _paired(self.layer.heads, self.layer.channels)
        _add_product(layer.out.weight, dx_ND, self.mixed_ND, self.scale)
        dmixed_ND = _scaled(dx_ND, self.scale) @ layer.out.weight
        shape = (self.frame.sequences, self.frame.tokens, layer.heads, layer.channels)
        lost = (dmixed_ND * self.mixed_ND).view(shape).sum(-1).transpose(1, 2).unsqueeze(-1)
        dmixed = dmixed_ND.view(shape).transpose(1, 2).contiguous()
        dqk, dvalues = _attend_backward(dmixed, lost.contiguous(), self.queries_keys, self.values, self.pieces)
        dqkv_NR = torch.empty(len(dx_ND), len(rows), dtype=dx_ND.dtype, device=dx_ND.device)
        dqkv = self._by_head(dqkv_NR)
        torch.mul(_complex(dqk), self.frame.back_STK, out=_complex(dqkv[:2]))
        dqkv[2] = dvalues
        dmatrix = dqkv_NR.t() @ self.normed_ND
        _add(self.norm.weight, (dmatrix * layer.qkv.weight[rows]).sum(0))
        cast(Tensor, layer.qkv.weight.grad).index_add_(0, rows, dmatrix.mul_(self.norm.weight))
        _normalise_backward(dx_ND, dqkv_NR @ self.matrix, self.normed_ND, self.inverse_N1)

    def _by_head(self, qkv_NR: Tensor) -> Tensor:
        """[N, 3 H K] seen as [3, B, H, T, K]."""
        shape = (self.frame.sequences, self.frame.tokens, 3, self.layer.heads, self.layer.channels)
        return qkv_NR.view(shape).permute(2, 0, 3, 1, 4)


class _FeedForwardPass:
    """x + s down(silu(gate(norm x)) * up(norm x)) of one layer."""

    def __init__(self, block: Block, frame: _Frame) -> None:
        self.layer, self.norm, self.scale = block.feed_forward, cast(RMSNorm, block.feed_forward_norm), block.scale

    def forward(self, x_ND: Tensor) -> Tensor:
        self.normed_ND, self.inverse_N1 = _normalise(x_ND, self.norm.eps)
        self.matrix = self.layer.up.weight * self.norm.weight
        self.both_N2F = self.normed_ND @ self.matrix.t()
        gate_NF, up_NF = self.both_N2F.chunk(2, dim=-1)
        self.silu_NF = F.silu(gate_NF)
        self.hidden_NF = self.silu_NF * up_NF
        return torch.addmm(x_ND, self.hidden_NF, self.layer.down.weight.t(), alpha=self.scale)

    def backward(self, dx_ND: Tensor) -> None:
        layer = self.layer
        _add_product(layer.down.weight, dx_ND, self.hidden_NF, self.scale)
        dhidden_NF = _scaled(dx_ND, self.scale) @ layer.down.weight
        gate_NF, up_NF = self.both_N2F.chunk(2, dim=-1)
        dboth_N2F = torch.empty_like(self.both_N2F)
        dgate_NF, dup_NF = dboth_N2F.chunk(2, dim=-1)
        torch.mul(dhidden_NF, self.silu_NF, out=dup_NF)
        torch.ops.aten.silu_backward.grad_input(dhidden_NF.mul_(up_NF), gate_NF, grad_input=dgate_NF)
        dmatrix = dboth_N2F.t() @ self.normed_ND
        _add(self.norm.weight, (dmatrix * layer.up.weight).sum(0))
        cast(Tensor, layer.up.weight.grad).addcmul_(dmatrix, self.norm.weight)
        _normalise_backward(dx_ND, dboth_N2F @ self.matrix, self.normed_ND, self.inverse_N1)


def _attend(qk: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Causal attention in pieces, [B, H, T, K]: what the heads give, and the weights of each piece for the way back."""
    (q, k), pieces, mixed = qk.unbind(), [], torch.empty_like(v)
    for some, here, seen in _pieces(q.shape):
        queries, keys, values = (x[some].flatten(0, 1) for x in (q[:, :, here], k[:, :, seen], v[:, :, seen]))
        scores = queries @ keys.transpose(1, 2)
        side = here.stop - here.start
        scores[:, :, here] += mask[:side, :side]
        weights = torch.softmax(scores, -1)
        mixed[some, :, here] = (weights @ values).unflatten(0, (-1, q.shape[1]))
        pieces.append(weights)
    return mixed, pieces


def _attend_backward(
    dmixed: Tensor, lost: Tensor, qk: Tensor, v: Tensor, pieces: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Gradients of queries and keys, [2, B, H, T, K], and of values; `lost` is sum(dmixed * mixed), [B, H, T, 1]."""
    (q, k), dqk, dv = qk.unbind(), torch.zeros_like(qk), torch.zeros_like(v)
    for weights, (some, here, seen) in zip(pieces, _pieces(q.shape), strict=True):
        queries, gradient, minus = (x[some, :, here].flatten(0, 1) for x in (q, dmixed, lost))
        keys, values = (x[some, :, seen].flatten(0, 1) for x in (k, v))
        dscores = (gradient @ values.transpose(1, 2)).sub_(minus).mul_(weights)
        dqk[0, some, :, here] = (dscores @ keys).unflatten(0, (-1, q.shape[1]))
        dqk[1, some, :, seen] += (dscores.transpose(1, 2) @ queries).unflatten(0, (-1, q.shape[1]))
        dv[some, :, seen] += (weights.transpose(1, 2) @ gradient).unflatten(0, (-1, q.shape[1]))
    return dqk, dv


def _pieces(shape: torch.Size) -> list[tuple[slice, slice, slice]]:
    """Cut attention, [B, H, T, K], so that few scores exist at a time: sequences, queries, and the keys they see."""
    sequences, heads, tokens = shape[:3]
    side = min(QUERIES, tokens)
    several = max(1, SCORES // (heads * side * tokens))
    return [
        (
            slice(first, min(first + several, sequences)),
            slice(start, min(start + side, tokens)),
            slice(0, min(start + side, tokens)),
        )
        for first in range(0, sequences, several)
        for start in range(0, tokens, side)
    ]


def _head(model: Transformer, x_ND: Tensor, targets_N: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """The mean loss and the gradient of the stream, [N, D]."""
    norm, scale = cast(RMSNorm, model.norm), model.config.logit_scale
    head = model.head_weight
    normed_ND, inverse_N1 = _normalise(x_ND, norm.eps)
    hidden_ND = normed_ND * (norm.weight * scale)
    dhidden_ND, dhead_DV = torch.empty_like(x_ND), torch.zeros_like(head.t(), memory_format=torch.contiguous_format)
    losses = cross_entropies(hidden_ND, head, targets_N, (dhidden_ND, dhead_DV))
    part = weight / len(x_ND)
    _add(head, dhead_DV.t(), part)
    dhidden_ND.mul_(part * scale)
    _add(norm.weight, (dhidden_ND * normed_ND).sum(0))
    dx_ND = torch.zeros_like(x_ND)
    _normalise_backward(dx_ND, dhidden_ND.mul_(norm.weight), normed_ND, inverse_N1)
    return losses.mean(), dx_ND


def _normalise(x_ND: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x over its root mean square, [N, D], and one over that, [N, 1]; the gain belongs to the matrix that follows."""
    square_N1 = torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True).square_()
    inverse_N1 = square_N1.div_(x_ND.shape[1]).add_(eps).rsqrt_()
    return x_ND * inverse_N1, inverse_N1


def _normalise_backward(dx_ND: Tensor, dnormed_ND: Tensor, normed_ND: Tensor, inverse_N1: Tensor) -> None:
    """Add the gradient that comes through a normalisation; `dnormed_ND` is used up."""
    shared_N1 = (dnormed_ND * normed_ND).mean(-1, keepdim=True)
    dx_ND.addcmul_(dnormed_ND.addcmul_(normed_ND, shared_N1, value=-1), inverse_N1)


def _add_product(weight: Tensor, dout_NR: Tensor, in_NC: Tensor, scale: float) -> None:
    cast(Tensor, weight.grad).addmm_(dout_NR.t(), in_NC, alpha=scale)


def _add(weight: Tensor, gradient: Tensor, scale: float = 1.0) -> None:
    cast(Tensor, weight.grad).add_(gradient, alpha=scale)


def _scaled(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1 else x * scale


def _complex(x: Tensor) -> Tensor:
    """Neighbouring channels as one complex number, [..., K] -> [..., K/2]."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))


@lru_cache(maxsize=64)
def _paired(heads: int, channels: int) -> Tensor:
    """Rows of the matrix of queries, keys and values so that the two channels that turn together are neighbours.

    The same order in queries and keys leaves their products as they are.
    """
    order = torch.arange(2 * heads * channels).view(2 * heads, 2, channels // 2).transpose(1, 2).flatten()
    return torch.cat([order, torch.arange(2 * heads * channels, 3 * heads * channels)])
