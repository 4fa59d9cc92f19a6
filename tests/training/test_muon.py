"""Muon turns gradients of matrices into orthogonal steps, and leaves the rest to AdamW."""

import torch

from chidu.training.muon import Muon, orthogonalise


def test_singular_values_go_to_about_one() -> None:
    x = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    before, after = torch.linalg.svdvals(x), torch.linalg.svdvals(orthogonalise(x))
    assert before.max() / before.min() > 2
    assert ((after > 0.6) & (after < 1.3)).all()


def test_a_step_has_the_size_that_is_said_and_the_rest_is_adamw() -> None:
    torch.manual_seed(0)
    tall, wide, gain = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((16, 4), (4, 16), (5,)))
    same = torch.nn.Parameter(gain.detach().clone())
    groups = [
        {"params": [tall, wide], "orthogonal": True, "weight_decay": 0.0},
        {"params": [gain], "weight_decay": 0.0},
    ]
    optimizer, other = Muon(groups, lr=0.1), torch.optim.AdamW([same], lr=0.1, weight_decay=0.0)
    for _ in range(3):
        start = [weight.detach().clone() for weight in (tall, wide)]
        for weight in (tall, wide):
            weight.grad = torch.randn_like(weight)
        gain.grad = torch.randn_like(gain)
        same.grad = gain.grad.clone()
        optimizer.step()
        other.step()
        for weight, old, size in zip((tall, wide), start, (0.2, 0.1), strict=True):
            moved = torch.linalg.svdvals((weight - old).detach())
            assert (moved < 1.3 * size).all()
            assert (moved > 0.6 * size).all()
    assert torch.allclose(gain, same)


def test_it_descends() -> None:
    torch.manual_seed(1)
    wanted, weight = torch.randn(6, 9), torch.nn.Parameter(torch.zeros(6, 9))
    optimizer = Muon([{"params": [weight], "orthogonal": True}], lr=0.05, weight_decay=0.0)
    for _ in range(150):
        optimizer.zero_grad()
        ((weight - wanted) ** 2).sum().backward()
        optimizer.step()
    assert ((weight - wanted) ** 2).mean() < 0.05
