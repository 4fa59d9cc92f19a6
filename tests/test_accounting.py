"""The formulas by hand; tests/model compares them with the built models."""

from dataclasses import replace

import pytest

from chidu.accounting import count_params, forward_flops, law_flops, train_flops, train_memory
from chidu.config import ModelConfig

MODEL = ModelConfig(vocab_size=100, d_model=8, n_layer=3, n_head=4, n_kv_head=2, d_ff=20, context=10)


def test_parameters_by_part():
    count = count_params(MODEL)
    assert count.to_json() == {
        "embedding": 800,
        "position": 0,
        "attention": 3 * (64 + 2 * 32 + 64),
        "feed_forward": 3 * 3 * 160,
        "norm": 7 * 8,
        "head": 0,
        "total": 800 + 576 + 1440 + 56,
        "non_embedding": 576 + 1440 + 56,
    }


def test_parameters_of_an_encoder_decoder():
    """Both sides have a norm at the end and a table of relative positions; each block of the decoder looks twice."""
    both = replace(MODEL, kind="encoder_decoder", n_encoder_layer=2, position="relative", relative_buckets=8)
    attention = 64 + 2 * 32 + 64
    assert count_params(both).to_json() == {
        "embedding": 800,
        "position": 2 * 8 * 4,
        "attention": (2 + 3 + 3) * attention,
        "feed_forward": 5 * 3 * 160,
        "norm": (2 * 2 + 1 + 3 * 3 + 1) * 8,
        "head": 0,
        "total": 800 + 64 + 8 * attention + 2400 + 120,
        "non_embedding": 8 * attention + 2400 + 120,
    }
    weights = 8 * attention + 5 * 480 + 800
    assert forward_flops(both, 1) == 10 * (2 * weights + 4 * 8 * 10 * 8)


def test_flops():
    weights = 576 + 1440 + 800
    assert forward_flops(MODEL, 1) == 10 * (2 * weights + 4 * 3 * 10 * 8)
    assert forward_flops(MODEL, 5) == 5 * forward_flops(MODEL, 1)
    assert train_flops(MODEL, 50) == 3 * forward_flops(MODEL, 5)
    assert law_flops(2872, 50) == 6 * 2872 * 50


def test_chinchilla_flops_are_six_n_d():
    """For a model of the usual size both counts agree to some percent (2203.15556, table A4)."""
    model = ModelConfig(
        vocab_size=32_000, d_model=2048, n_layer=24, n_head=16, n_kv_head=16, d_ff=8192, context=2048, activation="gelu"
    )
    tokens = 2048 * 1000
    assert train_flops(model, tokens) == pytest.approx(law_flops(count_params(model).total, tokens), rel=0.2)


def test_memory_grows_with_weights_and_tokens():
    weights = train_memory(MODEL, 0)
    assert weights == 16 * 2872
    assert train_memory(MODEL, 20) - weights == 2 * (train_memory(MODEL, 10) - weights) > 0
