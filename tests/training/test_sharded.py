"""Two processes that train one model, against one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chidu.errors import InputError
from chidu.runs import Run
from chidu.store import read_json, write_json
from chidu.training.checkpoint import load_model
from chidu.training.sharded import check_shares, own_share
from chidu.training.train import Machine, train

LONG = 300.0
"""Seconds after which something hangs; on two free cores it takes ten."""


@contextmanager
def start(folder: Path, config, data: Path, **machine: object) -> Iterator["subprocess.Popen[str]"]:
    """Both processes of a job, by torchrun; killed at the end if they are still there."""
    job = {"verb": "train", "config": config.to_json(), "data": str(data), "out": str(folder / "run")}
    write_json(folder / "job.json", {**job, "machine": {"tensorboard": False, **machine}})
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "chidu.training", str(folder / "job.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "loss") if name in line]


def test_two_processes_train_what_one_does(make_config, dataset, tmp_path: Path):
    """Also after a kill: the record, the log and the weights are those of one process, to rounding."""
    # a small eps blows rounding up; after an evaluation the weights of no block are whole for a while
    config = make_config(tokens=60 * 256, eps=1e-3, average=0.5, eval_every=20)
    train(config, dataset, tmp_path / "one", Machine(tensorboard=False))
    with start(tmp_path, config, dataset.folder, checkpoint_seconds=0.0) as killed:
        begun = time.monotonic()
        while killed.poll() is None and not list((tmp_path / "run").glob("shards-*/state.json")):
            assert time.monotonic() - begun < LONG
            time.sleep(0.02)
    with start(tmp_path, config, dataset.folder, checkpoint_seconds=1e9) as going_on:
        _, words = going_on.communicate(timeout=LONG)
        assert going_on.returncode == 0, words
    runs = [Run.from_json(read_json(tmp_path / name / "run.json")) for name in ("one", "run")]
    assert runs[1].loss == pytest.approx(runs[0].loss, rel=1e-5)
    assert replace(runs[1], extra={}, loss=0, loss_se=0, bits_per_byte=0, unseen_loss=0, unseen_bits_per_byte=0) == (
        replace(runs[0], extra={}, loss=0, loss_se=0, bits_per_byte=0, unseen_loss=0, unseen_bits_per_byte=0)
    )
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    weights = [load_model(tmp_path / name)[0].state_dict() for name in ("one", "run")]
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, atol=1e-5, rtol=0)
    assert not list((tmp_path / "run").glob("shards-*"))


def test_shares_of_each_micro_batch():
    """Two micro-batches of four rows: each process reads the same rows of both."""
    batch = torch.arange(8)[:, None].expand(8, 3)
    assert [own_share(batch, 2, rank, 2)[:, 0].tolist() for rank in (0, 1)] == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_what_cannot_be_shared_out_is_refused(make_config):
    check_shares(make_config(), 2)
    with pytest.raises(InputError, match="4 sequences of a micro-batch cannot be shared out among 3 processes"):
        check_shares(make_config(), 3)
    with pytest.raises(InputError, match="kind encoder needs one process"):
        check_shares(make_config(kind="encoder"), 2)
