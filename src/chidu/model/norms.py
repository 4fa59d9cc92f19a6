"""What brings a stream back to a common size: RMSNorm, or LayerNorm with its bias."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig


class RMSNorm(nn.Module):
    """Divide by the root mean square over channels, times a learned gain (1910.07467); always in float32."""

    def __init__(self, width: int, eps: float) -> None:
        """Start with a gain of one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise, [..., D] -> [..., D]."""
        return F.rms_norm(x_BTD, x_BTD.shape[-1:], self.weight, self.eps)


def make_norm(config: ModelConfig) -> nn.Module:
    """The norm of a config over d_model channels: gain one, and bias zero where it has one (1607.06450)."""
    if config.norm == "layer":
        return nn.LayerNorm(config.d_model, config.norm_eps)
    return RMSNorm(config.d_model, config.norm_eps)
