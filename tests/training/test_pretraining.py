"""The encoder and the encoder-decoder learn from the same data set as the decoder, by the same loop."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.training.loading import load_any
from chidu.training.pretraining import held_out_loss, mean_loss, special_ids
from chidu.training.speed import measure_seconds_per_token
from chidu.training.train import train

KINDS = ["encoder", "encoder_decoder"]


@pytest.fixture
def config_of(make_config, dataset):
    specials = Specials(dataset.vocab_size, dataset.tokenizer.eot)

    def make(kind: str, **changes):
        return make_config(kind=kind, position="relative", vocab_size=specials.vocab_size, **changes)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_and_is_loaded_with_its_special_ids(config_of, dataset, quiet, tmp_path: Path, kind: str):
    config = config_of(kind, tokens=40 * 256, dropout=0.1)
    run = train(config, dataset, tmp_path / "run", quiet)
    assert run.status == "done"
    assert run.loss is not None
    assert run.loss < 0.85 * math.log(config.model.vocab_size)
    assert run.bits_per_byte is not None
    assert 0 < run.bits_per_byte < 8
    loaded = load_any(tmp_path / "run")
    assert loaded.specials == Specials(dataset.vocab_size, dataset.tokenizer.eot)
    windows = dataset.windows("passages", 32)
    again = held_out_loss(loaded.model, windows, dataset.token_bytes, loaded.specials)
    assert again.loss == pytest.approx(run.loss, rel=1e-4)
    untrained = held_out_loss(type(loaded.model)(config.model).eval(), windows, dataset.token_bytes, loaded.specials)
    assert untrained.loss > again.loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_to_the_same_numbers(config_of, dataset, quiet, tmp_path: Path, monkeypatch, kind: str):
    config = config_of(kind)
    whole = train(config, dataset, tmp_path / "whole", quiet)
    often = replace(quiet, checkpoint_seconds=0.0)

    def die(*args, **kwargs):
        if args[5] == 7:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    from chidu.training import train as module

    step = module.train_step
    with monkeypatch.context() as patch:
        patch.setattr(module, "train_step", die)
        with pytest.raises(KeyboardInterrupt):
            train(config, dataset, tmp_path / "cut", often)
    assert train(config, dataset, tmp_path / "cut", often).loss == whole.loss


def test_what_is_hidden_depends_on_the_step(config_of, dataset):
    from chidu.model.transformer import Transformer

    model = Transformer(config_of("encoder").model).eval()
    specials = special_ids(model.config, dataset.vocab_size, dataset.tokenizer.eot)
    windows = torch.from_numpy(dataset.windows("passages", 32)[:4])
    first, again, other = (float(mean_loss(model, windows, specials, step).detach()) for step in (0, 0, 1))
    assert first == again != other


def test_a_vocabulary_without_room_for_special_ids(config_of, make_config, dataset, quiet, tmp_path: Path):
    config = make_config(kind="encoder")
    with pytest.raises(InputError, match=f"needs special ids beside it: {dataset.vocab_size + 35} holds them"):
        train(config, dataset, tmp_path, quiet)
    with pytest.raises(InputError, match="the model's vocabulary is 301, the data set's 300"):
        special_ids(make_config(vocab_size=301).model, 300, 256)


def test_its_speed_can_be_measured(config_of, quiet):
    assert measure_seconds_per_token(config_of("encoder_decoder"), quiet, seconds=0.05) > 0


def test_every_row_of_the_held_out_text_has_as_many_gaps(config_of, dataset):
    from chidu.model.transformer import Transformer

    model = Transformer(config_of("encoder_decoder").model).eval()
    specials = special_ids(model.config, dataset.vocab_size, dataset.tokenizer.eot)
    windows = np.asarray(dataset.windows("passages", 32))
    found = held_out_loss(model, windows, dataset.token_bytes, specials, batch_tokens=64)
    assert found.tokens == len(windows) * (5 + 2 + 1)  # 15 % of 32, two blanks, the end
    assert found.loss_se > 0
