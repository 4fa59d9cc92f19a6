"""Multi-head attention, softmax(Q K^T / sqrt(K)) V (1706.03762, section 3.2), with grouped keys (2305.13245).

Shapes: B sequences, T queries, S keys (past ones included), H query heads, G key heads, K channels of a head, D model
width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.model.linear import apply
from chidu.model.memory import KeyValues
from chidu.model.norms import RMSNorm
from chidu.model.positions import rotate
from chidu.model.watch import Part, Watch


def attention_weights(q_BHTK: Tensor, k_BHSK: Tensor, mask_TS: Tensor | None) -> Tensor:
    """Softmax of the scaled scores, [B, H, T, S]; the mask is 0 where a query may look and -inf where not.

    The mask is anything that broadcasts to the scores, and holds the biases of relative positions where there are
    some; without one, every query sees every key.
    """
    scores = q_BHTK @ k_BHSK.transpose(-2, -1) / math.sqrt(q_BHTK.shape[-1])
    return F.softmax(scores if mask_TS is None else scores + mask_TS, dim=-1)


def attend(q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, mask_TS: Tensor | None) -> Tensor:
    """Attention written out, [B, H, T, K]: the reference that every faster path is tested against."""
    return attention_weights(q_BHTK, k_BHSK, mask_TS) @ v_BHSK


@dataclass(frozen=True)
class Sight:
    """What the queries of one pass may look at, the same in every layer, and how it is computed."""

    mask: Tensor | None = None
    """Added to the scores. None: every key is seen, or the past alone where `causal`."""
    causal: bool = False
    """Only with `fused` and no mask: the kernel leaves out what lies ahead."""
    fused: bool = False
    """Whether torch's fused kernel does the work rather than the formula written out."""
    watch: Watch | None = None
    """Who looks on; then the formula does the work."""
    part: Part = "own"


def mix(queries: Tensor, keys: Tensor, values: Tensor, sight: Sight, layer: int) -> Tensor:
    """Attention of H query heads on G key heads, [B, T, H * K], each key head shared by H / G neighbouring queries."""
    batch, heads, length, channels = queries.shape
    share = heads // keys.shape[1]
    alike = sight.mask is None or (sight.mask.dim() == 4 and sight.mask.shape[1] == 1)
    if share > 1 and length == 1 and alike and sight.watch is None:  # heads of a group as rows: nothing is repeated
        mixed = _compute(queries.reshape(batch, -1, share, channels), keys, values, sight)
        return mixed.reshape(batch, 1, heads * channels)
    if share > 1:
        keys, values = keys.repeat_interleave(share, dim=1), values.repeat_interleave(share, dim=1)
    if sight.watch is not None:
        weights = attention_weights(queries, keys, sight.mask)
        sight.watch.keep(sight.part, weights)
        mixed = sight.watch.silence(sight.part, layer, weights @ values)
    else:
        mixed = _compute(queries, keys, values, sight)
    return mixed.transpose(1, 2).reshape(batch, length, heads * channels)


def _compute(queries: Tensor, keys: Tensor, values: Tensor, sight: Sight) -> Tensor:
    """Attention by the formula, or by torch's kernel."""
    if not sight.fused:
        return attend(queries, keys, values, sight.mask)
    mask = None if sight.mask is None else sight.mask.to(queries.dtype)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=sight.causal)


class Attention(nn.Module):
    """Attention of a text on itself: projections to queries, keys and values, attention, the projection back."""

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        """Build from a config; q, k and v are one matrix, in that order of rows."""
        super().__init__()
        self.layer = layer
        self.heads, self.groups, self.channels = config.n_head, config.n_kv_head, config.head_dim
        self.rotary = config.position == "rotary"
        rows = (self.heads + 2 * self.groups) * self.channels
        self.qkv = nn.Linear(config.d_model, rows, bias=config.bias != "none")
        self.out = nn.Linear(self.heads * self.channels, config.d_model, bias=config.bias == "all")
        if config.qk_norm:
            self.q_norm, self.k_norm = (RMSNorm(self.channels, config.norm_eps) for _ in range(2))
        self.normed = config.qk_norm

    def forward(
        self, x_BTD: Tensor, sight: Sight, cos_TK: Tensor, sin_TK: Tensor, cache: KeyValues | None = None
    ) -> Tensor:
        """Attend over the cache and x, [B, T, D] -> [B, T, D]; the cache takes the new keys and values in.

        The angles are those of x's positions, [T, K] or [B, 1, T, K].
        """
        batch, length, _ = x_BTD.shape
        projected = apply(self.qkv, x_BTD).view(batch, length, -1, self.channels).transpose(1, 2)
        queries_and_keys, values = projected.split([self.heads + self.groups, self.groups], dim=1)
        if self.normed:
            queries, keys = queries_and_keys.split([self.heads, self.groups], dim=1)
            queries_and_keys = torch.cat([self.q_norm(queries), self.k_norm(keys)], dim=1)
        if self.rotary:
            queries_and_keys = rotate(queries_and_keys, cos_TK, sin_TK).to(values.dtype)
        queries, keys = queries_and_keys.split([self.heads, self.groups], dim=1)
        if cache is not None:
            keys, values = cache.extend(keys, values)
        return apply(self.out, mix(queries, keys, values, sight, self.layer))


class CrossAttention(nn.Module):
    """Attention of a target on its source, without positions."""

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        """Build from a config; k and v are one matrix, in that order of rows."""
        super().__init__()
        self.layer = layer
        self.heads, self.groups, self.channels = config.n_head, config.n_kv_head, config.head_dim
        self.q = nn.Linear(config.d_model, self.heads * self.channels, bias=config.bias != "none")
        self.kv = nn.Linear(config.d_model, 2 * self.groups * self.channels, bias=config.bias != "none")
        self.out = nn.Linear(self.heads * self.channels, config.d_model, bias=config.bias == "all")

    def read(self, source_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the encoded source, each [B, G, S, K]; they serve every step of a target."""
        batch, length, _ = source_BSD.shape
        projected = apply(self.kv, source_BSD).view(batch, length, -1, self.channels).transpose(1, 2)
        keys, values = projected.split(self.groups, dim=1)
        return keys, values

    def forward(self, x_BTD: Tensor, keys: Tensor, values: Tensor, sight: Sight) -> Tensor:
        """Attend over the source, [B, T, D] -> [B, T, D]."""
        batch, length, _ = x_BTD.shape
        queries = apply(self.q, x_BTD).view(batch, length, self.heads, self.channels).transpose(1, 2)
        return apply(self.out, mix(queries, keys, values, sight, self.layer))
