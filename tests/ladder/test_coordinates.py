"""The verdict on measurements whose slopes are known, and what is asked of the workers."""

from pathlib import Path
from typing import Any

import pytest

from chidu.config import TrainConfig
from chidu.ladder.coordinates import QUANTITIES, CoordinateCheck, Shapes, coordinate_jobs, read_coordinates
from chidu.ladder.recipe import Recipe
from chidu.store import write_json

SHAPES = Shapes(widths=(32, 64, 128, 256), depths=(2, 4, 8), width=32, steps=4, seeds=2)
RECIPE = Recipe()


def judge(folder: Path, powers: dict[str, tuple[float, float]], missing: str = "") -> CoordinateCheck:
    """A check whose changes go as width^a depth^b, for each quantity (a, b), 0 where none is given."""
    jobs = coordinate_jobs(RECIPE, 300, "abc", folder / "data", folder, SHAPES)
    for seed, job in enumerate(jobs):
        measured: list[dict[str, Any]] = []
        for width, layers in SHAPES.all:
            each = {}
            for name in QUANTITIES:
                a, b = powers.get(name, (0.0, 0.0))
                change = [0.0, *(step * 2.0**seed * width**a * layers**b for step in range(1, SHAPES.steps + 1))]
                each[name] = {"size": [width**-0.5 if name == "head_logits" else 0.0, *change[1:]], "change": change}
            if missing:
                each[missing]["change"][-1] = None
            measured.append(each)
        write_json(job.done, measured)
    return read_coordinates(RECIPE, SHAPES, jobs)


def test_slopes_are_read_and_judged(tmp_path: Path):
    check = judge(tmp_path, {"stream": (0.3, -0.05), "head_logits": (-0.08, 0.5)})
    found = {(line.quantity, line.dial): line for line in check.lines}
    assert len(found) == 2 * len(QUANTITIES)
    assert found["stream", "width"].slope == pytest.approx(0.3)
    assert found["stream", "width"].slopes == (None, *[pytest.approx(0.3)] * 4)
    assert found["stream", "depth"].slope == pytest.approx(-0.05)
    assert found["head_logits", "width"].start == pytest.approx(-0.5)
    assert found["stream", "width"].start is None
    assert {key for key, line in found.items() if not line.flat} == {("stream", "width"), ("head_logits", "depth")}
    assert not check.flat
    assert "the change of the residual stream goes as width^+0.30 over width 32 to 256" in check.warnings[0]
    assert str(check).count("*") == 3
    assert "NOT flat" in str(check)


def test_flat_is_flat(tmp_path: Path):
    check = judge(tmp_path, {"embedding": (0.09, -0.09)})
    assert check.flat
    assert check.warnings == ()
    assert "\nflat within 0.1" in str(check)
    assert check.to_json()["lines"][0]["slope"] == pytest.approx(0.09)


def test_what_left_the_numbers_or_stands_still_is_not_flat(tmp_path: Path):
    check = judge(tmp_path, {}, missing="feed_forward")
    lost = [line for line in check.lines if line.quantity == "feed_forward"]
    assert [(line.slope, line.flat) for line in lost] == [(None, False)] * 2
    assert "the feed-forward did not move, or left the numbers" in check.warnings[0]
    jobs = coordinate_jobs(RECIPE, 300, "abc", tmp_path / "data", tmp_path, SHAPES)
    still = {name: {"size": [1.0] * 5, "change": [0.0] * 5} for name in QUANTITIES}
    for job in jobs:
        write_json(job.done, [still] * len(SHAPES.all))
    assert not any(line.flat for line in read_coordinates(RECIPE, SHAPES, jobs).lines)


def test_jobs_are_named_by_what_they_measure(tmp_path: Path):
    jobs = coordinate_jobs(RECIPE, 300, "abc", tmp_path, tmp_path, SHAPES)
    again = coordinate_jobs(RECIPE, 300, "abc", tmp_path / "elsewhere", tmp_path, SHAPES)
    others = coordinate_jobs(RECIPE.scaled(1.5), 300, "abc", tmp_path, tmp_path, SHAPES)
    assert [job.done for job in jobs] == [job.done for job in again]
    assert len({job.done for job in [*jobs, *others]}) == 4
    configs = [TrainConfig.from_json(config) for config in jobs[1].spec["configs"]]
    assert [(config.model.d_model, config.model.n_layer) for config in configs] == SHAPES.all
    assert {(config.seed, config.batch_tokens, config.data) for config in configs} == {(1, 2 * RECIPE.context, "abc")}
    assert SHAPES.all.count((32, 3)) == 1
