"""Multi-head attention, softmax(Q K^T / sqrt(K)) V (1706.03762, section 3.2), with grouped keys (2305.13245).

Shapes: B sequences, T queries, S keys (past ones included), H query heads, G key heads, K channels of a head.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.model.positions import rotate

Cache = tuple[Tensor, Tensor]
"""Keys and values of the tokens seen so far, each [B, G, S, K]."""


def attention_weights(q_BHTK: Tensor, k_BHSK: Tensor, mask_TS: Tensor) -> Tensor:
    """Softmax of the scaled scores, [B, H, T, S]; the mask is 0 where a query may look and -inf where not."""
    scores = q_BHTK @ k_BHSK.transpose(-2, -1) / math.sqrt(q_BHTK.shape[-1])
    return F.softmax(scores + mask_TS, dim=-1)


def attend(q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, mask_TS: Tensor) -> Tensor:
    """Attention written out, [B, H, T, K]: the reference that every faster path is tested against."""
    return attention_weights(q_BHTK, k_BHSK, mask_TS) @ v_BHSK


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """Additive mask, [T, S]: query t, the last of them being the last key, sees keys up to itself."""
    blocked = torch.full((queries, keys), -math.inf, device=device)
    return torch.triu(blocked, diagonal=keys - queries + 1)


class Attention(nn.Module):
    """Projections to queries, keys and values, attention, and the projection back."""

    def __init__(self, config: ModelConfig) -> None:
        """Build from a config; q, k and v are one matrix, in that order of rows."""
        super().__init__()
        self.heads, self.groups, self.channels = config.n_head, config.n_kv_head, config.head_dim
        self.rotary = config.position == "rotary"
        self.qkv = nn.Linear(config.d_model, (config.n_head + 2 * config.n_kv_head) * config.head_dim, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(
        self, x_BTD: Tensor, mask_TS: Tensor | None, cos_TK: Tensor, sin_TK: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Attend over the cache and x, [B, T, D] -> [B, T, D] and the longer cache.

        Without a mask, the fused kernel of torch computes plain causal attention (for accelerators).
        """
        batch, length, _ = x_BTD.shape
        projected = self.qkv(x_BTD).view(batch, length, -1, self.channels).transpose(1, 2)
        queries_and_keys, values = projected.split([self.heads + self.groups, self.groups], dim=1)
        if self.rotary:
            queries_and_keys = rotate(queries_and_keys, cos_TK, sin_TK).to(values.dtype)
        queries, keys = queries_and_keys.split([self.heads, self.groups], dim=1)
        if cache is not None:
            keys, values = torch.cat([cache[0], keys], dim=2), torch.cat([cache[1], values], dim=2)
        longer = (keys, values)
        if self.groups != self.heads:
            share = self.heads // self.groups
            keys, values = keys.repeat_interleave(share, dim=1), values.repeat_interleave(share, dim=1)
        if mask_TS is None:
            mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        else:
            mixed = attend(queries, keys, values, mask_TS)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, -1)), longer
