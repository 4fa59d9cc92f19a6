"""`chidu run`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Duration, Json, Seed, check_level, open_terminal, show


@app.command
def run(
    sources: Annotated[list[str], Parameter(help="Files or folders of text, or `builtin`.")],
    /,
    *,
    out: Path = Path("lab"),
    budget: Duration = 600.0,
    target: str = "10x",
    design: str = "auto",
    confirm: bool = False,
    vocab_size: int = 1024,
    level: float = 0.9,
    hardware: str = "",
    metrics: bool = False,
    workers: int = 0,
    parametrisation: Literal["mup", "standard"] = "mup",
    spare: float = 0.0,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Do the whole loop: data, plan, gates, ladder, law, forecast, next run, report.

    Example: `chidu run my_texts/ --budget 10min --target 10x --out lab`

    Called again on the same folder it goes on where it was.

    Parameters
    ----------
    out
        The lab folder.
    budget
        Wall-clock time of the ladder on this machine: 90s, 10min, 2h.
    target
        What to forecast: a multiple of the largest rung's compute, or FLOPs.
    design
        The ladder's shape: grid, isoflop, trunk, optimal (searched for the target), or auto, the best of them.
    confirm
        Train the target too, and score the locked forecast; with --metrics those of its scores too.
    vocab_size
        Tokens of the byte-level BPE; 257 for plain bytes.
    level
        Probability that the interval is to hold.
    hardware
        Price the target on this device too (see `hardware.yaml`).
    metrics
        Examine every run on how held-out passages go on (task continuation), and forecast the target's score too.
    workers
        Runs side by side; one a core or GPU by default.
    parametrisation
        mup; or standard, one learning rate for everything at every size, to compare with.
    spare
        Leave out runs on the way that the forecast hardly needs: the part of the interval's width to give up for that,
        such as 0.02; 0 for none.
    """
    from chidu.loop import LoopOptions, run_loop
    from chidu.report import summarise, to_text

    check_level(level)
    with open_terminal(json_) as watch:
        study = run_loop(
            LoopOptions(
                sources=sources,
                budget_seconds=budget,
                target=target,
                vocab_size=vocab_size,
                level=level,
                seed=seed,
                workers=workers,
                hardware=hardware,
                parametrisation=parametrisation,
                design=design,
                metrics=metrics,
                spare=spare,
            ),
            out,
            watch,
            confirm=confirm,
        )
    show(
        json_, summarise(study), f"{to_text(study)}\n\nreport: {out / 'report.html'}   summary: {out / 'summary.json'}"
    )
