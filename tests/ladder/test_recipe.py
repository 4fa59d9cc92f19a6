import math

import numpy as np
import pytest

from chidu.accounting import count_params
from chidu.ladder.recipe import Recipe

RECIPE = Recipe()


def test_widths_rise_and_so_do_their_parameters():
    widths = RECIPE.widths()
    assert widths[:5] == [16, 24, 32, 48, 64]
    assert widths[-1] == 16_384
    assert (np.diff(widths) > 0).all()
    assert all(width % 16 == 0 for width in widths if width != 24)
    params = np.array([RECIPE.params(width, 1024) for width in widths], dtype=float)
    steps = params[1:] / params[:-1]
    assert steps.min() > 1.05
    assert steps.max() < 2.5
    assert params[-1] > 1e11


@pytest.mark.parametrize("width", RECIPE.widths())
def test_the_shape_of_every_width(width: int):
    """Steps 1 to 4."""
    model = RECIPE.model(width, 1024)
    assert model.n_layer == max(2, math.floor(width / 32 + 0.5))
    assert model.head_dim == (12 if width == 24 else 16)
    assert model.n_kv_head == model.n_head
    assert 0 <= model.d_ff - 8 * width / 3 < 16
    assert model.d_ff % 16 == 0
    assert model.logit_scale == 32 / width
    assert (model.tied, model.position, model.activation, model.context) == (True, "rotary", "swiglu", 256)


def test_batch_from_tokens():
    """Step 5: the published power of the tokens, in whole micro-batches of at most 8 windows."""
    for tokens in np.geomspace(1e4, 1e10, 40):
        config = RECIPE.config(64, tokens, 1024, "x")
        wanted = 0.58 * tokens**0.571
        assert config.batch_tokens >= 256
        assert abs(config.batch_tokens - wanted) <= 256 * (0.5 + config.accumulate)
        assert config.batch_tokens / config.accumulate / 256 <= 8
        assert 0 <= config.tokens - tokens < config.batch_tokens
        assert config.tokens == config.steps * config.batch_tokens


def test_rates_transfer_over_widths():
    """Steps 6 and 7: the matrices' rate falls as 1/width, the embedding's stays; neither depends on the tokens."""
    for width in (16, 32, 64, 512):
        for tokens in (1e5, 1e8):
            config = RECIPE.config(width, tokens, 1024, "x")
            assert config.hidden_learning_rate * width == pytest.approx(RECIPE.hidden_rate * 32)
            assert config.learning_rate == RECIPE.embedding_rate


def test_what_a_ladder_has_in_common():
    """Step 8, and the seed, which is of one run."""
    one, other = RECIPE.config(16, 1e5, 1024, "x"), Recipe(dtype="bfloat16").config(256, 1e7, 1024, "x", seed=3)
    for config in (one, other):
        assert (config.warmup_fraction, config.decay_fraction, config.weight_decay) == (0.05, 0.3, 0.1)
    assert (one.seed, other.seed, one.dtype, other.dtype) == (0, 3, "float32", "bfloat16")


def test_the_nearest_width():
    for width in RECIPE.widths()[:12]:
        params = RECIPE.params(width, 1024)
        assert params == count_params(RECIPE.model(width, 1024)).total
        assert RECIPE.nearest_width(params * 1.04, 1024) == width == RECIPE.nearest_width(params / 1.04, 1024)


def test_json_comes_back():
    recipe = Recipe(name="other", head_dim=32)
    assert Recipe(**recipe.to_json()) == recipe
