import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest

from chidu.config import ModelConfig, TrainConfig
from chidu.errors import InputError

MODEL = ModelConfig(vocab_size=100, d_model=32, n_layer=2, n_head=4, n_kv_head=2, d_ff=96, context=16)
CONFIG = TrainConfig(
    model=MODEL, data="abc", tokens=6400, batch_tokens=64, learning_rate=0.01, hidden_learning_rate=0.002, accumulate=2
)


def test_json_comes_back():
    assert TrainConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    assert set(CONFIG.to_json()) == {field.name for field in fields(TrainConfig)}


def test_the_name_of_a_run_is_for_ever():
    """A changed default or a renamed field would make every lab train again."""
    assert CONFIG.id == "4bbdcdbd5396"


def test_every_field_is_part_of_the_name():
    changes: dict[str, Any] = {
        "data": "abd",
        "tokens": 6464,
        "batch_tokens": 128,
        "accumulate": 1,
        "dtype": "bfloat16",
        "seed": 1,
        "eval_every": 5,
        "model": replace(MODEL, tied=False),
    }
    for field in fields(TrainConfig):
        value = changes.get(field.name, getattr(CONFIG, field.name))
        changed = replace(CONFIG, **{field.name: value if field.name in changes else value / 2})
        assert changed.id != CONFIG.id, field.name


def test_steps_are_whole_batches():
    assert CONFIG.steps == 100
    assert replace(CONFIG, tokens=6463).steps == 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 0}, "model.d_model must be a whole number >= 1, not 0"),
        ({"n_layer": 1.5}, "n_layer must be a whole number, not 1.5"),
        ({"n_head": 3}, "d_model 32 is not divisible by n_head 3"),
        ({"n_kv_head": 3}, "n_head 4 is not divisible by n_kv_head 3"),
        ({"d_model": 20}, "a head must be an even number of channels wide, not 5"),
        ({"position": "none"}, "model.position must be one of"),
        ({"activation": "sine"}, "model.activation must be one of"),
        ({"tied": "no"}, "tied must be true or false, not 'no'"),
        ({"init_std": 0}, "model.init_std must be positive, not 0"),
        ({"logit_scale": math.nan}, "logit_scale must be a finite number, not nan"),
    ],
)
def test_a_model_that_cannot_be(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        replace(MODEL, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 0}, "tokens must be a whole number >= 1, not 0"),
        ({"tokens": 6e3}, "tokens must be a whole number, not 6000.0"),
        ({"tokens": 63}, "tokens 63 is less than one batch of 64"),
        ({"batch_tokens": 48}, "batch_tokens 48 is not a multiple of context x accumulate = 32"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"learning_rate": "fast"}, "learning_rate must be a finite number, not 'fast'"),
        ({"hidden_learning_rate": math.inf}, "hidden_learning_rate must be a finite number, not inf"),
        ({"beta2": 1.0}, r"beta2 must lie in \[0, 1\)"),
        ({"warmup_fraction": 0.5, "decay_fraction": 0.6}, "warm-up and decay overlap"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
        ({"eval_every": -1}, "eval_every must not be negative"),
        ({"seed": None}, "seed must be a whole number, not None"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_a_training_that_cannot_be(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **changes)


def test_json_with_other_fields():
    value = CONFIG.to_json()
    with pytest.raises(InputError, match="TrainConfig has no field 'lr'; it has accumulate, batch_tokens"):
        TrainConfig.from_json({**value, "lr": 1})
    with pytest.raises(InputError, match="TrainConfig lacks data, tokens"):
        TrainConfig.from_json({name: value[name] for name in value if name not in ("tokens", "data", "beta1")})
    with pytest.raises(InputError, match="ModelConfig must be a JSON object, not list"):
        TrainConfig.from_json({**value, "model": []})
