from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chidu.model.transformer import Transformer
from chidu.training import train as room
from chidu.training.compiling import LONG, cache_folder, compile_blocks, wants_compiler
from chidu.training.gradients import can_write_out
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.train import train, train_step


def test_auto_compiles_long_runs_where_it_was_measured_to_pay(make_config):
    config = make_config()
    assert wants_compiler(config, "cpu", "on")
    assert not wants_compiler(config, "cuda:0", "auto")
    long = replace(config, tokens=10**14)
    assert wants_compiler(long, "cuda:0", "auto")
    assert not wants_compiler(long, "cuda:0", "off")
    assert not wants_compiler(long, "cpu", "auto")
    assert wants_compiler(replace(long, dtype="bfloat16"), "cpu", "auto")
    assert LONG["cpu"] < LONG["cuda"]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_compiled_blocks_give_the_same_steps(make_config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Traced, cut and put together again as for the compiler of kernels, whose own part takes half a minute."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    config = make_config(n_layer=1)
    models = [Transformer(config.model) for _ in range(2)]
    optimizers = [make_optimizer(model, config) for model in models]
    assert can_write_out(models[1]) is False  # grouped keys
    compile_blocks(models[1], backend="aot_eager")
    assert models[1].compiled
    for number in range(3):
        batch = torch.randint(300, (8, 33), generator=torch.Generator().manual_seed(number))
        for optimizer in optimizers:
            set_rate(optimizer, 0.1)
        losses = [float(train_step(config, *both, batch)[0]) for both in zip(models, optimizers, strict=True)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert cache_folder() == tmp_path / "chidu" / "inductor"


def test_a_machines_wish_reaches_the_blocks(make_config, dataset, quiet, tmp_path: Path, monkeypatch):
    asked: list[Transformer] = []
    monkeypatch.setattr(room, "compile_blocks", asked.append)
    train(make_config(), dataset, tmp_path / "off", quiet)
    assert asked == []
    train(make_config(), dataset, tmp_path / "on", replace(quiet, compile="on"))
    assert len(asked) == 1
