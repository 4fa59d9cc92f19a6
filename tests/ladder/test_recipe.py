import math

import numpy as np
import pytest

from chidu.accounting import count_params
from chidu.ladder.recipe import Recipe

RECIPE = Recipe()


def test_widths_rise_and_so_do_their_parameters():
    widths = RECIPE.widths()
    assert (widths[0], widths[-1]) == (16, 16_384)
    assert (np.diff(widths) > 0).all()
    assert all(width % 4 == 0 for width in widths)
    params = np.array([RECIPE.params(width, 1024) for width in widths], dtype=float)
    steps = params[1:] / params[:-1]
    assert steps.min() > 1.05
    assert steps.max() < 2.5
    assert params[-1] > 1e11


@pytest.mark.parametrize("width", RECIPE.widths())
def test_the_shape_of_every_width(width: int):
    """Steps 1 to 4."""
    model = RECIPE.model(width, 1024)
    assert model.n_layer == max(RECIPE.least_layers, math.floor(width / RECIPE.aspect + 0.5))
    assert abs(math.log2(model.head_dim / RECIPE.head_dim)) <= 0.5
    assert model.head_dim == RECIPE.head_dim or width % RECIPE.head_dim
    assert model.n_kv_head == model.n_head
    assert 0 <= model.d_ff - 8 * width / 3 < 8
    assert model.d_ff % 8 == 0
    assert model.logit_scale == RECIPE.base_width / width
    assert (model.tied, model.position, model.activation) == (True, "rotary", "swiglu")
    assert (model.context, model.residual_scale) == (RECIPE.context, 1)


@pytest.mark.parametrize("width", [16, 64, 512, 4096])
def test_batch_from_the_reference_tokens(width: int):
    """Step 5: the published power of the width's reference tokens, in whole micro-batches of few windows."""
    wanted = RECIPE.batch_factor * (RECIPE.reference_ratio * RECIPE.params(width, 1024)) ** RECIPE.batch_power
    for tokens in np.geomspace(1e4, 1e10, 20):
        config = RECIPE.config(width, tokens, 1024, "x")
        assert abs(config.batch_tokens - wanted) <= RECIPE.context * (0.5 + config.accumulate)
        assert config.batch_tokens / config.accumulate <= RECIPE.micro_tokens
        assert 0 <= config.tokens - tokens < config.batch_tokens
        assert config.tokens == config.steps * config.batch_tokens


def test_all_budgets_of_a_width_share_a_trunk():
    """Steps 5 and 8: but for runs too short for the warm-up."""
    runs = [RECIPE.config(32, ratio * RECIPE.params(32, 1024), 1024, "x") for ratio in (3.5, 5, 20, 80)]
    assert len({run.trunk for run in runs}) == 1
    assert runs[0].warmup_steps == round(RECIPE.warmup_fraction * RECIPE.reference_ratio * 70624 / runs[0].batch_tokens)
    assert RECIPE.config(32, 3e4, 1024, "x").warmup_tokens == 0
    assert RECIPE.config(40, 1e6, 1024, "x").trunk != RECIPE.config(32, 1e6, 1024, "x").trunk


def test_rates_transfer_over_widths():
    """Steps 6 and 7: the matrices' rate falls as 1/width, the embedding's stays; neither depends on the tokens."""
    for width in (16, 32, 64, 512):
        for tokens in (1e5, 1e8):
            config = RECIPE.config(width, tokens, 1024, "x")
            assert config.hidden_learning_rate * width == pytest.approx(RECIPE.hidden_rate * RECIPE.base_width)
            assert config.learning_rate == RECIPE.embedding_rate


def test_what_a_ladder_has_in_common():
    """Step 8, and the seed, which is of one run."""
    one, other = RECIPE.config(16, 1e5, 1024, "x"), Recipe(dtype="bfloat16").config(256, 1e7, 1024, "x", seed=3)
    for config in (one, other):
        assert config.decay_fraction == RECIPE.decay_fraction
        assert config.weight_decay == RECIPE.weight_decay
    assert (one.seed, other.seed, one.dtype, other.dtype) == (0, 3, "float32", "bfloat16")


def test_the_nearest_width():
    for width in RECIPE.widths()[:12]:
        params = RECIPE.params(width, 1024)
        assert params == count_params(RECIPE.model(width, 1024)).total
        assert RECIPE.nearest_width(params * 1.02, 1024) == width == RECIPE.nearest_width(params / 1.02, 1024)


def test_json_comes_back():
    recipe = Recipe(name="other", head_dim=32)
    assert Recipe(**recipe.to_json()) == recipe
