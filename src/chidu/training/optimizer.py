"""AdamW (1711.05101) with the groups that transfer over width and depth needs (2203.03466, table 8; 2505.01618)."""

import torch

from chidu.config import TrainConfig
from chidu.model.transformer import Transformer


def make_optimizer(model: Transformer, config: TrainConfig) -> torch.optim.AdamW:
    """Two groups: matrices of the blocks, with their own rate, decay and epsilon; embeddings, head and norms."""
    matrices = [weight for block in model.all_blocks for weight in block.parameters() if weight.dim() == 2]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    inner = {"weight_decay": config.weight_decay, "eps": config.hidden_eps or config.eps}
    groups = [
        {"params": matrices, "peak": config.hidden_learning_rate, **inner},
        {"params": others, "peak": config.learning_rate, "weight_decay": 0.0, "eps": config.eps},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(config.beta1, config.beta2), fused=True)


def set_rate(optimizer: torch.optim.AdamW, multiplier: float) -> None:
    """Set every group's rate to its peak times the schedule's multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * multiplier
