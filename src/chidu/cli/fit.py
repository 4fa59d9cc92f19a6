"""`chidu fit`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_table, show
from chidu.errors import InputError


@app.command
def fit(
    runs: Path,
    /,
    *,
    form: str = "auto",
    metric: str | None = None,
    warmup: int = 0,
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: a power law towards a floor.

    Example: `chidu fit runs.csv --column params=N --column tokens=D`

    Example: `chidu fit sweeps.csv --form optimum`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss, and what the form reads besides.
    form
        Of the loss: auto, chinchilla, tied, coupled, frontier, kaplan, overtraining, repetition, moe, shape. Of other
        things: optimum (the best rate and batch, from sweeps), metric (a task's metric from the loss), curve (losses
        along runs from their learning rates); see docs/statistics.md.
    metric
        The column that form metric fits.
    warmup
        Steps over which the rate rises before the first row of a run; for form curve.
    """
    if metric is not None and form not in ("auto", "metric"):
        raise InputError(f"--metric goes with --form metric, not {form}")
    if form == "metric" and metric is None:
        raise InputError("--form metric needs --metric, the column to fit")
    table = read_table(runs, column)
    if metric is not None:
        from chidu.laws.metric import fit_metric

        curve = fit_metric(table, metric, seed=seed)
        return show(json_, curve.to_json(), str(curve))
    if form == "optimum":
        from chidu.laws.optimum import fit_optimum

        best = fit_optimum(table, seed=seed)
        return show(json_, best.to_json(), str(best))
    if form == "curve":
        from chidu.laws.curve import curves_of, fit_curves

        law = fit_curves(curves_of(table, warmup=warmup))
        return show(json_, law.to_json(), str(law))
    from chidu.laws.fit import fit as fit_law

    made = fit_law(table, form=form, seed=seed)
    return show(json_, made.to_json(), str(made))
