"""`chidu next`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, read_number, read_table, show_with_notes
from chidu.errors import InputError


@app.command(name="next")
def next_(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    count: Annotated[int, Parameter(name="--runs")] = 1,
    budget_flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    candidates: Path | None = None,
    criterion: str = "interval",
    score: Path | None = None,
    hardware: str = "h100",
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Say which run to train next, so that the target's interval narrows most for its price.

    Example: `chidu next runs.csv --params 70e9 --tokens 1.4e12`

    Example: `chidu next runs.csv --runs 3 --budget-flops 1e20`

    Parameters
    ----------
    runs
        Runs with params, tokens and loss, or flops and loss: a CSV, JSONL or Parquet table, or what W&B, MLflow,
        TensorBoard, a Hugging Face Trainer or nanoGPT left.
    params
        Parameters of the target.
    tokens
        Training tokens of the target.
    flops
        Compute of the target; by default ten times the largest run's.
    count
        How many runs to train together.
    budget_flops
        The most that one run may take; by default three times the largest run's, or what the candidates take.
    candidates
        A CSV of the runs to choose from: params and tokens, or flops; by default a grid.
    criterion
        interval: narrow the target's interval; regret: know better how to split the target's compute.
    score
        Choose nothing, but score a plan, a CSV as for candidates: the interval that all of it would leave.
    hardware
        The device to price on (see `hardware.yaml`).
    """
    from chidu.forecast.candidates import read_plan
    from chidu.forecast.design_score import DesignScore, score_design
    from chidu.forecast.next_run import CRITERIA, NextRun, NextRuns, next_run, next_runs
    from chidu.laws.fit import fit as fit_law

    if criterion not in CRITERIA:
        raise InputError(f"--criterion {criterion}: it is {' or '.join(CRITERIA)}")
    if count != 1 and (criterion != "interval" or score is not None):
        raise InputError("--runs chooses several runs by criterion interval, and is not for --score")
    if (params is None) != (tokens is None):
        raise InputError("give both --params and --tokens of the target, or --flops")

    given = read_plan(candidates) if candidates else None
    plan = read_plan(score) if score else None
    table = read_table(runs, column)
    law = fit_law(table, seed=seed)
    largest = max(each.flops or 0.0 for each in law.runs)
    size = 10 * largest if flops is None else flops
    target = (params, tokens) if params is not None and tokens is not None else size
    answer: DesignScore | NextRun | NextRuns
    if plan is not None:
        answer = score_design(law, plan, target, hardware=hardware)
    elif count != 1:
        answer = next_runs(law, count, target=target, budget_flops=budget_flops, candidates=given, hardware=hardware)
    else:
        answer = next_run(
            law,
            target=target,
            budget_flops=budget_flops,
            candidates=given,
            hardware=hardware,
            criterion=criterion,  # type: ignore[arg-type]
        )
    show_with_notes(json_, answer.to_json(), str(answer), table.notes)
