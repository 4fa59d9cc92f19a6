import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from chidu.accounting import count_params, forward_flops, train_flops, train_memory
from chidu.errors import InputError
from chidu.model.transformer import Transformer, next_token_losses

VARIANTS = [
    {"position": position, "activation": activation, "tied": tied, "n_kv_head": groups}
    for position, activation, tied, groups in itertools.product(
        ("rotary", "sinusoidal", "learned"), ("swiglu", "gelu"), (True, False), (1, 2, 4)
    )
]
SOME = VARIANTS[::5]


def draw_tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
def test_parameters_are_counted_by_formula(make_config, variant):
    model, count = Transformer(make_config(**variant)), count_params(make_config(**variant))
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}

    def of(*parts: str) -> int:
        return sum(size for name, size in sizes.items() if any(part in name for part in parts))

    assert sum(sizes.values()) == count.total
    assert of("embedding") == count.embedding
    assert sizes.get("position", 0) == count.position
    assert of("attention.") == count.attention
    assert of("feed_forward.") == count.feed_forward
    assert of("norm") == count.norm
    assert of("head") == count.head
    assert of("blocks", "norm") == count.non_embedding


@pytest.mark.parametrize("variant", SOME, ids=lambda v: "-".join(map(str, v.values())))
@pytest.mark.parametrize("fused", [False, True])
def test_flops_are_those_that_torch_counts(make_config, variant, fused: bool):
    config = make_config(**variant)
    model, tokens = Transformer(config), draw_tokens(3, config.context)
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            loss = model(tokens, fused=fused).sum()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    assert forward.get_total_flops() == forward_flops(config, 3)
    both = forward.get_total_flops() + backward.get_total_flops()
    assert both == train_flops(config, 3 * config.context)


def test_memory_estimate_holds_what_autograd_keeps(make_config):
    """Weights, gradients and moments, and every tensor kept for the backward pass; not many times as much."""
    config = make_config(vocab_size=512, d_model=64, d_ff=176, context=128, n_layer=4)
    model, tokens, kept = Transformer(config), draw_tokens(4, config.context + 1), {}
    weights = {weight.data_ptr() for weight in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = next_token_losses(model(tokens[:, :-1]), tokens[:, 1:]).mean()
    measured = sum(kept.values()) + 16 * count_params(config).total
    loss.backward()
    assert measured <= train_memory(config, 4 * config.context) <= 3 * measured


@pytest.mark.parametrize("variant", SOME, ids=lambda v: "-".join(map(str, v.values())))
@torch.no_grad()
def test_the_fused_path_is_the_plain_one(make_model, variant):
    model, tokens = make_model(**variant), draw_tokens(2, 16)
    torch.testing.assert_close(model(tokens, fused=True), model(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@given(place=st.integers(0, 15), other=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_a_token_changes_no_earlier_logit(make_model, fused: bool, place: int, other: int, seed: int):
    model, tokens = make_model(), draw_tokens(1, 16, seed)
    changed = tokens.clone()
    changed[0, place] = (changed[0, place] + other) % 61
    before, after = model(tokens, fused), model(changed, fused)
    assert torch.equal(before[:, :place], after[:, :place])
    assert not torch.allclose(before[:, place:], after[:, place:])


@torch.no_grad()
def test_steps_with_a_cache_give_the_logits_of_one_pass(make_model):
    for variant in SOME:
        model, tokens = make_model(**variant), draw_tokens(2, 16)
        parts, caches = [], None
        for part in tokens.split([5, 1, 7, 3], dim=1):
            logits, caches = model.step(part, caches, fused=True)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), atol=1e-5, rtol=1e-5)
        with pytest.raises(InputError, match="17 tokens do not fit the model's context of 16"):
            model.step(tokens[:, :1], caches)


@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_at_the_start_is_that_of_a_uniform_guess(make_config, tied: bool):
    config = make_config(vocab_size=512, logit_scale=0.5, tied=tied)
    tokens = torch.randint(512, (8, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = float(next_token_losses(Transformer(config)(tokens[:, :-1]), tokens[:, 1:]).mean())
    assert loss == pytest.approx(math.log(512), abs=0.01 if tied else 0.2)


def test_weights_are_drawn_from_the_seed_alone(make_config):
    torch.manual_seed(1)
    first = Transformer(make_config(), seed=3).state_dict()
    torch.manual_seed(2)
    again, other = Transformer(make_config(), seed=3).state_dict(), Transformer(make_config(), seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
    assert first["blocks.1.attention.out.weight"].abs().max() == 0 == first["blocks.0.feed_forward.down.weight"].max()
    assert float(first["blocks.0.attention.qkv.weight"].std()) == pytest.approx(1 / math.sqrt(24), rel=0.05)


def test_a_fixed_start_is_gpt2s(make_config):
    config = make_config(d_model=64, n_head=4, d_ff=256, n_layer=2, start="fixed", init_std=0.03)
    state = Transformer(config, seed=3).state_dict()
    for name in ("embedding.weight", "blocks.0.attention.qkv.weight", "blocks.1.feed_forward.up.weight"):
        assert float(state[name].std()) == pytest.approx(0.03, rel=0.1)
    for name in ("blocks.0.attention.out.weight", "blocks.1.feed_forward.down.weight"):
        assert float(state[name].std()) == pytest.approx(0.03 / math.sqrt(4), rel=0.1)


@torch.no_grad()
def test_scales_multiply_blocks_and_logits(make_model):
    """At a scale of almost nothing the blocks vanish: the logits are the head's of the normed embedding."""
    model, tokens = make_model(residual_scale=1e-12, position="rotary"), draw_tokens(1, 6)
    embedded = F.rms_norm(model.embedding(tokens), (24,), model.norm.weight, 1e-5)
    torch.testing.assert_close(model(tokens), 0.6 * embedded @ model.embedding.weight.T, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_losses_of_next_tokens_by_hand():
    logits = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.bfloat16)
    targets = torch.tensor([[4, 0, 2]])
    losses = next_token_losses(logits, targets)
    assert losses.dtype == torch.float32
    for place in range(3):
        row = logits[0, place].double().exp()
        assert float(losses[0, place]) == pytest.approx(-math.log(row[targets[0, place]] / row.sum()), abs=1e-5)
