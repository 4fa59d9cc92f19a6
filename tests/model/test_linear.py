import pytest
import torch
from torch.nn import functional as F

from chidu.model.linear import Linear, project


@pytest.mark.parametrize("shape", [(1, 1, 6), (2, 1, 6), (8, 1, 6), (9, 1, 6), (3, 4, 6), (5, 6)])
@pytest.mark.parametrize("rows", [4, 6, 10])
@pytest.mark.parametrize("bias", [True, False])
def test_both_ways_are_the_same_product(shape: tuple[int, ...], rows: int, bias: bool):
    layer, x = Linear(6, rows, bias=bias), torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    expected = F.linear(x, layer.weight, layer.bias)
    assert torch.equal(layer(x), expected)  # with gradients, always the plain way
    with torch.inference_mode():
        found = layer(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)


def test_a_product_of_half_precision_keeps_its_type():
    x, weight = torch.randn(4, 1, 6).bfloat16(), torch.randn(8, 6).bfloat16()
    with torch.inference_mode():
        assert project(x, weight).dtype == torch.bfloat16
