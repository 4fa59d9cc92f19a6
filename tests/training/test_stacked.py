"""Models in a stack against their lone twins."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.runs import Run
from chidu.store import read_json
from chidu.training import stacked as room
from chidu.training import train as one
from chidu.training.checkpoint import load_model
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.stacked import Stack, train_stacked
from chidu.training.train import Machine, train, train_step


@pytest.fixture(scope="module")
def configs(make_config):
    """Other seeds and other rates; a large eps, since a small one blows rounding up."""
    base = make_config(tokens=24 * 256, eps=1e-3, eval_every=9, average=0.2)
    return [base, replace(base, seed=1), replace(base, hidden_learning_rate=0.03, clip_norm=0.5, weight_decay=0.0)]


def test_each_step_is_that_of_the_lone_twin(configs):
    alone, together = ([Transformer(config.model, config.seed) for config in configs] for _ in range(2))
    lone, joint = ([make_optimizer(m, c) for m, c in zip(ms, configs, strict=True)] for ms in (alone, together))
    stack = Stack(together, joint)
    for number in range(4):  # from here on the largest of the differences doubles with every step
        generator = torch.Generator().manual_seed(number)
        batch = torch.randint(configs[0].model.vocab_size, (8, 33), generator=generator)
        for optimizer in (*lone, *joint):
            set_rate(optimizer, 1.0)
        found, norms = stack.step(configs, batch)
        for i, config in enumerate(configs):
            loss, norm = train_step(config, alone[i], lone[i], batch)
            assert found[i].item() == pytest.approx(loss.item(), rel=2e-6)
            assert norms[i].item() == pytest.approx(norm.item(), rel=2e-5)
            for one_weight, other in zip(alone[i].parameters(), together[i].parameters(), strict=True):
                torch.testing.assert_close(other, one_weight, atol=1e-5, rtol=0)


def records(out: Path) -> tuple[Run, list[dict]]:
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return Run.from_json(read_json(out / "run.json")), log


class Killed(BaseException):
    """Stands for a kill."""


def test_folders_are_those_that_train_writes(configs, dataset, quiet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also after a kill in the middle, with the checkpoints of two of three models written."""
    outs = [tmp_path / f"joint-{i}" for i in range(3)]
    real, calls = room.save_checkpoint, []

    def dying(*args):
        calls.append(args[0])
        if len(calls) == 3:
            raise Killed
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(room, "save_checkpoint", dying)
        with pytest.raises(Killed):
            train_stacked(configs, dataset, outs, replace(quiet, checkpoint_seconds=0.0))
    runs = train_stacked(configs, dataset, outs, quiet)
    assert train_stacked(configs, dataset, outs, quiet) == runs
    for i, config in enumerate(configs):
        expected = train(config, dataset, tmp_path / f"lone-{i}", quiet)
        assert runs[i].loss == pytest.approx(expected.loss, rel=1e-5)
        assert replace(runs[i], loss=expected.loss).run == expected.run == config.id
        logs = [records(out)[1] for out in (outs[i], tmp_path / f"lone-{i}")]
        assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
        weights = [load_model(out)[0].state_dict() for out in (outs[i], tmp_path / f"lone-{i}")]
        for name, expected_weight in weights[1].items():
            torch.testing.assert_close(weights[0][name], expected_weight, atol=1e-5, rtol=0)
        names = [{path.name for path in out.iterdir()} for out in (outs[i], tmp_path / f"lone-{i}")]
        assert names[0] == names[1]


def test_one_that_diverges_leaves_the_others_alone(configs, dataset, quiet, tmp_path: Path):
    wild = replace(configs[0], hidden_learning_rate=1e4, learning_rate=1e4, clip_norm=1e9, tokens=40 * 256)
    calm = replace(configs[0], tokens=40 * 256)
    runs = train_stacked([calm, wild], dataset, [tmp_path / "calm", tmp_path / "wild"], quiet)
    assert [run.status for run in runs] == ["done", "diverged"]
    assert read_json(tmp_path / "wild" / "diverged.json")["reason"].startswith("the loss was")
    assert runs[0].loss == pytest.approx(train(calm, dataset, tmp_path / "lone", quiet).loss, rel=1e-5)


def test_what_cannot_be_stacked_is_refused(configs, make_config, dataset, tmp_path: Path):
    for other in (replace(configs[0], tokens=256), make_config(d_ff=48)):
        with pytest.raises(InputError, match="stacked runs may differ in seed"):
            train_stacked([configs[0], other], dataset, [tmp_path / "a", tmp_path / "b"], Machine())
    with pytest.raises(InputError, match="only decoders without dropout"):
        train_stacked([make_config(dropout=0.1)], dataset, [tmp_path / "a"], one.Machine())
