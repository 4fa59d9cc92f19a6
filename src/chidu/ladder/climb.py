"""Train what a plan lists, and write the table of runs.

The lab folder gets `runs/<id>/` for each run and last, atomically, `runs.csv`. Runs that are there already are not done
again; a killed ladder goes on where it was and ends with the same table, byte for byte.
"""

from collections.abc import Sequence
from pathlib import Path

from chidu.config import TrainConfig
from chidu.errors import InputError, Refusal
from chidu.ladder.launcher import Job, LocalLauncher
from chidu.ladder.plan import Plan, Rung
from chidu.runs import Run, RunTable, SetAside, write_runs
from chidu.store import read_json

CHECKPOINT_SECONDS = 20.0
"""What a kill costs at most, for each worker."""


def climb(
    plan: Plan, data: Path, lab: Path, launcher: LocalLauncher, *, checkpoint_seconds: float = CHECKPOINT_SECONDS
) -> RunTable:
    """Train every run of a plan, probes too, and write `lab/runs.csv` with those that the law is fitted on.

    Raises:
        InputError: the data set is not the plan's.
        Refusal: every run diverged.
        TrainingError: a worker failed again and again.
    """
    launcher.run([training_job(rung, data, lab, checkpoint_seconds) for rung in plan.rungs])
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


def training_job(rung: Rung, data: Path, lab: Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Job:
    """The launcher's job for one run."""
    out = lab / "runs" / rung.config.id
    spec = {
        "verb": "train",
        "config": rung.config.to_json(),
        "data": str(data),
        "out": str(out),
        "machine": {"checkpoint_seconds": checkpoint_seconds},
    }
    return Job(spec, out / "job.json", out / "run.json", rung.seconds, rung.config.steps)


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
