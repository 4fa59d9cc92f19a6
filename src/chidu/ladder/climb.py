"""Train what a plan lists, and write the table of runs.

The lab folder gets `runs/<id>/` for each run and last, atomically, `runs.csv`. Runs that are there already are not done
again; a killed ladder goes on where it was and ends with the same table, byte for byte. Runs that differ in length
alone share their stable stretch (`trunks.py`); what they keep for each other goes when all are done.

Where somebody may leave runs out (`forecast/sparing.py`), the ladder is climbed in rounds, an amount of compute each,
cheap ones first. What is asked after a round stands on the runs of the rounds so far and on nothing else.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chidu.config import TrainConfig
from chidu.errors import InputError, Refusal
from chidu.ladder.launcher import Job, LocalLauncher
from chidu.ladder.plan import Plan
from chidu.ladder.price import Link, link_runs
from chidu.ladder.rung import Rung
from chidu.ladder.stacking import suit
from chidu.ladder.trunks import Trunk, trunks_by_run
from chidu.runs import Run, RunTable, SetAside, write_runs
from chidu.store import read_json

CHECKPOINT_SECONDS = 20.0
"""What a kill costs at most, for each worker."""
ROUND = 1.5
"""A round takes the runs of up to so many times the compute of its cheapest: designs have factors of 2 between amounts
of compute, and less within one."""


@dataclass(frozen=True)
class Verdict:
    """What the rounds so far say of the runs that are still to be trained."""

    spared: frozenset[str] = frozenset()
    """Ids of those that are left out, as far as is known by now."""
    settled: bool = False
    """No other run can be left out: what remains is one round."""


Spare = Callable[[Sequence[Rung]], Verdict]
"""Told the runs that are trained, says which of the others are left out; asked after every round, the last one too."""


def climb(
    plan: Plan,
    data: Path,
    lab: Path,
    launcher: LocalLauncher,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    spare: Spare | None = None,
) -> RunTable:
    """Train every run of a plan, probes too, and write `lab/runs.csv` with those that the law is fitted on.

    Args:
        plan: the runs.
        data: the data set.
        lab: the lab's folder.
        launcher: who trains.
        checkpoint_seconds: what a kill costs at most.
        spare: who says which runs are left out; with None every run is trained, the longest first.

    Raises:
        InputError: the data set is not the plan's.
        Refusal: every run diverged.
        TrainingError: a worker failed again and again.
    """

    def train(plan: Plan, rungs: Sequence[Rung]) -> None:
        launcher.run(suit(training_jobs(plan, rungs, data, lab, checkpoint_seconds), launcher.device))

    if spare is None:
        train(plan, plan.rungs)
    else:
        plan = climb_in_rounds(plan, train, spare)
    for kept in [*lab.glob("runs/*/branch-*"), *lab.glob("runs/*/.branch-*")]:
        shutil.rmtree(kept)
    runs = [load_run(rung.config, lab) for rung in plan.law_runs]
    write_runs(lab / "runs.csv", runs)
    aside = tuple(
        SetAside(i + 2, run.run, "diverged: the loss left the numbers or a uniform guess did better")
        for i, run in enumerate(runs)
        if run.status != "done"
    )
    done = tuple(run for run in runs if run.status == "done")
    if not done:
        raise Refusal("every run of the ladder diverged; lower the rates (hidden_rate, embedding_rate) of the recipe")
    return RunTable(done, aside, str(lab / "runs.csv"))


def climb_in_rounds(plan: Plan, train: Callable[[Plan, Sequence[Rung]], None], spare: Spare) -> Plan:
    """Train the cheapest amount of compute, ask which others are needed, and so on; returns what was trained.

    A run that was spared comes back when a later round shows that it is needed after all.
    """
    done, verdict = list[Rung](), Verdict()
    while rest := [rung for rung in plan.without(verdict.spared).rungs if rung not in done]:
        limit = math.inf if verdict.settled else ROUND * min(rung.flops for rung in rest)
        done += [rung for rung in rest if rung.flops <= limit]
        train(plan.without(verdict.spared), done)
        verdict = spare(done)
    return plan.without(verdict.spared)


def training_jobs(
    plan: Plan, rungs: Sequence[Rung], data: Path, lab: Path, checkpoint_seconds: float = CHECKPOINT_SECONDS
) -> list[Job]:
    """The launcher's jobs for some runs of a plan, each with its place in its trunk."""
    trunks, links = trunks_by_run(plan.rungs), link_runs(plan.rungs)
    jobs = []
    for rung in rungs:
        job, trunk = training_job(rung, data, lab, checkpoint_seconds), trunks[rung.config.id]
        jobs.append(_share(job, rung, trunk, links[rung.config.id], lab) if len(trunk.rungs) > 1 else job)
    return jobs


def training_job(rung: Rung, data: Path, lab: Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Job:
    """The launcher's job for one run, alone."""
    out = lab / "runs" / rung.config.id
    spec = {
        "verb": "train",
        "config": rung.config.to_json(),
        "data": str(data),
        "out": str(out),
        "machine": {"checkpoint_seconds": checkpoint_seconds},
    }
    return Job(spec, out / "job.json", out / "run.json", rung.seconds, rung.config.steps)


def _share(job: Job, rung: Rung, trunk: Trunk, link: Link, lab: Path) -> Job:
    """Let a run start from the next shorter one's branch point, and keep its own for the next longer one."""
    shared: dict[str, Any] = {"keep": trunk.after(rung) is not None}
    needs, before = None, trunk.before(rung)
    if before is not None:
        start = lab / "runs" / before.config.id / f"branch-{before.config.branch_step}"
        shared["start"], needs = str(start), start / "state.json"
    return replace(
        job,
        spec={**job.spec, "shared": shared},
        weight=link.seconds,
        first=trunk.shared_steps(rung),
        needs=needs,
        urgency=link.urgency,
    )


def load_run(config: TrainConfig, lab: Path) -> Run:
    """Read a finished run of the lab."""
    return Run.from_json(read_json(lab / "runs" / config.id / "run.json"))


def check_data(plan: Plan, data_id: str) -> None:
    """Refuse to train a plan on other data than it was made for, before anything is written."""
    if plan.data != data_id:
        raise InputError(f"the plan was made for data set {plan.data}, but this is {data_id}; plan again with --data")


def trained(rungs: Sequence[Rung], lab: Path) -> list[Rung]:
    """Those of the runs that are done already."""
    return [rung for rung in rungs if (lab / "runs" / rung.config.id / "run.json").exists()]
