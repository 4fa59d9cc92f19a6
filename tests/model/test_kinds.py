"""The encoder and the encoder-decoder: what each token sees, counts, caches, packing, maps."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from chidu.accounting import count_params, forward_flops
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.model.watch import Watch, attention_maps

POSITIONS = ("rotary", "sinusoidal", "learned", "relative")
KINDS = ("decoder", "encoder", "encoder_decoder")
OTHERS: list[dict[str, Any]] = [
    {"norm": "layer", "bias": "all", "activation": "gelu_tanh"},
    {"post_norm": True, "embedding_norm": True, "activation": "relu", "token_types": 3},
    {"qk_norm": True, "head_width": 10, "bias": "qkv", "activation": "geglu"},
    {"head_transform": True, "head_bias": True, "norm": "layer", "tied": False},
]
VARIANTS: list[dict[str, Any]] = [
    {"kind": kind, "position": position, **other}
    for kind, (position, other) in itertools.product(KINDS, zip(POSITIONS, OTHERS, strict=True))
]
NAMES = [f"{variant['kind']}-{variant['position']}" for variant in VARIANTS]


def draw(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=torch.Generator().manual_seed(seed))


def beside(model: Transformer, batch: int, length: int = 7) -> dict[str, torch.Tensor]:
    return {"source": draw(batch, length, seed=9)} if model.config.kind == "encoder_decoder" else {}


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_parameters_are_counted_by_formula(make_config, variant):
    config = make_config(**variant, n_encoder_layer=3 if variant["kind"] == "encoder_decoder" else 0)
    count, sizes = count_params(config), {}
    for name, weight in Transformer(config).named_parameters():
        part = next(
            part
            for part, words in {
                "head": ("head",),
                "position": ("position", "relative"),
                "attention": (".qkv.", ".out.", ".q.", ".kv.", "q_norm", "k_norm"),
                "feed_forward": (".up.", ".down."),
                "norm": ("norm",),
                "embedding": ("embedding", "token_type"),
            }.items()
            if any(word in name for word in words)
        )
        sizes[part] = sizes.get(part, 0) + weight.numel()
    assert {part: size for part, size in count.to_json().items() if size and part in sizes} == sizes
    assert sum(sizes.values()) == count.total


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
@torch.no_grad()
def test_flops_are_those_that_torch_counts(make_config, variant):
    config = make_config(**variant)
    model = Transformer(config)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(draw(3, config.context), **beside(model, 3, config.context))
    assert counter.get_total_flops() == forward_flops(config, 3)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
@torch.no_grad()
def test_the_fused_path_is_the_plain_one(make_model, variant):
    model, tokens = make_model(**variant), draw(2, 12)
    segments = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3, [1] * 12])
    given = beside(model, 2)
    torch.testing.assert_close(model(tokens, True, **given), model(tokens, **given), atol=1e-5, rtol=1e-5)
    packed = {"segments": segments, **given}
    torch.testing.assert_close(model(tokens, True, **packed), model(tokens, **packed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
@torch.no_grad()
def test_packed_and_padded_texts_are_as_if_alone(make_model, variant):
    """Two texts in a row, padding before, between and behind, each with a source of its own."""
    model = make_model(**variant)
    first, second = draw(1, 5, seed=1), draw(1, 4, seed=2)
    row = torch.cat([draw(1, 2), first, second, draw(1, 3)], dim=1)
    segments = torch.tensor([[0] * 2 + [1] * 5 + [2] * 4 + [0] * 3])
    given: dict[str, torch.Tensor] = {}
    alone: list[dict[str, torch.Tensor]] = [{}, {}]
    if model.config.kind == "encoder_decoder":
        alone = [{"source": draw(1, 3, seed=3)}, {"source": draw(1, 6, seed=4)}]
        given["source"] = torch.cat([alone[0]["source"], alone[1]["source"], draw(1, 1)], dim=1)
        given["source_segments"] = torch.tensor([[1] * 3 + [2] * 6 + [0]])
    together = model(row, segments=segments, **given)
    assert together.isfinite().all()
    torch.testing.assert_close(together[:, 2:7], model(first, **alone[0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[:, 7:11], model(second, **alone[1]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_an_encoder_sees_both_sides_and_a_decoder_one(make_model, position: str):
    tokens = draw(1, 8)
    changed = tokens.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 61
    for kind in KINDS:
        model = make_model(kind=kind, position=position, n_kv_head=2)
        given = beside(model, 1)
        moved = (model(tokens, **given) - model(changed, **given)).abs().amax(dim=-1)[0] > 1e-6
        assert moved.tolist() == [kind == "encoder"] * 4 + [True] * 4
        if kind == "encoder_decoder":
            other = {"source": (given["source"] + 1) % 61}
            assert ((model(tokens, **given) - model(tokens, **other)).abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v["kind"] != "encoder"])
@torch.no_grad()
def test_steps_with_a_memory_give_the_logits_of_one_pass(make_model, variant):
    """Also with padding on the left, where each row has positions of its own."""
    model, tokens = make_model(**variant), draw(2, 15)
    given = beside(model, 2)
    padded = torch.tensor([[1] * 6, [0] * 3 + [1] * 3])
    for segments in (None, padded):
        whole = None if segments is None else torch.cat([segments, torch.ones(2, 9, dtype=torch.long)], dim=1)
        parts, memory = [], None
        for part in tokens.split([6, 1, 5, 3], dim=1):
            first = {"segments": segments, **given} if memory is None else {}
            logits, memory = model.step(part, memory, **first)
            parts.append(logits)
        expected = model(tokens, segments=whole, **given)
        real = slice(0, None) if segments is None else slice(3, None)
        joined = torch.cat(parts, dim=1)
        torch.testing.assert_close(joined[:, real], expected[:, real], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rows_of_a_memory_can_be_chosen(make_model):
    model = make_model(kind="encoder_decoder", position="relative")
    source, start = draw(3, 7), torch.tensor([[0, 5, 6], [0, 0, 7], [4, 5, 6]])
    segments = torch.tensor([[0, 1, 1], [0, 0, 1], [1, 1, 1]])
    lengths = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] * 7])
    _, memory = model.step(start, segments=segments, source=source, source_segments=lengths)
    everything, _ = model.step(torch.tensor([[1], [2], [3]]), memory)
    _, memory = model.step(start, segments=segments, source=source, source_segments=lengths)
    memory.select(torch.tensor([2, 1, 1]))
    chosen, _ = model.step(torch.tensor([[3], [2], [2]]), memory)
    torch.testing.assert_close(chosen, everything[[2, 1, 1]])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_maps_are_the_formula(make_model, kind: str):
    """A layer's weights, computed by hand from its own projections; every row sums to one."""
    model = make_model(kind=kind, position="sinusoidal")
    tokens, given = draw(2, 6), beside(model, 2)
    maps = attention_maps(model, tokens, **given)
    assert len(maps.own) == 2
    assert (len(maps.encoder), len(maps.cross)) == ((2, 2) if kind == "encoder_decoder" else (0, 0))
    for weights in (*maps.own, *maps.encoder, *maps.cross):
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    block = model.blocks[0]
    normed = block.attention_norm(model._embed(tokens, slice(0, 6), None, None))
    q, k, _ = block.attention.qkv(normed).split([24, 12, 12], dim=-1)
    scores = q[0, :, 18:24] @ k[0, :, 6:12].T / math.sqrt(6)
    if kind != "encoder":
        scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
    torch.testing.assert_close(maps.own[0][0, 3], scores.softmax(dim=-1), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_silenced_head_says_nothing(make_model):
    model, tokens = make_model(), draw(2, 6)
    heard = model(tokens)
    assert torch.equal(model(tokens, watch=Watch()), heard)
    quiet = model(tokens, watch=Watch(silenced=[("own", 1, 2)]))
    assert not torch.allclose(quiet, heard)
    model.blocks[1].attention.out.weight[:, 12:18] = 0
    torch.testing.assert_close(model(tokens), quiet)


def test_dropout_is_for_training_alone(make_model):
    model, tokens = make_model(dropout=0.5), draw(2, 6)
    with torch.no_grad():
        assert torch.equal(model(tokens), make_model()(tokens))
        model.train()
        assert not torch.allclose(model(tokens), model(tokens))


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_every_weight_gets_a_gradient(make_model, variant):
    model, tokens = make_model(**variant), draw(2, 6)
    model(tokens, **beside(model, 2)).square().mean().backward()
    silent = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


def test_what_a_kind_cannot_do(make_model):
    decoder, encoder, both = (make_model(kind=kind) for kind in KINDS)
    tokens = draw(1, 4)
    with pytest.raises(InputError, match="there is no source beside it"):
        decoder(tokens, source=tokens)
    with pytest.raises(InputError, match="needs a source"):
        both(tokens)
    with pytest.raises(InputError, match="continues no text"):
        encoder.step(tokens)
    with pytest.raises(InputError, match="has no encoder"):
        decoder.encode(tokens)
    with pytest.raises(InputError, match="17 tokens do not fit"):
        both(tokens, source=draw(1, 17))
