import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from chidu.accounting import train_flops
from chidu.config import TrainConfig
from chidu.ladder import machine
from chidu.ladder.launcher import Job
from chidu.ladder.machine import count_workers, find_device, measure_speed
from chidu.ladder.recipe import Recipe


@pytest.fixture
def made_up_speed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A launcher whose workers take per_token + per_flop * FLOPs."""
    law = {"per_token": 2e-6, "per_flop": 3e-11}

    class Launcher:
        def __init__(self, workers: int, device: str) -> None:
            pass

        def run(self, jobs: Sequence[Job]) -> float:
            for job in jobs:
                model = TrainConfig.from_json(job.spec["config"]).model
                seconds = law["per_token"] + law["per_flop"] * train_flops(model, model.context) / model.context
                job.done.write_text(json.dumps({"seconds_per_token": seconds}))
            return 0.0

    monkeypatch.setattr(machine, "LocalLauncher", Launcher)
    return law


def test_the_speed_is_fitted_to_what_was_measured(made_up_speed: dict[str, float]):
    seen: list[float] = []
    speed = measure_speed(Recipe(), 1024, "cpu", 3, lambda what, part: seen.append(part))
    assert (speed.per_token, speed.per_flop) == pytest.approx((2e-6, 3e-11))
    assert (speed.workers, speed.device, speed.overhead) == (3, "cpu", 0.0)
    assert seen == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


def test_a_price_of_a_token_is_never_negative(made_up_speed: dict[str, float]):
    made_up_speed["per_token"] = -1e-6
    speed = measure_speed(Recipe(), 1024, "cpu", 1, lambda what, part: None)
    assert speed.per_token == 0
    assert 0 < speed.per_flop < 3e-11


def test_gpus_are_those_that_torch_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Asked in a process of its own, whose answer is read."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(machine.sys, "executable", str(script))
    assert count_workers("cuda") == 3
    assert count_workers("cpu") >= 1


def test_without_the_drivers_tool_it_is_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_device() == "cpu"
