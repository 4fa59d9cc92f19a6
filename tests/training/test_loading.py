"""Which model is meant by a place, and that it comes with what it needs."""

from pathlib import Path
from typing import Any

import pytest
import torch

from chidu.config import ModelConfig, TrainConfig
from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.model.pretrained import save_pretrained
from chidu.model.transformer import Transformer
from chidu.runs import Run
from chidu.store import write_json
from chidu.training.checkpoint import save_checkpoint
from chidu.training.loading import find_model, is_hub_name, load_any, tokenizer_file

SPECIALS = Specials(257, eot=256, blanks=4)
SIZES: dict[str, Any] = {"d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "d_ff": 32, "context": 16}


def finish(lab: Path, name: str, flops: float, status: str = "done") -> Path:
    """A run's folder that looks finished."""
    run = Run(run=name, loss=3.0, params=1e6, tokens=flops / 6e6, flops=flops, status=status)
    write_json(lab / "runs" / name / "run.json", run.to_json())
    return lab / "runs" / name


def test_a_lab_means_its_run_of_most_compute(tmp_path: Path) -> None:
    finish(tmp_path, "small", 1e12)
    large = finish(tmp_path, "large", 1e14)
    finish(tmp_path, "diverged", 1e15, "diverged")
    assert find_model(tmp_path) == large


def test_a_run_and_a_checkpoint_mean_themselves(tmp_path: Path) -> None:
    run = finish(tmp_path, "one", 1e12)
    checkpoint = run / "checkpoint-5"
    checkpoint.mkdir()
    assert find_model(run) == run
    assert find_model(checkpoint) == checkpoint
    with pytest.raises(InputError, match=r"tokenizer\.json is missing"):
        tokenizer_file(run)
    Tokenizer().save(run / "tokenizer.json")
    assert tokenizer_file(run) == tokenizer_file(checkpoint) == run / "tokenizer.json"


@pytest.mark.parametrize(
    ("name", "said"),
    [("empty", "holds no finished run"), ("nowhere", "does not exist"), ("weights", r"no config\.json that says")],
)
def test_nothing_finished_is_an_error(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=said):
        find_model(tmp_path / name)
    with pytest.raises(InputError, match=said):
        load_any(tmp_path / name)


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    run = finish(tmp_path, "one", 1e12)
    (run / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(CorruptError, match=r"run\.json is not valid JSON"):
        find_model(tmp_path)


def test_what_may_be_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    names = ["org/model-1.5B", "lab/misspelt", "nowhere", "./org/model", "/org/model", "a/b/c"]
    assert [is_hub_name(name) for name in names] == [True, False, False, False, False, False]


@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder_decoder"])
def test_a_model_comes_with_its_tokenizer_and_special_ids(tmp_path: Path, kind: str) -> None:
    position = "relative" if kind == "encoder_decoder" else "rotary"
    model = ModelConfig(kind=kind, vocab_size=SPECIALS.vocab_size, position=position, **SIZES)  # type: ignore[arg-type]
    config = TrainConfig(
        model=model, data="none", tokens=64, batch_tokens=16, learning_rate=0.1, hidden_learning_rate=0.1
    )
    made = Transformer(model, seed=3)
    folder = save_checkpoint(tmp_path / "run", 4, made, None, config)
    Tokenizer().save(tmp_path / "run" / "tokenizer.json")
    save_pretrained(made, Tokenizer(), tmp_path / "hub", specials=SPECIALS)
    for place in (folder, tmp_path / "run", tmp_path / "hub"):
        loaded = load_any(place)
        assert loaded.tokenizer == Tokenizer()
        assert (loaded.specials, loaded.stops, loaded.mask) == (SPECIALS, (256,), SPECIALS.mask)
        assert loaded.start == (256 if kind == "encoder_decoder" else None)
        assert loaded.model.config.kind == kind
        tokens = torch.arange(8)[None]
        given = {"source": tokens} if kind == "encoder_decoder" else {}
        with torch.no_grad():
            torch.testing.assert_close(loaded.model(tokens, **given), made(tokens, **given), atol=1e-5, rtol=0)
