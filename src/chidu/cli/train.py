"""`chidu train`."""

from pathlib import Path
from typing import Literal

from chidu.cli.app import app
from chidu.cli.options import Json, Number, Seed, check_device, open_terminal, show


@app.command
def train(
    *,
    data: Path = Path("lab/data"),
    out: Path = Path("run"),
    config: Path | None = None,
    width: int = 64,
    tokens: Number = 1e6,
    device: str = "",
    threads: int = 1,
    parametrisation: Literal["mup", "standard"] = "mup",
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train one model, from a config or by the recipe from its width and tokens.

    Example: `chidu train --data lab/data --width 64 --tokens 2M --out run`

    Parameters
    ----------
    data
        A folder that `chidu data` wrote.
    out
        The run's folder; killed, the same command goes on from its checkpoint.
    config
        A TrainConfig in JSON, such as a run's `config.json`; overrides width, tokens and seed.
    width
        Width of the model; the recipe derives the rest.
    tokens
        Training tokens.
    device
        cpu or cuda; found out by default.
    threads
        Threads on the CPU.
    parametrisation
        Of the recipe: mup; or standard, one learning rate for everything at every size.
    """
    from chidu.stages import train_stage

    check_device(device)
    with open_terminal(json_) as watch:
        landed = train_stage(
            data,
            out,
            watch,
            config=config,
            width=width,
            tokens=tokens,
            device=device,
            threads=threads,
            seed=seed,
            parametrisation=parametrisation,
        )
    show(json_, landed.to_json(), f"{landed.status}: loss {landed.loss:.4f} nats/token in {out}")
