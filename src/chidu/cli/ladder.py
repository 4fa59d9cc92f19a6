"""`chidu ladder`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, open_terminal, show


@app.command
def ladder(
    plan: Path,
    /,
    *,
    data: Path = Path("lab/data"),
    out: Path = Path("lab"),
    checkpoint_seconds: float = 20.0,
    json_: Json = False,
) -> None:
    """Train the runs of a plan; those that are done already are skipped.

    Example: `chidu ladder lab/plan.json --data lab/data --out lab`

    Writes `runs/` and last `runs.csv`. Killed at any moment, the same command goes on and ends with the same table.
    A plan made with `--spare` is climbed from cheap runs to dear ones, and what is left out is said.

    Parameters
    ----------
    plan
        A file that `chidu plan` wrote.
    data
        The data folder that it was made for.
    out
        The lab folder.
    checkpoint_seconds
        Seconds between checkpoints: what a kill costs at most.
    """
    from chidu.forecast.sparing import read_sparing
    from chidu.ladder.plan import Plan
    from chidu.stages import ladder_stage

    loaded = Plan.load(plan)
    with open_terminal(json_) as watch:
        table = ladder_stage(loaded, data, out, watch, checkpoint_seconds=checkpoint_seconds)
    sparing = read_sparing(loaded, out)
    spared = f", {len(sparing.spared)} left out" if sparing and sparing.spared else ""
    show(json_, [run.to_json() for run in table], f"{len(table)} runs in {out / 'runs.csv'}{spared}")
