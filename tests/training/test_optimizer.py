from collections.abc import Callable

import pytest
import torch

from chidu.config import TrainConfig
from chidu.model.transformer import Transformer
from chidu.training.checkpoint import restore, save_checkpoint
from chidu.training.optimizer import FlatAdamW, clipped_step, make_optimizer, make_sharded_optimizer, set_rate


@pytest.mark.parametrize("changes", [{}, {"tied": False, "position": "learned", "activation": "gelu"}])
def test_only_the_matrices_of_the_blocks_decay(make_config, changes):
    config = make_config(**changes)
    model = Transformer(config.model)
    optimizer = make_optimizer(model, config)
    names = {weight: name for name, weight in model.named_parameters()}
    matrices, others = ({names[weight] for weight in group["params"]} for group in optimizer.param_groups)
    assert matrices | others == set(names.values())
    assert not matrices & others
    assert matrices == {name for name in names.values() if name.startswith("blocks") and "norm" not in name}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    set_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.01]


def test_a_first_step_by_hand(make_config):
    """AdamW's first step is the rate times the gradient's sign, after decay by rate times decay."""
    config = make_config(weight_decay=0.5)
    model = Transformer(config.model)
    optimizer = make_optimizer(model, config)
    set_rate(optimizer, 1.0)
    matrix, gain = model.blocks[0].attention.qkv.weight, model.norm.weight
    before = matrix.detach().clone()
    for weight in model.parameters():
        weight.grad.fill_(1.0)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), before * (1 - 0.01 * 0.5) - 0.01, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gain.detach(), torch.ones_like(gain) - 0.02, atol=1e-6, rtol=1e-5)


Made = tuple[Transformer, "FlatAdamW | torch.optim.AdamW"]


def step(made: Made, config: TrainConfig, number: int, clip_norm: float) -> float:
    """A step on gradients drawn from its number."""
    model, optimizer = made
    generator = torch.Generator().manual_seed(number)
    for weight in model.parameters():
        gradient = torch.randn(weight.shape, generator=generator)
        if weight.grad is None:
            weight.grad = gradient
        else:
            weight.grad.copy_(gradient)
    set_rate(optimizer, 1 / (number + 1))
    return float(clipped_step(model, optimizer, clip_norm))


def make(maker: Callable, config: TrainConfig) -> Made:
    model = Transformer(config.model)
    return model, maker(model, config)


@pytest.mark.parametrize("clip_norm", [1e9, 1.0])
def test_one_vector_does_what_torch_does_weight_by_weight(make_config, clip_norm: float):
    """Bit for bit where nothing is clipped; the norm is summed in another order."""
    config = make_config()
    flat, usual = make(make_optimizer, config), make(make_sharded_optimizer, config)
    for number in range(5):
        norms = [step(made, config, number, clip_norm) for made in (flat, usual)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    for one, other in zip(flat[0].parameters(), usual[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0 if clip_norm > 1e6 else 1e-6)


@torch.no_grad()
def test_weights_and_gradients_are_views_of_one_vector(make_config):
    config = make_config()
    model = Transformer(config.model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    optimizer = make_optimizer(model, config)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
        assert weight.data_ptr() % 64 == 0
    optimizer.weights.fill_(2.0)
    optimizer.gradient.fill_(3.0)
    for weight in model.parameters():
        assert (weight == 2).all()
        assert (weight.grad == 3).all()
    optimizer.zero_grad()
    assert all(not weight.grad.any() for weight in model.parameters())


@pytest.mark.parametrize("second", [make_optimizer, make_sharded_optimizer])
@pytest.mark.parametrize("first", [make_optimizer, make_sharded_optimizer])
def test_either_goes_on_from_a_checkpoint_of_the_other(make_config, tmp_path, first, second):
    config = make_config()
    before, after = make(first, config), make(second, config)
    for number in range(3):
        step(before, config, number, 1e9)
    folder = save_checkpoint(tmp_path, 3, *before, config, 1.5)
    assert restore(folder, *after) == (3, 1.5)
    for made in (before, after):
        step(made, config, 3, 1e9)
    for one, other in zip(before[0].parameters(), after[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_gradient_that_is_no_number_shows_in_norm_and_weights(make_config):
    config = make_config()
    model, optimizer = make(make_optimizer, config)
    next(model.parameters()).grad.view(-1)[0] = float("nan")
    set_rate(optimizer, 1.0)
    assert not torch.isfinite(clipped_step(model, optimizer, 1.0))
    assert not torch.isfinite(model.norm.weight).any()


def test_the_matrices_have_an_epsilon_of_their_own(make_config):
    for changes, expected in (({}, [1e-10, 1e-10]), ({"hidden_eps": 1e-6, "eps": 1e-9}, [1e-6, 1e-9])):
        config = make_config(**changes)
        optimizer = make_optimizer(Transformer(config.model), config)
        assert [group["eps"] for group in optimizer.param_groups] == expected
