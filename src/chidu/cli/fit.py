"""`chidu fit`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, read_number, read_table, show, show_with_notes
from chidu.errors import InputError


@app.command
def fit(
    runs: Path,
    /,
    *,
    form: str = "auto",
    group: str | None = None,
    metric: str | None = None,
    chance: float | None = None,
    best: float | None = None,
    warmup: int = 0,
    bootstrap: str = "runs",
    profile: Annotated[list[str] | None, Parameter(name="--profile")] = None,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: a power law towards a floor.

    Example: `chidu fit runs.csv --column params=N --column tokens=D`

    Example: `chidu fit sweeps.csv --form optimum`
    Example: `chidu fit runs.csv --profile E --profile loss --params 70e9 --tokens 1.4e12`

    Parameters
    ----------
    runs
        Runs with params, tokens and loss, or flops and loss, and what the form reads besides: a CSV, JSONL or Parquet
        table, or what W&B, MLflow, TensorBoard, a Hugging Face Trainer or nanoGPT left.
    form
        Of the loss: auto, chinchilla, tied, coupled, frontier, kaplan, overtraining, repetition, moe, shape. Of other
        things: optimum (the best rate and batch, from sweeps), metric (a task's metric from the loss), curve (losses
        along runs from their learning rates); see docs/statistics.md.
    group
        Fit the runs of this group or family alone.
    metric
        The column that form metric fits.
    chance
        What guessing gets of the metric, such as 0.25.
    best
        The best value that the metric can have; 1 or 0 of a share, by default.
    warmup
        Steps over which the rate rises before the first row of a run; for form curve.
    bootstrap
        What the parameters' intervals are resampled over: runs, groups (of runs that err together), or wild (signs of
        the residuals).
    profile
        A parameter, or loss: how well the law still fits with other values of it, and the values that fit about as
        well.
    params
        Of the point of `--profile loss`.
    tokens
        Of the point of `--profile loss`.
    flops
        Of the point of `--profile loss`, for a law of compute.
    """
    if metric is not None and form not in ("auto", "metric"):
        raise InputError(f"--metric goes with --form metric, not {form}")
    if form == "metric" and metric is None:
        raise InputError("--form metric needs --metric, the column to fit")
    if metric is None and (chance is not None or best is not None):
        raise InputError("--chance and --best are of a metric: name its column with --metric")
    # a loss curve needs no size of a run, which a table of runs has to say
    table = read_table(runs, ["flops=1", *(column or [])] if form == "curve" else column)
    if metric is not None:
        from chidu.laws.metric import fit_metric

        curve = fit_metric(table, metric, chance=chance, best=best, seed=seed)
        return show(json_, curve.to_json(), str(curve))
    if form == "optimum":
        from chidu.laws.optimum import fit_optimum

        found = fit_optimum(table, seed=seed)
        return show(json_, found.to_json(), str(found))
    if form == "curve":
        from chidu.laws.curve import curves_of, fit_curves

        law = fit_curves(curves_of(table, warmup=warmup))
        return show(json_, law.to_json(), str(law))
    from chidu.laws.fit import fit as fit_law
    from chidu.laws.profile import profile as profile_law

    made = fit_law(table, form=form, group=group, seed=seed, bootstrap=bootstrap)
    profiles = [profile_law(made, name, params=params, tokens=tokens, flops=flops) for name in profile or []]
    value = made.to_json() | ({"profiles": [each.to_json() for each in profiles]} if profiles else {})
    return show_with_notes(json_, value, "\n".join(map(str, [made, *profiles])), table.notes)
