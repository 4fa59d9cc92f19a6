"""Low-rank adaptation (LoRA, 2106.09685): W + (alpha / r) up down, of which only the two thin matrices learn."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.errors import InputError
from chidu.model.transformer import Transformer


class LowRank(nn.Module):
    """A linear layer that stays as it is, and a change of low rank beside it; no change at the start."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        """Put the change beside `base`, whose weights are frozen."""
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        with torch.no_grad():
            self.down.normal_(0, 1 / math.sqrt(base.in_features), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The linear layer that does the same."""
        self.base.weight += self.scale * self.up @ self.down
        return self.base.requires_grad_(True)


def adapt(body: Transformer, rank: int, *, alpha: float = 0.0, seed: int = 0) -> None:
    """Freeze a model and put a low-rank change beside every matrix of its blocks.

    Args:
        body: is changed in place; a head on it keeps learning.
        rank: r; the change has r (in + out) parameters a matrix.
        alpha: the scale is alpha / r; 0 means 2 r.
        seed: of the down matrices.

    Raises:
        InputError: a rank below 1.
    """
    if rank < 1:
        raise InputError(f"--lora {rank}: the rank must be at least 1, such as 8")
    generator = torch.Generator().manual_seed(seed)
    body.requires_grad_(False)
    for block in body.all_blocks:
        for parent in [module for module in block.modules() if not isinstance(module, LowRank)]:
            for name, child in list(parent.named_children()):
                if type(child) is nn.Linear:
                    setattr(parent, name, LowRank(child, rank, alpha or 2.0 * rank, generator))


def merge(body: Transformer) -> None:
    """Fold every low-rank change into its matrix: the model is then an ordinary one again."""
    for block in body.all_blocks:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, LowRank):
                    setattr(parent, name, child.merged())
    body.requires_grad_(True)
