"""Runs that start from a shorter one's branch point, against the same runs alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chidu.config import TrainConfig
from chidu.errors import CorruptError, InputError
from chidu.store import read_json
from chidu.training import train as room
from chidu.training.train import Machine, train
from chidu.training.trunk import Shared, branch_point, shared_seconds


def result(out: Path) -> tuple[bytes, dict, list[dict]]:
    """What a run leaves, without times and prices."""
    record = {name: value for name, value in read_json(out / "run.json").items() if name != "extra"}
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    weights = next(out.glob("checkpoint-*")) / "model.safetensors"
    return weights.read_bytes(), record, [{k: v for k, v in line.items() if k != "seconds"} for line in log]


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Let the training die before it does its `step`th step, counted from 1; returns the steps that it did."""
    done: list[int] = []
    real = room.train_step

    def dying(*args):
        if len(done) + 1 == step:
            raise KeyboardInterrupt
        done.append(args[5])
        return real(*args)

    monkeypatch.setattr(room, "train_step", dying)
    return done


@pytest.fixture(scope="module", params=["decay", "decay and mean", "mean before the decay", "no decay"])
def configs(request, make_config) -> tuple[TrainConfig, TrainConfig, TrainConfig]:
    """Three lengths of one trunk, the shortest first."""
    changes = {
        "decay": {},
        "decay and mean": {"average": 0.1},
        "mean before the decay": {"average": 0.4},
        "no decay": {"decay_fraction": 0.0},
    }[request.param]
    made = [make_config(tokens=steps * 256, warmup_tokens=512, **changes) for steps in (12, 24, 44)]
    assert len({config.trunk for config in made}) == 1
    return made[0], made[1], made[2]


@pytest.fixture(scope="module")
def alone(configs, dataset, quiet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("alone")
    for config in configs:
        train(config, dataset, folder / config.id, quiet)
    return [folder / config.id for config in configs]


@pytest.fixture
def short(configs, dataset, quiet, tmp_path: Path) -> Path:
    """The shortest, which keeps its branch point."""
    train(configs[0], dataset, tmp_path / "short", quiet, Shared(keep=True))
    return branch_point(configs[0], tmp_path / "short")


def test_a_chain_of_branches_is_the_lone_runs_bit_for_bit(
    configs, alone, dataset, tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch
):
    start, did = None, []
    for number, config in enumerate(configs):
        steps = kill_at(monkeypatch, -1)
        out = tmp_path / str(number)
        train(config, dataset, out, quiet, Shared(start=start, keep=True))
        monkeypatch.undo()
        assert result(out) == result(alone[number])
        start = branch_point(config, out)
        did.append(steps)
    assert [steps[0] for steps in did] == [0, configs[0].branch_step, configs[1].branch_step]
    assert sum(map(len, did)) == configs[2].steps + sum(c.steps - c.branch_step for c in configs[:2])
    own = float(read_json(tmp_path / "2" / "run.json")["extra"]["seconds"])
    before = shared_seconds(tmp_path / "2")
    last = json.loads((tmp_path / "2" / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    assert 0 < before < last <= before + own + 0.1
    assert read_json(tmp_path / "2" / "branch.json")["from"] == configs[1].id


@pytest.mark.parametrize(("step", "seconds"), [(1, 0), (2, 0), (9, 0), (9, 1e9)])
def test_a_branch_may_be_killed(
    configs, alone, short, dataset, tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch, step: int, seconds: float
):
    shared = Shared(start=short, keep=True)
    kill_at(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        train(configs[1], dataset, tmp_path / "run", Machine(checkpoint_seconds=seconds, tensorboard=False), shared)
    monkeypatch.undo()
    train(configs[1], dataset, tmp_path / "run", quiet, shared)
    assert result(tmp_path / "run") == result(alone[1])
    assert shared_seconds(tmp_path / "run") > 0


def test_ordinary_checkpoints_leave_the_branch_point(configs, alone, dataset, tmp_path: Path):
    train(configs[0], dataset, tmp_path / "run", Machine(checkpoint_seconds=0, tensorboard=False), Shared(keep=True))
    kept = branch_point(configs[0], tmp_path / "run")
    names = {path.name for path in kept.iterdir()}
    assert names == {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"}
    assert result(tmp_path / "run") == result(alone[0])


def test_without_its_start_it_trains_alone(configs, alone, short, dataset, tmp_path: Path, quiet, monkeypatch):
    """Also when it had begun from there, and the branch point was lost before its first checkpoint."""
    kill_at(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train(configs[1], dataset, tmp_path / "run", quiet, Shared(start=short))
    monkeypatch.undo()
    assert (tmp_path / "run" / "branch.json").exists()
    shutil.rmtree(short)
    steps = kill_at(monkeypatch, -1)
    train(configs[1], dataset, tmp_path / "run", quiet, Shared(start=short))
    assert steps == list(range(configs[1].steps))
    assert result(tmp_path / "run") == result(alone[1])
    assert not (tmp_path / "run" / "branch.json").exists()


def test_another_trunk_is_refused(make_config, dataset, tmp_path: Path, quiet):
    config = make_config(warmup_tokens=512)
    train(config, dataset, tmp_path / "short", quiet, Shared(keep=True))
    start = branch_point(config, tmp_path / "short")
    for changes in ({"seed": 1}, {"weight_decay": 0.2}, {"decay_fraction": 0.6}, {"warmup_tokens": 768}):
        with pytest.raises(InputError, match="is no branch point of run"):
            train(replace(config, **changes), dataset, tmp_path / "run", quiet, Shared(start=start))
        shutil.rmtree(tmp_path / "run")


def test_a_damaged_branch_point_is_not_started_from(make_config, dataset, tmp_path: Path, quiet):
    config = make_config(warmup_tokens=512)
    train(config, dataset, tmp_path / "short", quiet, Shared(keep=True))
    start = branch_point(config, tmp_path / "short")
    weights = start / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CorruptError, match=r"branch-8/model\.safetensors is damaged .* delete .*branch-8 and rerun"):
        train(replace(config, tokens=20 * 256), dataset, tmp_path / "run", quiet, Shared(start=start))


def test_a_run_diverges_with_its_trunk(make_config, dataset, tmp_path: Path, quiet):
    """The loss leaves the numbers within the trunk, so there is no branch point, and the longer run ends likewise."""
    changes = {"learning_rate": 1e6, "hidden_learning_rate": 1e6, "warmup_tokens": 512}
    short, long = (make_config(tokens=steps * 256, **changes) for steps in (40, 80))
    assert train(short, dataset, tmp_path / "short", quiet, Shared(keep=True)).status == "diverged"
    start = branch_point(short, tmp_path / "short")
    assert not start.exists()
    assert train(long, dataset, tmp_path / "long", quiet, Shared(start=start)).status == "diverged"
    reasons = [read_json(tmp_path / name / "diverged.json")["reason"] for name in ("short", "long")]
    assert reasons[0] == reasons[1]
