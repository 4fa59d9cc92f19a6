"""How a token learns where it stands: rotary angles, vectors added to the embedding, or biases of the scores.

Shapes: T tokens (queries), S keys, D model width, H heads, K channels of a head.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stretch:
    """Slower rotary frequencies, so that a longer context turns no further than the trained one did."""

    factor: float
    low: float
    high: float
    context: int
    """Of the first training; 0 slows every frequency alike (2306.15595)."""

    def apply(self, rates: Tensor) -> Tensor:
        """Rates in radians a token, [K/2], those of few turns in the context divided by the factor (2407.21783)."""
        if not self.context:
            return rates / self.factor
        turns = self.context * rates / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return rates * (kept + (1 - kept) / self.factor)


def rotary_angles(context: int, head_dim: int, theta: float, stretch: Stretch | None = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding (2104.09864, section 3.2), each [T, K].

    Channel pairs are (k, k + K/2), as in Llama's checkpoints, so that exported weights need no shuffling.
    """
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    if stretch is not None:
        rates = stretch.apply(rates)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), rates)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().float(), angles.sin().float()


def rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Turn each channel pair of queries or keys by its position's angle, [B, H, T, K] -> [B, H, T, K]."""
    first, second = x_BHTK.chunk(2, dim=-1)
    return x_BHTK * cos_TK + torch.cat([-second, first], dim=-1) * sin_TK


def sinusoids(context: int, d_model: int) -> Tensor:
    """Fixed position vectors of 1706.03762, section 3.5, [T, D]: sines in the first half, cosines in the second."""
    rates = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), rates)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :d_model].float()


def distance_buckets(ahead: Tensor, buckets: int, furthest: int, *, both_ways: bool) -> Tensor:
    """Bucket of each distance key - query (1910.10683, section 2.1, as published with T5).

    Half of the buckets are exact distances, the other half grow by a constant factor up to `furthest`. Seen both ways,
    the keys ahead have buckets of their own; else they share the bucket of distance zero.
    """
    if both_ways:
        buckets //= 2
        first, distance = (ahead > 0).long() * buckets, ahead.abs()
    else:
        first, distance = torch.zeros_like(ahead), (-ahead).clamp(min=0)
    exact = buckets // 2
    growth = torch.log(distance.float().clamp(min=1) / exact) / math.log(furthest / exact)
    far = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
    return first + torch.where(distance < exact, distance, far)


class RelativeBias(nn.Module):
    """A learned number for each head and bucket of distances, added to the scores of every layer."""

    def __init__(self, heads: int, buckets: int, furthest: int, *, both_ways: bool) -> None:
        """Start at zero: every distance alike."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(buckets, heads))
        self.furthest, self.both_ways = furthest, both_ways

    def forward(self, queries: int, keys: int) -> Tensor:
        """Biases of the last `queries` of `keys` consecutive tokens, [H, T, S]."""
        place = torch.arange(keys, device=self.weight.device)
        ahead = place[None, :] - place[keys - queries :, None]
        bucket = distance_buckets(ahead, len(self.weight), self.furthest, both_ways=self.both_ways)
        return self.weight[bucket].permute(2, 0, 1)
