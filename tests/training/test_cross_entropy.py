import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chidu.training import cross_entropy as room
from chidu.training.cross_entropy import cross_entropy


def draw(tokens: int, vocabulary: int = 50, size: float = 1.0) -> tuple[Tensor, ...]:
    """Stream, head, targets and weights, some of them zero."""
    generator = torch.Generator().manual_seed(tokens)
    hidden = size * torch.randn(tokens, 8, generator=generator)
    head = torch.randn(vocabulary, 8, generator=generator)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    return hidden, head, targets, torch.rand(tokens, generator=generator).round(decimals=1)


def both(given: tuple[Tensor, ...], smoothing: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The loss and its two gradients, written out and by torch, in the precision that was given."""
    found = []
    hidden, head, targets, weights = given
    for ours in (True, False):
        stream, matrix = hidden.clone().requires_grad_(), head.clone().requires_grad_()
        if ours:
            loss = cross_entropy(stream, matrix, targets, weights, smoothing)
        else:
            each = F.cross_entropy(stream @ matrix.T, targets, reduction="none", label_smoothing=smoothing)
            loss = (each * weights).sum()
        (loss / 3).backward()
        assert stream.grad is not None
        assert matrix.grad is not None
        found.append((loss.detach(), stream.grad, matrix.grad))
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("tokens", [1, 64, 65, 300])
def test_it_is_torchs(tokens: int, smoothing: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "LOGITS", 1)
    given = tuple(x.double() if x.is_floating_point() else x for x in draw(tokens))
    for ours, expected in zip(*both(given, smoothing), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
    for ours, expected in zip(*both(draw(tokens), smoothing), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_without_a_gradient_the_loss_is_the_same():
    hidden, head, targets, weights = draw(100)
    learnt = cross_entropy(hidden.requires_grad_(), head, targets, weights, 0.1)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(hidden, head, targets, weights, 0.1), learnt.detach())


def test_large_logits_and_no_tokens_are_no_trouble():
    far = both(draw(64, size=100.0), 0.0)
    torch.testing.assert_close(far[0], far[1], rtol=1e-4, atol=1e-4)
    nothing = tuple(x[:0] if i != 1 else x for i, x in enumerate(draw(4)))
    assert both(nothing, 0.1)[0][0] == 0
