import importlib.util
import json
import math
from pathlib import Path

import pytest

from chidu.training.metrics import Metrics


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write_steps(folder: Path, start: int, steps: list[int]) -> None:
    with Metrics(folder, start, tensorboard=False) as metrics:
        for step in steps:
            metrics.write(step, loss=step / 10)


def test_what_will_be_done_again_is_dropped(tmp_path: Path):
    write_steps(tmp_path, 0, [10, 20, 30])
    write_steps(tmp_path, 20, [30, 40])
    assert lines(tmp_path) == [{"step": s, "loss": s / 10} for s in (10, 20, 30, 40)]
    write_steps(tmp_path, 0, [10])
    assert [line["step"] for line in lines(tmp_path)] == [10]


@pytest.mark.parametrize("cut", ['{"step": 30, "lo', "{", ""])
def test_a_line_cut_by_a_kill_is_dropped(tmp_path: Path, cut: str):
    write_steps(tmp_path, 0, [10, 20])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(cut)
    write_steps(tmp_path, 20, [30])
    assert [line["step"] for line in lines(tmp_path)] == [10, 20, 30]


def test_what_is_not_a_number_is_null(tmp_path: Path):
    with Metrics(tmp_path, 0, tensorboard=False) as metrics:
        metrics.write(1, loss=math.nan, norm=math.inf, rate=0.1)
    assert lines(tmp_path) == [{"step": 1, "loss": None, "norm": None, "rate": 0.1}]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_shows_each_step_once(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, steps in ((0, [10, 20, 30]), (20, [30, 40])):
        with Metrics(tmp_path, start) as metrics:
            for step in steps:
                metrics.write(step, loss=float(step))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(s, float(s)) for s in (10, 20, 30, 40)]
