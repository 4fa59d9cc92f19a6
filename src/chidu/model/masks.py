"""Who may look at whom: the past, the own text of a packed row, never the padding.

A row's *segments*, [B, T], say which text each token belongs to: 0 is padding (on either side), 1, 2, ... are the texts
of a packed row, each of them in one piece. Shapes: B sequences, T queries, S keys.
"""

import math

import torch
from torch import Tensor


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """Additive mask, [T, S]: query t, the last of them being the last key, sees keys up to itself."""
    blocked = torch.full((queries, keys), -math.inf, device=device)
    return torch.triu(blocked, diagonal=keys - queries + 1)


def segment_mask(queries_BT: Tensor, keys_BS: Tensor) -> Tensor:
    """Additive mask, [B, 1, T, S]: a query sees the keys of its own segment.

    A query whose segment has no key sees all of them, since a mean over nothing is not a number; only padding, and a
    target whose source is empty, come to that.
    """
    allowed = queries_BT[:, None, :, None] == keys_BS[:, None, None, :]
    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -math.inf)


def segment_positions(segments_BT: Tensor) -> Tensor:
    """Place of each token in its own segment, counted from 0, [B, T]."""
    place = torch.arange(segments_BT.shape[1], device=segments_BT.device).expand_as(segments_BT)
    starts = torch.ones_like(segments_BT, dtype=torch.bool)
    starts[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
    return place - torch.where(starts, place, 0).cummax(dim=1).values


def join_masks(*masks: Tensor | None) -> Tensor | None:
    """Sum of additive masks and biases, each broadcast against the others; None where there is none."""
    there = [mask for mask in masks if mask is not None]
    return sum(there[1:], start=there[0]) if there else None
