import pytest
import torch
from torch import nn
from torch.nn import functional as F

from chidu.model.linear import apply, project


@pytest.mark.parametrize("shape", [(1, 1, 6), (2, 1, 6), (8, 1, 6), (9, 1, 6), (3, 4, 6), (5, 6)])
@pytest.mark.parametrize("rows", [4, 6, 10])
@pytest.mark.parametrize("bias", [True, False])
def test_both_ways_are_the_same_product(shape: tuple[int, ...], rows: int, bias: bool):
    layer, x = nn.Linear(6, rows, bias=bias), torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    expected = F.linear(x, layer.weight, layer.bias)
    assert torch.equal(apply(layer, x), expected)  # with gradients, always the plain way
    with torch.inference_mode():
        found = apply(layer, x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)


def test_a_layer_in_the_place_of_another_is_called():
    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer, x = Twice(4, 8), torch.randn(3, 1, 4)
    with torch.inference_mode():
        assert torch.equal(apply(layer, x), 2 * F.linear(x, layer.weight, layer.bias))


def test_a_product_of_half_precision_keeps_its_type():
    x, weight = torch.randn(4, 1, 6).bfloat16(), torch.randn(8, 6).bfloat16()
    with torch.inference_mode():
        assert project(x, weight).dtype == torch.bfloat16
