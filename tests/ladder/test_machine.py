import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chidu.accounting import train_flops
from chidu.config import TrainConfig
from chidu.ladder import machine
from chidu.ladder.launcher import Job, Progress
from chidu.ladder.machine import count_workers, find_device, measure_speed
from chidu.ladder.recipe import Recipe


@pytest.fixture
def made_up_speed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A launcher whose workers take per_step + per_token * tokens + per_flop * FLOPs for a step."""
    law = {"per_step": 4e-3, "per_token": 2e-6, "per_flop": 3e-11}

    class Launcher:
        def __init__(self, workers: int, device: str, on_progress: Callable[[Progress], None]) -> None:
            self.on_progress = on_progress

        def run(self, jobs: Sequence[Job]) -> float:
            for job in jobs:
                config = TrainConfig.from_json(job.spec["config"])
                tokens, flops = config.batch_tokens, train_flops(config.model, config.batch_tokens)
                seconds = law["per_step"] + law["per_token"] * tokens + law["per_flop"] * flops
                job.done.write_text(json.dumps({"seconds_per_token": seconds / tokens}))
            self.on_progress(Progress(len(jobs), len(jobs), 0.7, 1.0, 1.0, 1.0))
            return 4 * machine.SECONDS + 2.0

    monkeypatch.setattr(machine, "LocalLauncher", Launcher)
    return law


def test_the_speed_is_fitted_to_what_was_measured(made_up_speed: dict[str, float]):
    seen: list[float] = []
    speed = measure_speed(Recipe(), 1024, "cpu", 3, lambda what, part: seen.append(part))
    assert (speed.per_step, speed.per_token, speed.per_flop) == pytest.approx((4e-3, 2e-6, 3e-11))
    assert (speed.workers, speed.device, speed.overhead) == (3, "cpu", pytest.approx(0.5))
    assert seen == [0, 0.7, 1]


@pytest.mark.parametrize("negative", ["per_step", "per_token"])
def test_no_price_is_negative(made_up_speed: dict[str, float], negative: str):
    made_up_speed[negative] *= -0.1
    speed = measure_speed(Recipe(), 1024, "cpu", 1, lambda what, part: None)
    assert getattr(speed, negative) == 0
    assert min(speed.per_step, speed.per_token) == 0 < speed.per_flop


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
