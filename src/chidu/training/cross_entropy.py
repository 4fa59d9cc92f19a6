"""Cross-entropy with the logits of a few tokens at a time: on a CPU they stay in a core's cache between the passes.

Loss and gradient come together, since with p the softmax of the logits the gradient of the loss by the logits is p less
the target's distribution. `torch.nn.functional.cross_entropy` is the reference; the two agree to rounding.

Shapes: N tokens, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOGITS = 1 << 18
"""Logits that exist at a time."""


def cross_entropy(
    hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, weights_N: Tensor, smoothing: float = 0.0
) -> Tensor:
    """The weighted sum of the cross-entropies of the logits `hidden head^T`, in nats.

    Args:
        hidden_ND: what the head reads, float32.
        head_VD: the head.
        targets_N: the true tokens.
        weights_N: of each token's loss; they get no gradient.
        smoothing: part of the target's probability that is spread evenly over the vocabulary (1512.00567, section 7).
    """
    learns = torch.is_grad_enabled() and (hidden_ND.requires_grad or head_VD.requires_grad)
    if learns:
        loss: Tensor = _CrossEntropy.apply(hidden_ND, head_VD, targets_N, weights_N, smoothing)
        return loss
    return cross_entropies(hidden_ND, head_VD, targets_N, None, smoothing) @ weights_N


def cross_entropies(
    hidden_ND: Tensor,
    head_VD: Tensor,
    targets_N: Tensor,
    gradients: tuple[Tensor, Tensor] | None,
    smoothing: float = 0.0,
    weights_N: Tensor | None = None,
) -> Tensor:
    """Each token's cross-entropy, [N].

    `gradients`, of the stream [N, D] and of the head, [D, V], are those of the (weighted) sum of the losses: the first
    is overwritten, the second added to.
    """
    mean_D, losses = head_VD.mean(0) if smoothing else None, []
    for rows in chunks(len(hidden_ND), len(head_VD)):
        hidden, wanted = hidden_ND[rows], targets_N[rows, None]
        logits = hidden @ head_VD.t()
        at_target, largest = logits.gather(1, wanted), logits.amax(1, keepdim=True)
        shares = torch.softmax(logits, 1)
        # the softmax of the largest logit is exp(0) over the sum of exponentials
        loss = largest - shares.amax(1, keepdim=True).log_() - (1 - smoothing) * at_target
        if mean_D is not None:
            loss -= smoothing * (hidden @ mean_D)[:, None]
        losses.append(loss)
        if gradients is None:
            continue
        dhidden_ND, dhead_DV = gradients
        shares.scatter_add_(1, wanted, torch.full_like(at_target, smoothing - 1))
        torch.mm(shares, head_VD, out=dhidden_ND[rows])
        weighted = hidden if weights_N is None else hidden * weights_N[rows, None]
        dhead_DV.addmm_(weighted.t(), shares)
    if gradients is not None and mean_D is not None:
        _spread(hidden_ND, mean_D, gradients, smoothing, weights_N)
    if gradients is not None and weights_N is not None:
        gradients[0].mul_(weights_N[:, None])
    return torch.cat(losses)[:, 0]


def _spread(
    hidden_ND: Tensor, mean_D: Tensor, gradients: tuple[Tensor, Tensor], smoothing: float, weights_N: Tensor | None
) -> None:
    """What the smoothed part adds, alike for every entry of the vocabulary: no pass over the logits."""
    gradients[0].sub_(smoothing * mean_D)
    total_D = hidden_ND.sum(0) if weights_N is None else weights_N @ hidden_ND
    gradients[1].sub_((smoothing / gradients[1].shape[1]) * total_D[:, None])


def chunks(rows: int, vocabulary: int) -> list[slice]:
    """Cut tokens so that `LOGITS` logits exist at a time."""
    size = max(64, LOGITS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, max(rows, 1), size)]


class _CrossEntropy(torch.autograd.Function):
    """The sum forward, and the gradients that were made with it backward."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, weights_N: Tensor, smoothing: float
    ) -> Tensor:
        dhead_DV = torch.zeros_like(head_VD.t(), memory_format=torch.contiguous_format)
        dhidden_ND = torch.empty_like(hidden_ND, memory_format=torch.contiguous_format)
        losses = cross_entropies(hidden_ND, head_VD, targets_N, (dhidden_ND, dhead_DV), smoothing, weights_N)
        ctx.save_for_backward(dhidden_ND, dhead_DV)
        return losses @ weights_N

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        dhidden_ND, dhead_DV = ctx.saved_tensors
        return dloss * dhidden_ND, dloss * dhead_DV.t(), None, None, None
