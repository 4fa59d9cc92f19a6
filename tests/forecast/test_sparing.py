"""Runs that teach nothing are left out, those that teach are not, and a killed ladder goes on with what was decided."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chidu.accounting import count_params
from chidu.config import TrainConfig
from chidu.errors import CorruptError, InputError
from chidu.forecast import sparing
from chidu.forecast.design_score import score_design
from chidu.forecast.sparing import (
    Decision,
    Strength,
    check_spare,
    decide,
    keep_decisions,
    read_sparing,
    strength,
)
from chidu.ladder.climb import climb
from chidu.ladder.design import Corpus, Design, design
from chidu.ladder.gates import gate_rungs
from chidu.ladder.launcher import Job, LocalLauncher
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.price import planned_jobs, work_seconds
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable
from chidu.store import read_json, write_json
from chidu.tables.read import read_runs

CORPUS = Corpus("0123456789ab", vocab_size=1024, train_tokens=50_000_000, evaluation_tokens=200_000)
SPEED = Speed(per_step=0.0, per_token=1e-6, per_flop=2e-11, overhead=1.5, workers=2, device="cpu")


def made_run(config: TrainConfig, status: str = "done") -> Run:
    """Where a run lands: a law, and noise of its own."""
    params, tokens = count_params(config.model).total, config.steps * config.batch_tokens
    noise = 0.002 * random.Random(config.id).gauss(0, 1)
    loss = (1.8 + 30 / params**0.3 + 60 / tokens**0.3) * math.exp(noise)
    size = {"params": float(params), "tokens": float(tokens), "flops": 6.0 * params * tokens}
    setting = {"learning_rate": config.learning_rate, "batch_tokens": float(config.batch_tokens)}
    return Run(run=config.id, status=status, loss=loss, seed=config.seed, **size, **setting)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Two amounts of compute, and four seeds too many of a run in the middle of the larger one."""
    shape = Design(budgets=2, ratios=(5.0, 8.0, 13.0, 20.0, 32.0, 50.0))
    usual = design(600, CORPUS, SPEED, shape=shape)
    top = sorted((rung for rung in usual.rungs if rung.flops > 0.9 * usual.largest_flops), key=lambda rung: rung.params)
    middle = top[len(top) // 2]
    further = [replace(middle, config=replace(middle.config, seed=seed), role="replicate") for seed in (5, 6, 7, 8)]
    return replace(usual, rungs=(*usual.rungs, *further), target="10x", spare=0.02)


@pytest.fixture(scope="module")
def redundant(plan: Plan) -> set[str]:
    return {rung.config.id for rung in plan.rungs[-4:]}


@pytest.fixture(scope="module")
def ends(plan: Plan) -> set[str]:
    """The smallest and the largest model of the largest amount of compute: the lever for params against tokens."""
    top = sorted((rung for rung in plan.rungs if rung.flops > 0.9 * plan.largest_flops), key=lambda rung: rung.params)
    return {top[0].config.id, top[-1].config.id}


def finished(plan: Plan, below: float, status: str = "done") -> dict[str, Run]:
    """The runs of less compute, as if trained."""
    return {rung.config.id: made_run(rung.config, status) for rung in plan.law_runs if rung.flops < below}


@pytest.fixture(scope="module")
def first(plan: Plan) -> Decision:
    """After the cheapest amount of compute."""
    return decide(plan, finished(plan, 2 * min(rung.flops for rung in plan.rungs)), 10 * plan.largest_flops)


def test_a_redundant_run_is_left_out_and_an_informative_one_is_not(
    redundant: set[str], ends: set[str], first: Decision
):
    left_out = {spared.run for spared in first.spared}
    assert len(redundant & left_out) >= 2
    assert not ends & left_out


def test_what_is_left_out_is_bounded_together(plan: Plan, first: Decision):
    assert first.half_width is not None
    assert first.half_width_all is not None
    assert 0.01 < first.half_width_all < 0.06
    assert first.half_width <= (1 + plan.spare) * first.half_width_all
    assert first.widening == pytest.approx(first.half_width / first.half_width_all - 1)
    kept = plan.without(first.verdict.spared)
    saved = work_seconds(planned_jobs(plan.rungs)) - work_seconds(planned_jobs(kept.rungs))
    assert first.seconds == pytest.approx(saved)
    text = str(first)
    assert f"{len(first.spared)} of {first.left} others left out" in text
    assert text.count("left out: ") == len(first.spared)


def test_more_may_be_given_up_but_never_what_a_ladder_is_judged_by(plan: Plan, first: Decision):
    greedy = decide(replace(plan, spare=0.5), finished(plan, 2 * min(r.flops for r in plan.rungs)), 1e15)
    kept = [rung for rung in plan.law_runs if rung.config.id not in greedy.verdict.spared]
    assert len(greedy.spared) > len(first.spared)
    assert greedy.settled
    assert strength(kept).reaches(Strength().at_most(strength(plan.law_runs)))
    assert strength(kept).points == Strength().points, "and no further"
    assert max(kept, key=lambda rung: rung.flops).flops == plan.largest_flops
    assert {rung.config.id for rung in gate_rungs(plan) if rung.role == "rung"} <= {r.config.id for r in kept}


def test_a_decision_stands_on_what_the_design_score_says(plan: Plan, redundant: set[str]):
    """With all but the redundant runs trained, both ask what these would still narrow."""
    target = 10 * plan.largest_flops
    known = {name: run for name, run in finished(plan, math.inf).items() if name not in redundant}
    decision = decide(replace(plan, spare=0.5), known, target)
    assert decision.verdict.spared == redundant
    assert decision.half_width is not None
    assert decision.half_width_all is not None
    law = fit(RunTable(tuple(known.values())), seed=plan.seed)
    runs = [(float(rung.params), float(rung.tokens)) for rung in plan.rungs if rung.config.id in redundant]
    scored = score_design(law, runs, target)
    part = scored.width / math.log(scored.interval_before.upper / scored.interval_before.lower)
    assert decision.half_width_all / decision.half_width == pytest.approx(part, rel=1e-6)


def test_too_few_runs_decide_nothing(plan: Plan):
    few = dict(list(finished(plan, math.inf).items())[:3])
    decision = decide(plan, few, 1e15)
    assert (decision.spared, decision.settled) == ((), False)
    assert "3 runs, but the law has 5 parameters" in str(decision)


def test_diverged_runs_count_for_nothing(plan: Plan):
    """Of two amounts of compute nearly all of the larger one diverged: no more is left out, and no law is asked."""
    lost = {rung.config.id: made_run(rung.config, "diverged") for rung in plan.law_runs[2:6]}
    lost |= {rung.config.id: made_run(rung.config, "diverged") for rung in plan.rungs[-4:]}
    decision = decide(plan, lost, 1e15)
    assert decision == Decision(tuple(lost), len(plan.law_runs) - len(lost), settled=True)


def test_a_ladder_at_its_least_is_one_round(plan: Plan):
    small = design(600, CORPUS, SPEED, shape=Design(budgets=2))
    decision = decide(replace(small, spare=0.5), {}, 1e15)
    assert decision == Decision((), len(small.law_runs), settled=True)
    assert "still needed" in str(decision)


@pytest.mark.parametrize("spare", [-0.01, 0.6, math.nan, math.inf])
def test_a_part_that_is_none(spare: float):
    with pytest.raises(InputError, match="--spare"):
        check_spare(spare)


# ---- in a lab


class Trainer(LocalLauncher):
    """Writes the runs as if it had trained them, and stops dead after some."""

    trained: list[str]
    most: float

    def __init__(self, most: float = math.inf) -> None:
        super().__init__(1)
        object.__setattr__(self, "trained", [])
        object.__setattr__(self, "most", most)

    def run(self, jobs: Sequence[Job]) -> float:
        for job in jobs:
            if job.done.exists():
                continue
            if len(self.trained) >= self.most:
                raise KeyboardInterrupt
            config = TrainConfig.from_json(job.spec["config"])
            write_json(job.done, made_run(config).to_json())
            self.trained.append(config.id)
        return 0.0


def climb_in(lab: Path, plan: Plan, trainer: Trainer) -> list[Decision]:
    told: list[Decision] = []
    spare = keep_decisions(plan, lab, 10 * plan.largest_flops, told.append)
    climb(plan, lab / "data", lab, trainer, spare=spare)
    return told


@pytest.fixture(scope="module")
def lab(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ladder that nothing disturbed."""
    lab = tmp_path_factory.mktemp("lab")
    trainer = Trainer()
    told = climb_in(lab, plan, trainer)
    flops = {rung.config.id: rung.flops for rung in plan.rungs}
    assert len(trainer.trained) == len(set(trainer.trained))
    rises = [flops[b] / flops[a] for a, b in zip(trainer.trained, trainer.trained[1:], strict=False)]
    assert min(rises) > 1 / 1.5, "cheap runs come before dear ones"
    assert set(trainer.trained) == {rung.config.id for rung in plan.rungs} - told[-1].verdict.spared
    return lab


def test_what_is_left_out_is_never_trained_and_in_the_lab(plan: Plan, redundant: set[str], ends: set[str], lab: Path):
    last = read_sparing(plan, lab)
    assert last is not None
    assert redundant & last.verdict.spared
    assert not ends & last.verdict.spared
    table = read_runs(lab / "runs.csv")
    assert {run.run for run in table} == {rung.config.id for rung in plan.law_runs} - last.verdict.spared
    assert not any((lab / "runs" / name).exists() for name in last.verdict.spared)
    written = read_json(lab / sparing.FILE)
    assert (written["spare"], written["target_flops"]) == (plan.spare, 10 * plan.largest_flops)
    assert [Decision.from_json(each) for each in written["decisions"]][-1] == last
    assert last.half_width is not None
    assert last.half_width_all is not None
    assert last.half_width <= (1 + plan.spare) * last.half_width_all


def test_a_killed_ladder_goes_on_with_what_was_decided(plan: Plan, lab: Path, tmp_path: Path, monkeypatch):
    """Killed in its second round."""
    with pytest.raises(KeyboardInterrupt):
        climb_in(tmp_path, plan, Trainer(14))
    known = len(read_json(tmp_path / sparing.FILE)["decisions"])
    assert known == 1
    asked: list[int] = []
    decide_once = sparing.decide
    monkeypatch.setattr(sparing, "decide", lambda *words: asked.append(1) or decide_once(*words))
    told = climb_in(tmp_path, plan, Trainer())
    assert len(asked) == len(told) - known
    for name in (sparing.FILE, "runs.csv"):
        assert (tmp_path / name).read_bytes() == (lab / name).read_bytes()
    asked.clear()
    again = Trainer()
    assert climb_in(tmp_path, plan, again) == told
    assert (asked, again.trained) == ([], [])


def test_decisions_of_another_question_are_not_taken(plan: Plan, lab: Path):
    assert read_sparing(replace(plan, spare=0.03), lab) is None
    assert read_sparing(replace(plan, target="30x"), lab) is None
    assert read_sparing(plan.without({plan.rungs[0].config.id}), lab) is None
    assert read_sparing(replace(plan, spare=0.0), lab) is None


def test_a_damaged_file_is_said(plan: Plan, tmp_path: Path):
    write_json(tmp_path / sparing.FILE, {"decisions": [{"spared": []}], "question": "x"})
    assert read_sparing(plan, tmp_path) is None
    write_json(tmp_path / sparing.FILE, {"decisions": 3})
    with pytest.raises(CorruptError, match=r"spared\.json holds no decisions"):
        read_sparing(plan, tmp_path)


def test_a_branch_saves_its_decay_alone():
    """On trunks, what leaving a run out saves is less than the run alone takes."""
    shape = Design(kind="trunk", trunk_ratios=(6.0, 10.0, 18.0, 54.0))
    trunks = replace(design(600, CORPUS, SPEED, shape=shape), spare=0.3)
    decision = decide(trunks, finished(trunks, 4 * min(rung.flops for rung in trunks.rungs)), 10 * trunks.largest_flops)
    alone = {rung.config.id: rung.seconds for rung in trunks.rungs}
    assert all(spared.seconds <= alone[spared.run] * (1 + 1e-9) for spared in decision.spared)
    assert any(spared.seconds < 0.75 * alone[spared.run] for spared in decision.spared)
