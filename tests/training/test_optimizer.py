import pytest
import torch

from chidu.model.transformer import Transformer
from chidu.training.optimizer import make_optimizer, set_rate


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
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), before * (1 - 0.01 * 0.5) - 0.01, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gain.detach(), torch.ones_like(gain) - 0.02, atol=1e-6, rtol=1e-5)


def test_the_matrices_have_an_epsilon_of_their_own(make_config):
    for changes, expected in (({}, [1e-10, 1e-10]), ({"hidden_eps": 1e-6, "eps": 1e-9}, [1e-6, 1e-9])):
        config = make_config(**changes)
        optimizer = make_optimizer(Transformer(config.model), config)
        assert [group["eps"] for group in optimizer.param_groups] == expected
