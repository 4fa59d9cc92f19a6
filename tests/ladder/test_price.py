from dataclasses import replace

import pytest

from chidu.ladder.design import Corpus
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.price import Job, ladder_seconds, price_job, work_seconds
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import find_trunks


def lone(seconds: float, name: str) -> Job:
    return Job(name, 10, 7, seconds, 0.1)


def wall(seconds: list[float], workers: int) -> float:
    return ladder_seconds([lone(each, str(i)) for i, each in enumerate(seconds)], workers)


def test_of_runs_that_share_nothing_the_longest_goes_first():
    assert wall([], 2) == 0
    assert wall([3, 1, 2], 1) == 6
    assert wall([1, 1, 2, 4], 2) == 4
    assert wall([5, 4, 3, 3, 3], 2) == 10
    assert wall([1, 2], 8) == 2


def test_a_trunk_is_paid_for_once():
    short, long = Job("a", 100, 70, 12.0, 0.1), Job("a", 200, 140, 22.0, 0.1)
    assert work_seconds([long, short]) == pytest.approx(22 + 12 - 7)
    assert work_seconds([long, replace(short, trunk="b")]) == 34
    assert ladder_seconds([long, short], 1) == pytest.approx(27)
    # The longer run starts when the shorter is at its branch point, after 9 of its 12 s, and has 15 s to go.
    assert ladder_seconds([long, short], 2) == pytest.approx(9 + 15)


def test_two_trunks_and_a_lone_run_by_hand():
    jobs = [Job(name, 100 * i, 70 * i, 10.0 * i, 0.1) for name in "ab" for i in (1, 2)]
    assert work_seconds(jobs) == pytest.approx(2 * (10 + 20 - 7))
    assert ladder_seconds(jobs, 4) == pytest.approx(7 + 13)
    assert ladder_seconds([*jobs, lone(30, "c")], 4) == 30


def trunk_of(corpus: Corpus, lengths: tuple[int, ...]) -> list[Rung]:
    base = replace(Recipe().config(32, 100_000, corpus.vocab_size, corpus.id), warmup_tokens=8_000)
    return [Rung(replace(base, tokens=length * base.batch_tokens), 1.0) for length in lengths]


def test_own_steps_are_those_of_the_trunk(corpus: Corpus, speed: Speed):
    rungs = trunk_of(corpus, (200, 100, 400))
    (trunk,) = find_trunks(rungs)
    jobs = [price_job(rung, speed, corpus.evaluation_tokens) for rung in rungs]
    assert len({job.trunk for job in jobs}) == 1
    assert trunk.steps == 400 + 30 + 60
    fixed = speed.seconds(rungs[0].config, corpus.evaluation_tokens, steps=0)
    assert work_seconds(jobs) == pytest.approx(3 * fixed + 490 * jobs[0].per_step)
    assert trunk.flops == pytest.approx(rungs[0].flops / 200 * 490)


def test_a_ladder_is_priced_by_its_trunks(plan: Plan, corpus: Corpus, speed: Speed):
    jobs = [price_job(rung, speed, corpus.evaluation_tokens) for rung in plan.rungs]
    assert ladder_seconds(jobs, speed.workers) == plan.seconds
    trunks = find_trunks(plan.rungs)
    assert any(len(trunk.rungs) > 1 for trunk in trunks)
    assert plan.flops == pytest.approx(sum(trunk.flops for trunk in trunks))
    saved = sum(
        trunk.shared_steps(rung) * job.per_step
        for rung, job in zip(plan.rungs, jobs, strict=True)
        for trunk in trunks
        if rung in trunk.rungs
    )
    assert work_seconds(jobs) == pytest.approx(sum(rung.seconds for rung in plan.rungs) - saved)
