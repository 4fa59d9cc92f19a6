import math

import pytest
import torch
from torch.nn import functional as F

from chidu.model.attention import Attention, Sight, attend, attention_weights
from chidu.model.masks import causal_mask


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_formula_by_hand():
    q, k, v = draw(1, 1, 2, 4, seed=1), draw(1, 1, 2, 4, seed=2), draw(1, 1, 2, 4, seed=3)
    scores = (q[0, 0, 1] * k[0, 0]).sum(dim=-1) / math.sqrt(4)
    weights = scores.exp() / scores.exp().sum()
    out = attend(q, k, v, causal_mask(2, 2, torch.device("cpu")))
    torch.testing.assert_close(out[0, 0, 0], v[0, 0, 0])
    torch.testing.assert_close(out[0, 0, 1], weights @ v[0, 0])


def test_it_agrees_with_torch():
    q, k, v = draw(2, 3, 9, 8, seed=1), draw(2, 3, 9, 8, seed=2), draw(2, 3, 9, 8, seed=3)
    ours = attend(q, k, v, causal_mask(9, 9, torch.device("cpu")))
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (5, 5), (2, 6), (1, 6)])
def test_the_last_query_sees_every_key_and_each_one_fewer(queries: int, keys: int):
    weights = attention_weights(
        draw(1, 1, queries, 4), draw(1, 1, keys, 4), causal_mask(queries, keys, torch.device("cpu"))
    )
    assert (weights[0, 0] > 0).sum(dim=-1).tolist() == list(range(keys - queries + 1, keys + 1))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 1, queries))


@torch.no_grad()
def test_grouped_keys_are_repeated_heads(make_config):
    """Four query heads over two key heads, against four key heads of which pairs have the same weights."""
    grouped, full = Attention(make_config(n_kv_head=2)), Attention(make_config(n_kv_head=4))
    channels = grouped.channels
    q, k, v = grouped.qkv.weight.split([4 * channels, 2 * channels, 2 * channels])
    twice = [part.view(2, channels, -1).repeat_interleave(2, dim=0).flatten(0, 1) for part in (k, v)]
    full.qkv.weight.copy_(torch.cat([q, *twice]))
    full.out.weight.copy_(grouped.out.weight)
    x, mask = draw(2, 5, 24), causal_mask(5, 5, torch.device("cpu"))
    angles = draw(5, channels, seed=1).cos(), draw(5, channels, seed=1).sin()
    for sight in (Sight(mask), Sight(causal=True, fused=True)):
        torch.testing.assert_close(grouped(x, sight, *angles), full(x, sight, *angles), atol=1e-6, rtol=1e-5)
