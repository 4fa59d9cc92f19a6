"""How a token learns where it stands: rotary angles, or vectors added to the embedding.

Shapes: T tokens, D model width, H heads, K channels of a head.
"""

import torch
from torch import Tensor


def rotary_angles(context: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding (2104.09864, section 3.2), each [T, K].

    Channel pairs are (k, k + K/2), as in Llama's checkpoints, so that exported weights need no shuffling.
    """
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
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
