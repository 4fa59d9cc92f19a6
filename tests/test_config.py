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
    later = {"schedule", "warmup_tokens", "average", "hidden_eps"}
    assert set(CONFIG.to_json()) | later == {field.name for field in fields(TrainConfig)}
    assert set(CONFIG.to_json()) & later == set()


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
        "schedule": "cosine",
        "warmup_tokens": 640,
        "average": 0.1,
        "hidden_eps": 1e-9,
        "model": replace(MODEL, tied=False),
    }
    for field in fields(TrainConfig):
        value = changes.get(field.name, getattr(CONFIG, field.name))
        changed = replace(CONFIG, **{field.name: value if field.name in changes else value / 2})
        assert changed.id != CONFIG.id, field.name


def test_what_came_later_is_in_the_json_only_where_it_says_something():
    """So that the configs of before keep their names."""
    later = set(MODEL.to_json()) ^ {field.name for field in fields(ModelConfig)}
    assert {"kind", "norm", "dropout", "qk_norm"} <= later
    encoder = replace(MODEL, kind="encoder", dropout=0.1)
    assert set(encoder.to_json()) - set(MODEL.to_json()) == {"kind", "dropout"}
    assert ModelConfig.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    assert replace(CONFIG, model=encoder).id != CONFIG.id


def test_layers_and_heads_of_each_kind():
    assert [replace(MODEL, kind=kind).encoder_layers for kind in ("decoder", "encoder", "encoder_decoder")] == [0, 2, 2]
    assert replace(MODEL, kind="encoder_decoder", n_encoder_layer=5).encoder_layers == 5
    assert (MODEL.head_dim, replace(MODEL, head_width=10).head_dim) == (8, 10)


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
        ({"kind": "both"}, "model.kind must be one of"),
        ({"norm": "batch"}, "model.norm must be one of"),
        ({"bias": True}, "model.bias must be one of"),
        ({"n_encoder_layer": 2}, "n_encoder_layer is of an encoder_decoder; a model of kind decoder has n_layer alone"),
        ({"dropout": 1.0}, r"model.dropout must lie in \[0, 1\), not 1.0"),
        ({"head_width": -1}, "model.head_width must not be negative, not -1"),
        ({"head_width": 7}, "a head must be an even number of channels wide, not 7"),
        ({"relative_buckets": 6}, "model.relative_buckets must be a multiple of 4, at least 8, not 6"),
        ({"relative_distance": 16}, "model.relative_distance 16 must exceed half of the 32 buckets"),
        ({"rope_low": 5.0}, "model.rope_low 5.0 must lie between 0 and rope_high 4.0"),
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
    with pytest.raises(InputError, match="TrainConfig has no field 'lr'; it has accumulate, average, batch_tokens"):
        TrainConfig.from_json({**value, "lr": 1})
    with pytest.raises(InputError, match="TrainConfig lacks data, tokens"):
        TrainConfig.from_json({name: value[name] for name in value if name not in ("tokens", "data", "beta1")})
    with pytest.raises(InputError, match="ModelConfig must be a JSON object, not list"):
        TrainConfig.from_json({**value, "model": []})
