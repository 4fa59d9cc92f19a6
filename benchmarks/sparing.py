"""What leaving runs out saves, and what it does to the forecast: finished ladders are climbed once more, on paper.

The runs of each lab are all there; the ladder is climbed in rounds as `chidu ladder` would with `--spare`, and each run
that is not left out is read instead of trained. So nothing is trained, and what the left-out runs would have said is
known: the same target is forecast from all runs and from those that were kept.

Seconds are those of the plan, of all workers together; a median's move is relative to the one from all runs, a width's
to that width. There is no bar: what is promised is an expectation, and this shows how far single ladders are from it.

    python benchmarks/sparing.py LAB... [--spare 0.02 0.05]
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import record
from chidu.config import TrainConfig
from chidu.designs import parse_target
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.sparing import Decision, decide
from chidu.ladder.climb import Verdict, climb_in_rounds, load_run
from chidu.ladder.plan import Plan
from chidu.ladder.price import planned_jobs, work_seconds
from chidu.ladder.rung import Rung
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable
from chidu.store import read_json


@dataclass(frozen=True)
class Row:
    """One ladder, thinned out once."""

    lab: str
    design: str
    spare: float
    runs: int
    left_out: int
    saved: float
    """Part of the plan's seconds."""
    expected: float
    """Widening that the last decision expected."""
    widening: float
    """That came out, of the target's 90 % interval."""
    moved: float
    """The median."""
    half_width: float
    """With all runs."""
    error_all: float | None
    """Of the median, where the target was trained."""
    error: float | None

    def __str__(self) -> str:
        """A line of the table."""
        errors = "" if self.error_all is None or self.error is None else f"{self.error_all:+.2%} -> {self.error:+.2%}"
        return (
            f"{self.lab:<12}{self.design:<9}{self.spare:>6.0%}{self.left_out:>5} of {self.runs:<4}{self.saved:>7.1%}"
            f"{self.expected:>10.1%}{self.widening:>10.1%}{self.moved:>8.2%}{self.half_width:>8.2%}  {errors}"
        )


HEAD = (
    f"{'lab':<12}{'design':<9}{'spare':>6}{'left out':>13}{'saved':>7}{'expected':>10}{'came out':>10}{'moved':>8}"
    f"{'±':>8}  error"
)


def thin(lab: Path, spare: float, number: int) -> Row:
    """Climb a finished ladder once more."""
    plan = replace(Plan.load(lab / "plan.json"), spare=spare)
    target = TrainConfig.from_json(read_json(lab / "forecast.json")["config"])
    flops = parse_target(plan.target or read_json(lab / "loop.json")["target"], plan.largest_flops)
    made = list[Decision]()

    def ask(done: Sequence[Rung]) -> Verdict:
        made.append(decide(plan, {rung.config.id: load_run(rung.config, lab) for rung in _law(done)}, flops))
        return made[-1].verdict

    kept = climb_in_rounds(plan, lambda plan, rungs: None, ask)
    every, some = (ask_for(Rung(target, 0.0), of.law_runs, lab, plan.seed) for of in (plan, kept))
    landed = load_run(target, lab).loss if (lab / "runs" / target.id / "run.json").exists() else None
    return Row(
        lab=f"{number}: {lab.name}",
        design=plan.design,
        spare=spare,
        runs=len(plan.law_runs),
        left_out=len(plan.law_runs) - len(kept.law_runs),
        saved=1 - work_seconds(planned_jobs(kept.rungs)) / work_seconds(planned_jobs(plan.rungs)),
        expected=made[-1].widening,
        widening=half_width(some) / half_width(every) - 1,
        moved=some.median / every.median - 1,
        half_width=half_width(every),
        error_all=every.median / landed - 1 if landed else None,
        error=some.median / landed - 1 if landed else None,
    )


def _law(rungs: Sequence[Rung]) -> list[Rung]:
    return [rung for rung in rungs if rung.role != "probe"]


def ask_for(target: Rung, rungs: Sequence[Rung], lab: Path, seed: int) -> Forecast:
    """Forecast the target from some runs."""
    runs: list[Run] = [load_run(rung.config, lab) for rung in rungs]
    law = fit(RunTable(tuple(run for run in runs if run.status == "done")), seed=seed)
    return forecast_loss(law, params=float(target.params), tokens=float(target.tokens))


def half_width(forecast: Forecast) -> float:
    """A part of the loss."""
    return math.log(forecast.interval.upper / forecast.interval.lower) / 2


def main() -> int:
    """Thin out, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", type=Path, nargs="+", help="finished folders of chidu run")
    parser.add_argument("--spare", type=float, nargs="+", default=[0.02, 0.05])
    asked = parser.parse_args()
    print(HEAD)
    rows = list[Row]()
    for spare in asked.spare:
        for number, lab in enumerate(asked.labs, 1):
            rows.append(thin(lab, spare, number))
            print(rows[-1], flush=True)
        part = [row for row in rows if row.spare == spare]
        saved, moved, wider = (np.array([getattr(row, key) for row in part]) for key in ("saved", "moved", "widening"))
        print(
            f"{spare:.0%}: saved {saved.mean():.1%}, median moved by up to {np.abs(moved).max():.2%}, interval wider "
            f"by {wider.mean():+.1%} on average, {wider.min():+.1%} to {wider.max():+.1%}"
        )
    print(record.write("sparing", {"rows": [asdict(row) for row in rows]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
