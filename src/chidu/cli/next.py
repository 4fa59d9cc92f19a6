"""`chidu next`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_number, read_table, show
from chidu.errors import InputError


@app.command(name="next")
def next_(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    budget_flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    hardware: str = "h100",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Say which run to train next, so that the target's interval narrows most for its price.

    Example: `chidu next runs.csv --params 70e9 --tokens 1.4e12`

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
    budget_flops
        The most that the next run may take; by default three times the largest run's.
    hardware
        The device to price it on (see `hardware.yaml`).
    """
    from chidu.forecast.next_run import next_run
    from chidu.laws.fit import fit as fit_law

    table = read_table(runs, column)
    law = fit_law(table, seed=seed)
    if (params is None) != (tokens is None):
        raise InputError("give both --params and --tokens of the target, or --flops")
    largest = max(each.flops or 0.0 for each in law.runs)
    target = (params, tokens) if params is not None and tokens is not None else flops or 10 * largest
    answer = next_run(law, target=target, budget_flops=budget_flops, hardware=hardware)
    text = "\n".join([str(answer), *[f"note: {note}" for note in table.notes]])
    show(json_, {**answer.to_json(), "notes": list(table.notes)}, text)
