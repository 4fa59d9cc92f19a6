from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chidu.config import TrainConfig
from chidu.ladder import stacking
from chidu.ladder.climb import training_job
from chidu.ladder.launcher import Job
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.ladder.stacking import stack, suit


@pytest.fixture
def make_job(tmp_path: Path):
    def make(width: int = 16, spec: dict[str, Any] | None = None, **changes: Any) -> Job:
        config = replace(Recipe().config(width, 1e5, 512, "data"), **changes)
        job = training_job(Rung(config, 3.0), tmp_path / "data", tmp_path)
        return replace(job, spec={**job.spec, **(spec or {})})

    return make


def test_seeds_and_rates_are_joined_by_shape(make_job, tmp_path: Path):
    jobs = [make_job(), make_job(seed=1), make_job(32), make_job(hidden_learning_rate=0.1), make_job(32, seed=1)]
    joined = stack(jobs)
    assert [len(job.spec["configs"]) for job in joined] == [3, 2]
    first = joined[0]
    assert first.spec["outs"] == [jobs[i].spec["out"] for i in (0, 1, 3)]
    assert [TrainConfig.from_json(config).seed for config in first.spec["configs"]] == [0, 1, 0]
    assert (first.spec["verb"], first.weight, first.steps) == ("stack", 9.0, jobs[0].steps)
    assert first.done == Path(first.spec["done"])
    assert len({job.done for job in [*joined, *jobs]}) == 7


def test_what_is_not_alike_stays_alone(make_job, monkeypatch: pytest.MonkeyPatch):
    done = make_job(seed=3)
    done.done.parent.mkdir(parents=True)
    done.done.touch()
    in_trunk, speed = make_job(seed=2, spec={"shared": {"keep": True}}), make_job(seed=4, spec={"verb": "speed"})
    jobs = [make_job(), done, in_trunk, speed, make_job(tokens=10**6)]
    assert {job.done for job in stack(jobs)} == {job.done for job in jobs}
    monkeypatch.setattr(stacking, "SMALL", 10)
    assert len(stack([make_job(), make_job(seed=1)])) == 2


def test_a_stack_is_not_done_before_it_is(make_job):
    """Its runs may have been deleted since."""
    jobs = [make_job(), make_job(seed=1)]
    old = stack(jobs)[0].done
    old.parent.mkdir(parents=True)
    old.touch()
    assert stack(jobs)[0].done == old
    assert not old.exists()


def test_stacks_are_of_a_bounded_size_and_a_gpus_alone(make_job):
    jobs = [make_job(seed=seed) for seed in range(stacking.MOST + 2)]
    assert [len(job.spec["configs"]) for job in suit(jobs, "cuda")] == [stacking.MOST, 2]
    assert suit(jobs, "cpu") == jobs
