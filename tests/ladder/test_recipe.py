import math
from dataclasses import replace

import numpy as np
import pytest

from chidu.accounting import count_params
from chidu.errors import InputError
from chidu.ladder.recipe import Recipe, recipe_for

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
    assert (model.context, model.start) == (RECIPE.context, "fan_in")
    assert model.residual_scale * model.n_layer == pytest.approx(RECIPE.base_layers)


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
    """Steps 6 to 9: the matrices' rate falls as 1/width, the embedding's stays; neither depends on the tokens."""
    for width in (16, 32, 64, 512):
        for tokens in (1e5, 1e8):
            config = RECIPE.config(width, tokens, 1024, "x")
            assert config.hidden_learning_rate * width == pytest.approx(RECIPE.hidden_rate * RECIPE.base_width)
            assert config.learning_rate == RECIPE.embedding_rate
            assert config.weight_decay * config.hidden_learning_rate == pytest.approx(
                RECIPE.weight_decay * RECIPE.hidden_rate
            )
            assert config.eps * width == pytest.approx(RECIPE.base_eps * RECIPE.base_width)


def test_rates_transfer_over_depths():
    """Blocks add less by depth, epsilon follows their gradients, and the rates stay (2505.01618, table 1)."""
    shallow, deep = (RECIPE.config(32, 1e6, 1024, "x", layers=layers) for layers in (3, 12))
    assert (shallow.model.residual_scale, deep.model.residual_scale) == (1.0, 0.25)
    assert (deep.hidden_learning_rate, deep.learning_rate) == (shallow.hidden_learning_rate, shallow.learning_rate)
    assert (deep.weight_decay, deep.eps) == (shallow.weight_decay, shallow.eps)
    assert shallow.hidden_eps == 0
    assert deep.hidden_eps == pytest.approx(shallow.eps / 4)
    assert RECIPE.model(32, 1024, layers=12) == deep.model


def test_the_standard_parametrisation_knows_no_size():
    recipe = recipe_for("cpu", "standard")
    small, large = (recipe.config(width, 1e6, 1024, "x", layers=layers) for width, layers in ((16, 2), (256, 8)))
    for config in (small, large):
        assert config.learning_rate == config.hidden_learning_rate == recipe.standard_rate
        assert (config.weight_decay, config.eps, config.hidden_eps) == (recipe.weight_decay, recipe.base_eps, 0)
        assert (config.model.logit_scale, config.model.residual_scale, config.model.start) == (1, 1, "fixed")
    assert recipe.name == f"{Recipe().name}-standard"
    with pytest.raises(InputError, match="the parametrisation is mup or standard, not 'other'"):
        Recipe(parametrisation="other")  # type: ignore[arg-type]


def test_a_plan_of_another_version_is_refused():
    with pytest.raises(InputError, match="made by the recipe chidu-1"):
        Recipe.from_json({"name": "chidu-1", "context": 32, "head_dim": 16, "hidden_rate": 0.0034})


def test_sizes_can_be_compared_at_equal_tokens():
    """Without a reference, batch and warm-up follow from the tokens alone."""
    equal = replace(RECIPE, reference_ratio=0.0)
    narrow, wide = (equal.config(width, 1e6, 1024, "x") for width in (16, 256))
    wanted = RECIPE.context * round(RECIPE.batch_factor * 1e6**RECIPE.batch_power / RECIPE.context)
    for config in (narrow, wide):
        assert (config.batch_tokens, config.warmup_tokens) == (wanted, 0)
    assert (narrow.steps, narrow.warmup_steps) == (wide.steps, wide.warmup_steps)
    assert RECIPE.config(16, 1e6, 1024, "x").batch_tokens < RECIPE.config(256, 1e6, 1024, "x").batch_tokens


def test_multiples_of_the_rates():
    one, two = RECIPE.config(64, 1e6, 1024, "x"), RECIPE.scaled(2).config(64, 1e6, 1024, "x")
    assert (two.learning_rate, two.hidden_learning_rate) == (2 * one.learning_rate, 2 * one.hidden_learning_rate)
    assert replace(two, learning_rate=one.learning_rate, hidden_learning_rate=one.hidden_learning_rate) == one


def test_what_a_ladder_has_in_common():
    """Step 10, and the seed, which is of one run."""
    one, other = RECIPE.config(16, 1e5, 1024, "x"), Recipe(dtype="bfloat16").config(256, 1e7, 1024, "x", seed=3)
    for config in (one, other):
        assert config.decay_fraction == RECIPE.decay_fraction
    assert (one.seed, other.seed, one.dtype, other.dtype) == (0, 3, "float32", "bfloat16")


def test_the_nearest_width():
    for width in RECIPE.widths()[:12]:
        params = RECIPE.params(width, 1024)
        assert params == count_params(RECIPE.model(width, 1024)).total
        assert RECIPE.nearest_width(params * 1.02, 1024) == width == RECIPE.nearest_width(params / 1.02, 1024)


def test_json_comes_back():
    recipe = Recipe(name="other", head_dim=32)
    assert Recipe.from_json(recipe.to_json()) == recipe
