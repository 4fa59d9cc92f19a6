"""AdamW (1711.05101) with the groups that transfer over width and depth needs, over flat vectors.

2203.03466, table 8; 2505.01618, table 1.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from chidu.config import TrainConfig
from chidu.model.transformer import Transformer

ALIGNED = 16
"""Each weight begins at a multiple of so many numbers, 64 bytes, in the flat vectors."""
KEYS = ("step", "exp_avg", "exp_avg_sq")


class FlatAdamW:
    """torch's fused AdamW on one vector: every weight and gradient of the model becomes a view of it.

    To update fifty small tensors one after another costs more than the arithmetic. Norm, clipping and update are one
    pass each over the whole vector here; the numbers are those of `torch.optim.AdamW(fused=True)`, since both call the
    same kernel. What `state` gives and takes is that of `torch.optim.AdamW`, so either reads the other's checkpoints.
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float]) -> None:
        """Move the weights of `groups`, which have `params`, `peak`, `weight_decay` and `eps`, into one vector."""
        self.param_groups, self.betas = [{"lr": 0.0, **group} for group in groups], betas
        self.places: dict[nn.Parameter, slice] = {}
        self._spans, end = [], 0
        for group in groups:
            first = end
            for weight in group["params"]:
                self.places[weight] = slice(end, end + weight.numel())
                end += -(-weight.numel() // ALIGNED) * ALIGNED
            self._spans.append(slice(first, end))
        device = next(iter(self.places)).device
        vectors = [torch.zeros(end, device=device) for _ in range(4)]
        self.weights, self.gradient, self._mean, self._square = vectors
        self._step = torch.zeros((), device=device)
        for weight, place in self.places.items():
            self.weights[place] = weight.detach().flatten()
        self.move(self.weights, self.gradient)
        self.state = _Moments(self.places, self._step, self._mean, self._square)

    def move(self, weights: Tensor, gradient: Tensor) -> None:
        """Take other vectors, of the same length, for the weights, whose values go along, and for the gradient."""
        if weights is not self.weights:
            weights.copy_(self.weights)
        self.weights, self.gradient = weights, gradient
        for weight, place in self.places.items():
            weight.data = weights[place].view_as(weight)
            weight.grad = gradient[place].view_as(weight)

    @torch.no_grad()
    def step(self, clip_norm: float | None = None) -> Tensor:
        """Update every weight; the gradient is first scaled to at most `clip_norm`. Returns its norm before that."""
        norm = torch.linalg.vector_norm(self.gradient)
        too_large = None if clip_norm is None else ((norm + 1e-6) / clip_norm).clamp(min=1.0)  # as clip_grad_norm_
        self._step += 1
        for group, span in zip(self.param_groups, self._spans, strict=True):
            torch._fused_adamw_(
                [self.weights[span]],
                [self.gradient[span]],
                [self._mean[span]],
                [self._square[span]],
                [],
                [self._step],
                lr=group["lr"],
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=too_large,
            )
        return norm

    def zero_grad(self) -> None:
        """Set the gradients to zero, where they are."""
        self.gradient.zero_()


class _Moments(Mapping[nn.Parameter, dict[str, Tensor]]):
    """The moments of each weight, as `torch.optim.AdamW.state` has them."""

    def __init__(self, places: dict[nn.Parameter, slice], step: Tensor, mean: Tensor, square: Tensor) -> None:
        self._places, self._step, self._vectors = places, step, (mean, square)

    def __getitem__(self, weight: nn.Parameter) -> dict[str, Tensor]:
        mean, square = (vector[self._places[weight]].view_as(weight) for vector in self._vectors)
        return dict(zip(KEYS, (self._step.clone(), mean, square), strict=True))

    def __setitem__(self, weight: nn.Parameter, value: dict[str, Tensor]) -> None:
        """Copy the moments of a weight in; the step is one for all."""
        self._step.copy_(value["step"])
        for vector, key in zip(self._vectors, KEYS[1:], strict=True):
            vector[self._places[weight]].view_as(weight).copy_(value[key])

    def __iter__(self) -> Iterator[nn.Parameter]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


Optimizer = FlatAdamW | torch.optim.AdamW


def make_groups(model: Transformer, config: TrainConfig) -> list[dict[str, Any]]:
    """Two groups: matrices of the blocks, with their own rate, decay and epsilon; embeddings, head and norms."""
    matrices = [weight for block in model.all_blocks for weight in block.parameters() if weight.dim() == 2]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    inner = {"weight_decay": config.weight_decay, "eps": config.hidden_eps or config.eps}
    return [
        {"params": matrices, "peak": config.hidden_learning_rate, **inner},
        {"params": others, "peak": config.learning_rate, "weight_decay": 0.0, "eps": config.eps},
    ]


def make_optimizer(model: Transformer, config: TrainConfig) -> FlatAdamW:
    """The optimizer of a model on one device, whose weights it moves: build it after the model is where it stays."""
    return FlatAdamW(make_groups(model, config), (config.beta1, config.beta2))


def make_sharded_optimizer(model: Transformer, config: TrainConfig) -> torch.optim.AdamW:
    """torch's own, weight by weight: of a model whose weights are spread over processes."""
    groups, betas = make_groups(model, config), (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=True)


def clipped_step(model: Transformer, optimizer: Optimizer, clip_norm: float) -> Tensor:
    """Clip the gradient, update, set the gradient to zero; the gradient's norm before clipping."""
    if isinstance(optimizer, FlatAdamW):
        norm = optimizer.step(clip_norm)
    else:
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
    optimizer.zero_grad()
    return cast(Tensor, norm)


def set_rate(optimizer: Optimizer, multiplier: float) -> None:
    """Set every group's rate to its peak times the schedule's multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * multiplier
