"""`chidu split`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, check_level, read_number, read_table, show
from chidu.errors import InputError


@app.command
def split(
    runs: Path,
    /,
    *,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    serve_tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    unique_tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    minimise: str = "flops",
    hardware: str = "h100",
    serve_utilisation: float = 0.1,
    repeat_tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    repeat_params: Annotated[float | None, Parameter(converter=read_number)] = None,
    level: float = 0.9,
    form: str = "auto",
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Split a compute budget between params and tokens: the best split, how near others come, what it costs.

    Prints the compute-optimal split with the range that is nearly as good, Approaches 1 to 3 side by side, and, where
    asked for, the split that is cheapest once served tokens count, and the best over a limited text.

    Example: `chidu split runs.csv --flops 1e21`

    Example: `chidu split runs.csv --flops 1e21 --serve-tokens 1T --unique-tokens 10B --hardware h100`

    Parameters
    ----------
    runs
        Runs with params, tokens and loss: a table or folder, as for `chidu fit`.
    flops
        Compute of training; by default ten times the largest run's.
    serve_tokens
        Tokens that the model serves over its life, prompts and answers.
    unique_tokens
        Different tokens that there are to train on; more are repeats.
    minimise
        What the served model is cheapest in: flops, or dollars.
    hardware
        The device to price on (see `hardware.yaml`).
    serve_utilisation
        Part of the device's peak that serving reaches: an assumption, measure yours.
    repeat_tokens
        How slowly repeated tokens lose their worth, R_D* of 2305.16264; its 15.4 unless form repetition fits it.
    repeat_params
        How slowly params beyond what the text can feed lose theirs, R_N*; 5.3, or fitted.
    level
        Probability of the intervals.
    form
        chinchilla, coupled, repetition (needs unique_tokens), or auto.
    """
    from chidu.forecast.split import split_budget
    from chidu.laws.fit import fit as fit_law

    check_level(level)
    if minimise not in ("flops", "dollars"):
        raise InputError(f"--minimise {minimise}: it is flops or dollars")
    table = read_table(runs, column)
    law = fit_law(table, form=form, seed=seed)
    answer = split_budget(
        law,
        flops=10 * max(each.flops or 0.0 for each in law.runs) if flops is None else flops,
        serve_tokens=serve_tokens,
        unique_tokens=unique_tokens,
        minimise=minimise,  # type: ignore[arg-type]
        hardware=hardware,
        serve_utilisation=serve_utilisation,
        repeat_tokens=repeat_tokens,
        repeat_params=repeat_params,
        level=level,
    )
    notes = [*table.notes, *law.warnings]
    text = "\n".join([str(answer), "", *[f"note: {note}" for note in notes]]).rstrip()
    show(json_, {**answer.to_json(), "notes": notes}, text)
