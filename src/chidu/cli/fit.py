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
        Runs with params, tokens and loss, or flops and loss: a CSV, JSONL or Parquet table, or what W&B, MLflow,
        TensorBoard, a Hugging Face Trainer or nanoGPT left.
    form
        chinchilla, frontier, or auto.
    """
    from chidu.laws.fit import fit as fit_law

    table = read_table(runs, column)
    law = fit_law(table, form=form, seed=seed)
    text = "\n".join([str(law), *[f"  note: {note}" for note in table.notes]])
    show(json_, {**law.to_json(), "notes": list(table.notes)}, text)
