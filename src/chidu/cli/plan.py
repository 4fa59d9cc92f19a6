"""`chidu plan`."""

from pathlib import Path
from typing import Literal

from chidu.cli.app import app
from chidu.cli.options import Duration, Json, open_terminal, show


@app.command
def plan(
    *,
    data: Path = Path("lab/data"),
    budget: Duration = 600.0,
    out: Path = Path("lab/plan.json"),
    workers: int = 0,
    parametrisation: Literal["mup", "standard"] = "mup",
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Measure this machine and choose the runs of a ladder that fits a time.

    Example: `chidu plan --data lab/data --budget 90s --out lab/plan.json`

    Parameters
    ----------
    data
        A folder that `chidu data` wrote.
    budget
        Wall-clock time: 90s, 10min, 2h.
    out
        The plan.
    workers
        Runs side by side; one a core or GPU by default.
    parametrisation
        mup; or standard, one learning rate for everything at every size, to compare with.
    """
    from chidu.data.dataset import Dataset
    from chidu.stages import plan_stage

    opened = Dataset.open(data)
    with open_terminal(json_) as watch:
        made = plan_stage(out, opened, budget, watch, seed=seed, workers=workers, parametrisation=parametrisation)
    show(json_, made.to_json(), f"{made}\nplan: {out}")
