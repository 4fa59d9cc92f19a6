"""The mean of the weights over the last steps of a run: what is evaluated, kept and exported (1803.05407; 2203.16634).

Averaging takes out what the last few batches happened to teach, as a lower rate would, at no more training.
"""

import torch
from torch import Tensor

from chidu.config import TrainConfig
from chidu.model.transformer import Transformer


class Average:
    """The running mean of all weights over the last `average` part of a run; empty before it, or without it."""

    def __init__(self, config: TrainConfig) -> None:
        """Begin with nothing."""
        self.first = config.steps - config.average_steps
        self.mean: list[Tensor] = []

    def add(self, model: Transformer, finished: int) -> None:
        """Take in the weights after `finished` steps; those of steps before the last part do not count."""
        count = finished - self.first
        if count < 1:
            return
        weights = [weight.detach() for weight in model.parameters()]
        if count == 1:
            self.mean = [weight.clone() for weight in weights]
        else:
            torch._foreach_lerp_(self.mean, weights, 1 / count)

    def put_in(self, model: Transformer) -> None:
        """Give the model the mean instead of its last weights, if there is one."""
        with torch.no_grad():
            for weight, mean in zip(model.parameters(), self.mean, strict=bool(self.mean)):
                weight.copy_(mean)

    def to_tensors(self, model: Transformer) -> dict[str, Tensor]:
        """The mean by the names of the weights; empty where there is none yet."""
        names = [name for name, _ in model.named_parameters()]
        return dict(zip(names, self.mean, strict=bool(self.mean)))

    def load(self, model: Transformer, tensors: dict[str, Tensor]) -> None:
        """Take the mean of a checkpoint, copied, since the files of one are mapped and must not change."""
        device = model.device
        self.mean = [tensors[name].to(device, copy=True) for name, _ in model.named_parameters()] if tensors else []
