"""`chidu plan`."""

from pathlib import Path
from typing import Literal

from chidu.cli.app import app
from chidu.cli.options import Duration, Json, Seed, open_terminal, show


@app.command
def plan(
    *,
    data: Path = Path("lab/data"),
    budget: Duration = 600.0,
    design: str = "auto",
    target: str = "10x",
    out: Path = Path("lab/plan.json"),
    workers: int = 0,
    parametrisation: Literal["mup", "standard"] = "mup",
    spare: float = 0.0,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Measure this machine and choose the runs of a ladder that fits a time.

    Example: `chidu plan --data lab/data --budget 90s --target 10x --out lab/plan.json`

    Of each design it shows how wide the target's interval is expected to be, and the price, before anything runs.

    Parameters
    ----------
    data
        A folder that `chidu data` wrote.
    budget
        Wall-clock time: 90s, 10min, 2h.
    design
        Its shape: grid, isoflop, trunk, optimal (searched for the target), or auto, the best of them (docs/recipe.md).
    target
        What it is to forecast: a multiple of the largest rung's compute, or FLOPs.
    out
        The plan.
    workers
        Runs side by side; one a core or GPU by default.
    parametrisation
        mup; or standard, one learning rate for everything at every size, to compare with.
    spare
        Leave out runs on the way that the forecast hardly needs: the part of the interval's width to give up for that,
        such as 0.02; 0 for none.
    """
    from chidu.data.dataset import Dataset
    from chidu.stages import plan_stage

    opened = Dataset.open(data)
    with open_terminal(json_) as watch:
        made = plan_stage(
            out,
            opened,
            budget,
            watch,
            target=target,
            kind=design,
            seed=seed,
            workers=workers,
            parametrisation=parametrisation,
            spare=spare,
        )
    show(json_, made.to_json(), f"{made}\nplan: {out}")
