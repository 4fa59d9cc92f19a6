"""`chidu fit`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_table, show


@app.command
def fit(
    runs: Path,
    /,
    *,
    form: str = "auto",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: a power law towards a floor.

    Example: `chidu fit runs.csv --column params=N --column tokens=D`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss.
    form
        chinchilla, frontier, or auto.
    """
    from chidu.laws.fit import fit as fit_law

    law = fit_law(read_table(runs, column), form=form, seed=seed)
    show(json_, law.to_json(), str(law))
