"""The matrix product of a layer, also fast for the few rows of a step of generation.

Of 2 to 8 rows, one token each, the CPU computes W x^T up to twice as fast as x W^T when W has at least as many rows as
columns (`benchmarks/generation_speed.py` shows what it is worth).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW = 8


def project(x_BTD: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b, [..., D] -> [..., rows of W]; the order of summation differs between the two ways."""
    wide = weight.shape[0] >= weight.shape[1]
    single = x_BTD.dim() == 3 and x_BTD.shape[1] == 1 and 1 < x_BTD.shape[0] <= FEW
    if not (single and wide) or torch.is_grad_enabled() or x_BTD.device.type != "cpu":
        return F.linear(x_BTD, weight, bias)
    product = (weight @ x_BTD[:, 0].T).T.unsqueeze(1)
    return product if bias is None else product + bias


def apply(layer: nn.Module, x_BTD: Tensor) -> Tensor:
    """A layer's output, by `project` where it is nothing but a matrix; a layer that was put in its place is called."""
    if type(layer) is nn.Linear:
        return project(x_BTD, layer.weight, layer.bias)
    output: Tensor = layer(x_BTD)
    return output
