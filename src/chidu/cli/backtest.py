"""`chidu backtest`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, check_level, open_terminal, read_table, show_with_notes


@app.command
def backtest(
    runs: Path,
    /,
    *,
    out: Path | None = None,
    level: float = 0.9,
    form: str = "auto",
    group: str | None = None,
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Hold out the largest runs at several distances, forecast them from the rest, and say how that went.

    Example: `chidu backtest runs.csv --out .`

    Beside chidu stands each law alone, with its bootstrap: the method of the papers. Written beside the runs, the
    result is quoted by `chidu forecast`.

    Parameters
    ----------
    runs
        Runs with params, tokens and loss, or flops and loss: a CSV, JSONL or Parquet table, or what W&B, MLflow,
        TensorBoard, a Hugging Face Trainer or nanoGPT left.
    out
        A folder, for `backtest.html` and `backtest.json`; or a page, PAGE.html, with its JSON beside it.
    level
        Probability that the intervals are to hold.
    form
        chinchilla, frontier, or auto.
    group
        The runs of this group or family alone; else groups that lie apart are tried one by one.
    """
    from chidu.forecast.backtest import backtest as hold_out

    check_level(level)
    table = read_table(runs, column)
    with open_terminal(json_) as watch:
        made = hold_out(table, form=form, group=group, level=level, seed=seed, progress=watch.share("backtest"))
    text = str(made)
    if out is not None:
        from chidu.calibration import write_backtest

        page = write_backtest(made, out, runs.name)
        text += f"\n\nbacktest: {page}   {page.with_suffix('.json')}"
    show_with_notes(json_, made.to_json(), text, table.notes)
