"""Held-out loss on fixed windows, with its sampling error.

Shapes: W windows, T tokens of a window.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from chidu.model.transformer import Transformer, next_token_losses
from chidu.stats import standard_error


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean loss over the predicted tokens of some windows."""

    loss: float
    """Nats per token."""
    loss_se: float
    """Standard error over windows: how far other windows of the same text might have put it."""
    bits_per_byte: float
    """Bits that the model needs per UTF-8 byte of the predicted text; comparable between tokenizers."""
    tokens: int

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return asdict(self)


@torch.no_grad()
def evaluate(
    model: Transformer,
    windows: NDArray[np.integer],
    token_bytes: NDArray[np.integer],
    *,
    batch_tokens: int = 4096,
    fused: bool = True,
) -> HeldOutLoss:
    """Evaluate windows, [W, T+1] token ids; `token_bytes` [V] is the length of each token in bytes.

    Every token of a window but its first is predicted from those before it in the window.
    """
    device = model.embedding.weight.device
    sums = []
    batch = max(1, batch_tokens // (windows.shape[1] - 1))
    for start in range(0, len(windows), batch):
        tokens = torch.from_numpy(windows[start : start + batch].astype(np.int64)).to(device)
        losses = next_token_losses(model(tokens[:, :-1], fused), tokens[:, 1:])
        sums.append(losses.double().mean(dim=1).cpu().numpy())
    means = np.concatenate(sums)
    count = windows[:, 1:].size
    mean_bytes = float(token_bytes[windows[:, 1:]].sum()) / count
    loss = float(means.mean())
    return HeldOutLoss(loss, standard_error(means), loss / math.log(2) / mean_bytes, count)
