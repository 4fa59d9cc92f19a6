"""The worker's side of the interface: a job file in, files and an exit code out."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chidu.store import read_json, write_json
from chidu.training import speed
from chidu.training.__main__ import main


@pytest.fixture
def do_job(make_config, dataset, tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Do a training job in this process: exit code and stderr."""

    def do(out: Path = tmp_path / "run", **changes: Any) -> tuple[int, str]:
        machine = {"checkpoint_seconds": 0.0, "tensorboard": False}
        job = {"verb": "train", "config": make_config().to_json(), "data": str(dataset.folder), "out": str(out)}
        write_json(tmp_path / "job.json", {**job, "machine": machine, **changes})
        monkeypatch.setattr(sys, "argv", ["chidu.training", str(tmp_path / "job.json")])
        return main(), capsys.readouterr().err

    return do


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit on the size of files, which fails like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def is_one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


def test_a_job_is_done_to_its_record(do_job, tmp_path: Path):
    assert do_job() == (0, "")
    assert read_json(tmp_path / "run" / "run.json")["status"] == "done"
    assert do_job() == (0, "")


def test_a_full_disk(do_job, tmp_path: Path):
    """Weights of 38 kB do not fit; the rerun, with room, goes on."""
    with largest_file(30_000):
        code, words = do_job()
    assert code == 2
    assert is_one_sentence(words)
    assert "too large" in words
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock",
        "config.json",
        "metrics.jsonl",
        "tokenizer.json",
    ]
    assert do_job() == (0, "")


def test_a_full_disk_before_the_first_step(do_job, tmp_path: Path):
    with largest_file(1500):
        code, words = do_job()
    assert (code, is_one_sentence(words)) == (2, True)
    assert not (tmp_path / "run" / "tokenizer.json").exists()


def test_a_folder_that_cannot_be(do_job, tmp_path: Path):
    (tmp_path / "file").touch()
    code, words = do_job(tmp_path / "file" / "run")
    assert code == 2
    assert is_one_sentence(words)
    assert str(tmp_path / "file") in words


def test_a_damaged_checkpoint(do_job, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chidu.training.train.evaluate_end", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            do_job()
    file = tmp_path / "run" / "checkpoint-11" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    code, words = do_job()
    assert code == 2
    assert is_one_sentence(words)
    assert f"{file} is damaged" in words


def test_other_data_and_a_wrong_config(do_job, make_config, tmp_path: Path):
    code, words = do_job(data=str(tmp_path / "none"))
    assert (code, is_one_sentence(words)) == (2, True)
    assert "holds no data set" in words
    code, words = do_job(config={**make_config().to_json(), "learning_rate": "fast"})
    assert (code, words) == (2, "learning_rate must be a finite number, not 'fast'\n")


def test_the_speed_of_a_step_is_measured(do_job, make_config, tmp_path: Path):
    code, _ = do_job(tmp_path / "speed.json", verb="speed", seconds=0.1, machine={"threads": 1})
    assert code == 0
    seconds = read_json(tmp_path / "speed.json")["seconds_per_token"]
    assert 0 < seconds < 1e-3
    assert speed.SKIPPED >= 1


def test_a_stack_is_done_to_the_records_of_all(do_job, make_config, tmp_path: Path):
    configs, outs = [make_config(seed=seed).to_json() for seed in (0, 1)], [str(tmp_path / name) for name in "ab"]
    spec = {"verb": "stack", "configs": configs, "outs": outs, "done": str(tmp_path / "done.json")}
    assert do_job(**spec) == (0, "")
    names = [read_json(Path(out) / "run.json")["run"] for out in outs]
    assert read_json(tmp_path / "done.json") == {"runs": names}
    assert len(set(names)) == 2


def test_a_run_does_not_load_the_compiler(make_config, dataset, tmp_path: Path):
    """Its front end takes longer to load than torch."""
    job = {
        "verb": "train",
        "config": make_config().to_json(),
        "data": str(dataset.folder),
        "out": str(tmp_path / "run"),
    }
    write_json(tmp_path / "job.json", {**job, "machine": {"tensorboard": False, "checkpoint_seconds": 0}})
    code = "import sys; from chidu.training.__main__ import main; code = main()\n"
    code += "sys.exit(code or bool({'torch._dynamo', 'torch._inductor'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "job.json")], timeout=100)
    assert done.returncode == 0
    assert (tmp_path / "run" / "run.json").exists()


def test_jobs_named_on_stdin_are_done_in_turn(make_config, dataset, tmp_path: Path):
    """Until one fails; what it says stands beside its file. The second run's numbers do not know of the first."""
    files = []
    for name, seed in (("a", 0), ("b", 1), ("c", 1)):
        config = {**make_config(seed=seed).to_json(), **({"clip_norm": -1} if name == "c" else {})}
        machine = {"checkpoint_seconds": 1e9, "tensorboard": False}
        files.append(tmp_path / f"{name}.json")
        job = {"verb": "train", "config": config, "data": str(dataset.folder), "out": str(tmp_path / name)}
        write_json(files[-1], {**job, "machine": machine})
    command, lines = [sys.executable, "-m", "chidu.training"], "".join(json.dumps(str(file)) + "\n" for file in files)
    done = subprocess.run([*command, "-"], input=lines, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert files[1].with_suffix(".stderr").read_text() == ""
    assert "clip_norm must be positive" in files[2].with_suffix(".stderr").read_text()
    alone = tmp_path / "alone.json"
    write_json(alone, {**read_json(files[1]), "out": str(tmp_path / "alone")})
    assert subprocess.run([*command, str(alone)], timeout=100).returncode == 0
    runs = [(tmp_path / name / "checkpoint-12" / "model.safetensors").read_bytes() for name in ("a", "b", "alone")]
    assert runs[1] == runs[2] != runs[0]


FORKS = """
import os, shutil, sys
from pathlib import Path
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.store import read_json
from chidu.training.train import Machine, train

folder = Path(sys.argv[1])
config, data = TrainConfig.from_json(read_json(folder / "config.json")), Dataset.open(sys.argv[2])
OPERATIONS = ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir")


def fork(out, last):
    "Train in a child that dies before its operation number `last`; whether it lived."
    child = os.fork()
    if not child:
        left = [last]
        def count(real):
            def counted(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*args, **kwargs)
            return counted
        for name in OPERATIONS:
            setattr(os, name, count(getattr(os, name)))
        try:
            train(config, data, out, Machine(checkpoint_seconds=0, tensorboard=False))
        except BaseException as error:
            print(last, repr(error))
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def result(out):
    weights = (out / f"checkpoint-{config.steps}" / "model.safetensors").read_bytes()
    return weights, {name: value for name, value in read_json(out / "run.json").items() if name != "extra"}


train(config, data, folder / "warm", Machine(tensorboard=False))  # what torch imports late, once for all children
fork(folder / "whole", 10**9)
wanted = result(folder / "whole")
kills = 0
while True:
    out = folder / f"killed-{kills}"
    lived = fork(out, kills)
    if lived:
        break
    assert fork(out, 10**9), f"the rerun after operation {kills} failed"
    assert result(out) == wanted, f"the rerun after operation {kills} differs"
    left = [path.name for path in out.iterdir() if path.name.startswith(".checkpoint")]
    assert not left, (kills, left)
    shutil.rmtree(out)
    kills += 1
print("kills", kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_killed_before_any_operation_on_the_disk(make_config, dataset, tmp_path: Path):
    """The rerun of a training that dies before its n-th operation ends like the undisturbed one, for every n."""
    write_json(tmp_path / "config.json", make_config(tokens=2 * 64, batch_tokens=64).to_json())
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path), str(dataset.folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 30
