"""The written-out passes against autograd."""

import math
from dataclasses import fields, replace

import pytest
import torch

from chidu.config import ModelConfig
from chidu.model.transformer import Transformer, next_token_losses
from chidu.training import cross_entropy
from chidu.training import gradients as room
from chidu.training.gradients import add_gradients, can_write_out, is_plain

PLAIN = ModelConfig(vocab_size=97, d_model=24, n_layer=2, n_head=3, n_kv_head=3, d_ff=40, context=48)


def shaken(config: ModelConfig, scale: float = 0.2) -> Transformer:
    """A model none of whose weights are at zero or one."""
    model, generator = Transformer(config), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += scale * torch.randn(weight.shape, generator=generator)
    return model


def both(model: Transformer, windows: torch.Tensor, weight: float = 1.0) -> tuple[list[float], float]:
    """The losses of the two ways, and the largest error of a gradient relative to its own size."""
    expected = next_token_losses(model(windows[:, :-1]), windows[:, 1:]).mean()
    (weight * expected).backward()
    reference = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    found = add_gradients(model, windows, weight)
    errors = [
        float((parameter.grad - right).norm() / right.norm())
        for parameter, right in zip(model.parameters(), reference, strict=True)
    ]
    return [float(found), expected.item()], max(errors)


def draw(config: ModelConfig, sequences: int, tokens: int) -> torch.Tensor:
    return torch.randint(config.vocab_size, (sequences, tokens + 1), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_head": 1, "n_kv_head": 1, "n_layer": 1},
        {"tied": False, "residual_scale": 0.5, "logit_scale": 0.25},
        {"head_width": 4, "rope_theta": 500.0, "norm_eps": 0.1},
        {"context": 150},
    ],
)
@pytest.mark.parametrize("tokens", [1, 33])
def test_loss_and_gradients_are_those_of_autograd(changes, tokens: int):
    config = replace(PLAIN, **changes)
    assert is_plain(config)
    length = min(config.context, 4 * tokens)
    losses, error = both(shaken(config), draw(config, 5, length), 0.5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert error < 2e-5


def test_pieces_of_every_size_give_the_same(monkeypatch: pytest.MonkeyPatch):
    """Many sequences, long ones, and a large vocabulary are cut; here into pieces of the least size."""
    for where, name, size in ((cross_entropy, "LOGITS", 1), (room, "SCORES", 1), (room, "QUERIES", 7)):
        monkeypatch.setattr(where, name, size)
    losses, error = both(shaken(PLAIN), draw(PLAIN, 3, 48))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert error < 2e-5


def test_gradients_are_added(monkeypatch: pytest.MonkeyPatch):
    model, windows = shaken(PLAIN), draw(PLAIN, 4, 16)
    add_gradients(model, windows)
    once = [weight.grad.clone() for weight in model.parameters()]
    add_gradients(model, windows, 2.0)
    for weight, gradient in zip(model.parameters(), once, strict=True):
        torch.testing.assert_close(weight.grad, 3 * gradient, rtol=1e-4, atol=1e-7)


def test_a_loss_far_beyond_the_range_of_the_softmax():
    """The share of the target is less than the smallest float32; its loss is a number all the same."""
    model, windows = shaken(PLAIN, 3.0), draw(PLAIN, 4, 16)
    losses, error = both(model, windows)
    worst = next_token_losses(model(windows[:, :-1]), windows[:, 1:]).max().item()
    assert worst > -math.log(torch.finfo(torch.float32).smallest_normal)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert error < 1e-3


def test_what_is_not_plain_is_left_to_autograd():
    """Every other choice of a field, so that a new one has to be written out before it is taken."""
    others = {
        "position": "learned",
        "activation": "geglu",
        "kind": "encoder",
        "norm": "layer",
        "post_norm": True,
        "embedding_norm": True,
        "bias": "qkv",
        "qk_norm": True,
        "rope_factor": 2.0,
        "token_types": 2,
        "head_transform": True,
        "head_bias": True,
        "dropout": 0.1,
        "n_kv_head": 1,
    }
    free = {*room.PLAIN, *room.SCALES, "rope_low", "rope_high", "rope_context"}  # the last three wait for rope_factor
    free |= {"relative_buckets", "relative_distance", "n_encoder_layer"}  # of kinds and positions that are not plain
    assert {field.name for field in fields(ModelConfig)} <= set(others) | free
    for name, value in others.items():
        assert not is_plain(replace(PLAIN, **{name: value})), name
    model = Transformer(PLAIN)
    assert can_write_out(model)
    model.compiled = True
    assert not can_write_out(model)


def test_a_sharded_model_is_not_written_out():
    """FSDP2 changes the class of what it shards, whatever its weights are at the moment."""

    class Sharded(Transformer):
        pass

    assert not can_write_out(Sharded(PLAIN))
