"""`chidu forecast`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, check_level, read_number, read_table, show
from chidu.errors import InputError


@app.command
def forecast(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    unique_tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    targets: Path | None = None,
    out: Path | None = None,
    level: float = 0.9,
    of: str = "run",
    form: str = "auto",
    hardware: str = "h100",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Forecast the loss of runs that were not trained, with an interval.

    Example: `chidu forecast runs.csv --params 70e9 --tokens 1.4e12`

    Example: `chidu forecast runs.csv --targets targets.csv --out out.csv --level 0.9`

    Parameters
    ----------
    runs
        Runs with params, tokens and loss, or flops and loss: a CSV, JSONL or Parquet table, or what W&B, MLflow,
        TensorBoard, a Hugging Face Trainer or nanoGPT left.
    params
        Parameters of the target, counted as in the table.
    tokens
        Training tokens of the target.
    flops
        Compute of the target, instead of params and tokens.
    unique_tokens
        Of the target's tokens, those that are not repeats; for form repetition.
    targets
        A CSV with a row a target: params and tokens, or flops; unique_tokens for form repetition.
    out
        Where to write the answers: the targets' own columns, then median, lower, upper.
    level
        Probability that the interval is to hold.
    of
        run: where one new run will land; law: where the curve is.
    form
        auto, chinchilla, tied, coupled, frontier, kaplan, overtraining, or repetition (docs/statistics.md).
    hardware
        The device to price the target on (see `hardware.yaml`).
    """
    from chidu.forecast.cost import price
    from chidu.forecast.loss import forecast_loss, forecast_targets
    from chidu.forecast.targets import read_targets, write_forecasts
    from chidu.laws.fit import fit as fit_law

    check_level(level)
    if targets is None and params is None and tokens is None and flops is None:
        raise InputError("nothing to forecast: give --params and --tokens, or --flops, or --targets FILE")
    if of not in ("run", "law"):
        raise InputError(f"--of {of}: it is run (where one new run will land) or law (where the curve is)")
    wanted = read_targets(targets) if targets else []
    table = read_table(runs, column)
    law = fit_law(table, form=form, seed=seed)
    if targets is None:
        answer = forecast_loss(
            law,
            params=params,
            tokens=tokens,
            flops=flops,
            unique_tokens=unique_tokens,
            level=level,
            of=of,  # type: ignore[arg-type]
        )
        cost = price(answer.flops, hardware=hardware)
        notes = [*table.notes, *law.warnings]
        value = {**answer.to_json(), "cost": cost.to_json(), "notes": notes}
        show(json_, value, "\n".join([str(answer), f"cost: {cost}", *[f"note: {note}" for note in notes]]))
        return
    answers = forecast_targets(law, wanted, level, of)  # type: ignore[arg-type]
    if out is not None:
        write_forecasts(out, wanted, answers)
    lines = [str(answer) for answer in answers] if out is None else [f"{len(answers)} forecasts in {out}"]
    text = "\n".join([*lines, *[f"note: {note}" for note in table.notes]])
    show(json_, [answer.to_json() for answer in answers], text)
