"""`chidu report`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, read_table, show


@app.command
def report(
    source: Path,
    /,
    *,
    out: Path | None = None,
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Write the page of a lab, or of a table of runs: figures, forecast, cost, next run, what was set aside.

    Example: `chidu report lab`   or   `chidu report runs.csv --out report.html`

    Parameters
    ----------
    source
        A lab folder that `chidu run` finished, or a table or folder of runs as `chidu fit` takes.
    out
        The page; by default `report.html` beside the source.
    """
    from chidu.report import summarise, to_text, write_report

    lab = (source / "loop.json").exists()
    if lab:
        from chidu.loop import study_of_lab

        study = study_of_lab(source)
    else:
        from chidu.loop import study_of_table

        study = study_of_table(read_table(source, column), source.resolve().name, seed)
    page = out or (source / "report.html" if lab or not source.name else source.with_name("report.html"))
    write_report(study, page)
    show(json_, summarise(study), f"{to_text(study)}\n\nreport: {page}")
