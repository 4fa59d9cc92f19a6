import importlib.util
import json
import math
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chidu.accounting import count_params
from chidu.errors import CorruptError, InputError
from chidu.runs import Run
from chidu.store import hold, read_json
from chidu.training import train as room
from chidu.training.checkpoint import load_model
from chidu.training.evaluation import evaluate
from chidu.training.train import Machine, train


class Killed(BaseException):
    """Stands for a kill: nothing in the house catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the training die in the arithmetic of a step, counted from 1."""
    count, real = [0], room.train_step

    def dying(*args):
        count[0] += 1
        if count[0] == step:
            raise Killed
        return real(*args)

    monkeypatch.setattr(room, "train_step", dying)


def result(out: Path) -> tuple[bytes, dict, list[dict]]:
    """What a run leaves: the bytes of its weights, its record and its log, without the times."""
    weights = next(out.glob("checkpoint-*")) / "model.safetensors"
    record = {name: value for name, value in read_json(out / "run.json").items() if name != "extra"}
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return weights.read_bytes(), record, [{k: v for k, v in line.items() if k != "seconds"} for line in log]


@pytest.fixture(scope="module")
def config(make_config):
    return make_config(tokens=24 * 256, eval_every=9)


@pytest.fixture(scope="module")
def whole(config, dataset, quiet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(config, dataset, out, quiet)
    return out


def test_the_run_is_described(whole, config, dataset):
    run = Run.from_json(read_json(whole / "run.json"))
    model, its_config = load_model(whole)
    assert its_config == config
    assert (run.run, run.status, run.seed) == (config.id, "done", 0)
    assert run.params == count_params(config.model).total == sum(w.numel() for w in model.parameters())
    assert run.tokens == run.unique_tokens == 24 * 256
    assert run.flops == 6 * run.params * run.tokens
    assert run.learning_rate == config.hidden_learning_rate
    assert float(run.extra["seconds"]) > 0
    passages = evaluate(model, dataset.windows("passages", 32), dataset.token_bytes)
    unseen = evaluate(model, dataset.windows("unseen", 32), dataset.token_bytes)
    assert (run.loss, run.loss_se, run.bits_per_byte) == (passages.loss, passages.loss_se, passages.bits_per_byte)
    assert (run.unseen_loss, run.unseen_bits_per_byte) == (unseen.loss, unseen.bits_per_byte)
    assert run.loss < math.log(dataset.vocab_size) - 0.5


def test_the_folder_holds_what_is_promised_and_no_more(whole):
    names = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    assert names == {
        ".lock",
        "config.json",
        "tokenizer.json",
        "metrics.jsonl",
        "run.json",
        *(f"checkpoint-24/{name}" for name in ("config.json", "model.safetensors", "state.json")),
    }
    assert [line["step"] for line in result(whole)[2]] == [9, 18, 20, 24]


def test_repeated_text_is_not_counted_as_unique(make_config, dataset, quiet):
    config = make_config(tokens=256 * (dataset.train_tokens // 256 + 3))
    run = room.make_run(config, dataset, "diverged", None, None)
    assert run.tokens == config.tokens > run.unique_tokens == dataset.train_tokens


@pytest.mark.parametrize(("step", "seconds"), [(1, 0), (2, 0), (15, 0), (24, 0), (20, 1e9)])
def test_a_killed_run_ends_as_if_it_had_not_been(
    whole, config, dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, seconds: float
):
    machine = Machine(checkpoint_seconds=seconds, tensorboard=False)
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        train(config, dataset, tmp_path / "run", machine)
    assert not (tmp_path / "run" / "run.json").exists()
    monkeypatch.undo()
    train(config, dataset, tmp_path / "run", machine)
    assert result(tmp_path / "run") == result(whole)


def test_a_run_may_be_killed_again_and_again(whole, config, dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    machine = Machine(checkpoint_seconds=0, tensorboard=False)
    for _ in range(6):
        kill_at(monkeypatch, 4)
        with pytest.raises(Killed):
            train(config, dataset, tmp_path / "run", machine)
        monkeypatch.undo()
    train(config, dataset, tmp_path / "run", machine)
    assert result(tmp_path / "run") == result(whole)


def test_killed_between_the_last_checkpoint_and_the_record(whole, config, dataset, tmp_path: Path, quiet):
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    (out / "run.json").unlink()
    train(config, dataset, out, quiet)
    assert result(out) == result(whole)


def test_the_other_processes_wait(whole, config, dataset, tmp_path: Path, quiet):
    """A second worker on a folder trains nothing: it takes the first one's record."""
    out, got = tmp_path / "run", []
    out.mkdir()
    second = threading.Thread(target=lambda: got.append(train(config, dataset, out, quiet)))
    with hold(out / ".lock"):
        second.start()
        second.join(timeout=0.3)
        assert not got
        shutil.copytree(whole, out, dirs_exist_ok=True)
    second.join(timeout=10)
    assert got == [Run.from_json(read_json(whole / "run.json"))]


def test_a_rerun_does_nothing(whole, config, dataset, quiet):
    times = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert train(config, dataset, whole, quiet).run == config.id
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == times


def test_the_folder_of_another_run(whole, make_config, dataset, quiet):
    with pytest.raises(InputError, match="belongs to another run"):
        train(make_config(seed=1), dataset, whole, quiet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "0123"}, "the plan was made for data set 0123"),
        ({"vocab_size": 500}, "the model's vocabulary is 500, the data set's 300"),
        ({"context": 8192, "batch_tokens": 16384, "tokens": 16384}, "fewer than 2 windows of context 8192"),
    ],
)
def test_a_config_for_other_data_writes_nothing(make_config, dataset, tmp_path: Path, quiet, changes, message: str):
    with pytest.raises(InputError, match=message):
        train(make_config(**changes), dataset, tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_few_unseen_documents_are_no_reason_to_fail(make_config, dataset, tmp_path: Path, quiet):
    few = replace(dataset, unseen=np.asarray(dataset.unseen)[:40])
    run = train(make_config(), few, tmp_path / "run", quiet)
    assert (run.status, run.unseen_loss) == ("done", None)


def test_a_divergence_is_recorded(make_config, dataset, tmp_path: Path, quiet):
    config = make_config(learning_rate=1e4, hidden_learning_rate=1e4)
    run = train(config, dataset, tmp_path / "run", quiet)
    record = read_json(tmp_path / "run" / "run.json")
    assert (record["status"], record["loss"]) == ("diverged", None)
    assert (run.status, math.isnan(run.loss)) == ("diverged", True)
    assert "at step 12" in read_json(tmp_path / "run" / "diverged.json")["reason"]
    again = train(config, dataset, tmp_path / "run", quiet)
    assert (again.run, again.status) == (config.id, "diverged")


@pytest.mark.parametrize(
    ("step", "excess", "why"),
    [(30, 1.21, "above a uniform guess's 5.70"), (11, math.inf, "was inf at step 11"), (5, math.nan, "was nan")],
)
def test_what_counts_as_a_divergence(make_config, step: int, excess: float, why: str):
    config = make_config(tokens=100 * 256)
    with pytest.raises(room.Diverged, match=why):
        room.check_divergence(config, step, excess * math.log(300))
    room.check_divergence(config, step, 1.19 * math.log(300))
    room.check_divergence(config, 10, 3 * math.log(300))


def test_a_divergence_is_the_same_after_a_kill(make_config, dataset, tmp_path: Path, monkeypatch):
    config, machine = make_config(learning_rate=1e4), Machine(checkpoint_seconds=0, tensorboard=False)
    kill_at(monkeypatch, 7)
    with pytest.raises(Killed):
        train(config, dataset, tmp_path / "run", machine)
    monkeypatch.undo()
    assert train(config, dataset, tmp_path / "run", machine).status == "diverged"


def test_a_last_step_into_the_void_is_a_divergence(make_config, dataset, tmp_path: Path, monkeypatch, quiet):
    """The training loss is that before the step; only the evaluation sees what the last step did."""
    real = room._loop

    def spoil(*args):
        real(*args)
        with torch.no_grad():
            args[4].norm.weight.fill_(math.nan)

    monkeypatch.setattr(room, "_loop", spoil)
    assert train(make_config(), dataset, tmp_path / "run", quiet).status == "diverged"


def test_a_damaged_checkpoint_is_not_trained_on(config, dataset, tmp_path: Path, monkeypatch):
    machine = Machine(checkpoint_seconds=0, tensorboard=False)
    kill_at(monkeypatch, 5)
    with pytest.raises(Killed):
        train(config, dataset, tmp_path / "run", machine)
    monkeypatch.undo()
    file = tmp_path / "run" / "checkpoint-4" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 255
    file.write_bytes(content)
    with pytest.raises(CorruptError, match=r"checkpoint-4/model\.safetensors is damaged"):
        train(config, dataset, tmp_path / "run", machine)
    shutil.rmtree(file.parent)
    assert train(config, dataset, tmp_path / "run", machine).status == "done"


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_is_written_beside(make_config, dataset, tmp_path: Path):
    train(make_config(), dataset, tmp_path / "run", Machine())
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))


def test_bfloat16_ends_near_float32(whole, config, dataset, tmp_path: Path, quiet):
    run = train(replace(config, dtype="bfloat16"), dataset, tmp_path / "run", quiet)
    assert run.loss == pytest.approx(read_json(whole / "run.json")["loss"], abs=0.05)
