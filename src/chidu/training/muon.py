"""Muon: momentum whose matrices are made orthogonal before they are added (Jordan et al. 2024; 2502.16982), in float32.

torch's own computes in bfloat16, which a CPU without that arithmetic emulates, 20 times slower; this one also takes all
matrices of one shape in one product. What is no matrix of a block (embeddings, norms, heads) learns by AdamW.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz step: singular values go to about one, not exactly (Jordan et al. 2024)."""
STEPS = 5
MOMENTUM = 0.95


def orthogonalise(x_NRC: Tensor, steps: int = STEPS) -> Tensor:
    """Of each matrix U S V^T about U V^T, by iterating a X + b X X^T X + c (X X^T)^2 X: [N, R, C], best R <= C."""
    a, b, c = QUINTIC
    x_NRC = x_NRC / (x_NRC.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x_NRC @ x_NRC.mT
        x_NRC = torch.baddbmm(x_NRC, torch.baddbmm(square, square, square, beta=b, alpha=c), x_NRC, beta=a)
    return x_NRC


class Muon(torch.optim.AdamW):
    """AdamW, but for the groups of matrices that are marked `orthogonal`.

    A matrix of R rows and C columns moves by the rate times sqrt(max(1, R / C)) times its orthogonal momentum, in
    Nesterov's way; the decay is decoupled, as AdamW's.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of all groups."""
        whole = self.param_groups
        self.param_groups = [group for group in whole if not group.get("orthogonal")]
        try:
            result = super().step(closure)
        finally:
            self.param_groups = whole
        for group in whole:
            if group.get("orthogonal"):
                self._turn(group)
        return result

    def _turn(self, group: dict[str, Any]) -> None:
        """A step of one group of matrices."""
        alike: defaultdict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                alike[weight.shape[0], weight.shape[1]].append(weight)
        for (rows, columns), weights in alike.items():
            ahead = [self._look_ahead(weight, weight.grad) for weight in weights if weight.grad is not None]
            turned = orthogonalise(torch.stack([x if rows <= columns else x.mT for x in ahead]))
            size = group["lr"] * max(1, rows / columns) ** 0.5
            for weight, x in zip(weights, turned, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(x if rows <= columns else x.mT, alpha=-size)

    def _look_ahead(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """The momentum with this step's gradient in it, and once more (Nesterov)."""
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return torch.lerp(gradient, state["momentum"], MOMENTUM)
