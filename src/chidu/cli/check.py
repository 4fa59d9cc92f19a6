"""`chidu check`."""

from pathlib import Path
from typing import Literal

from chidu.cli.app import app
from chidu.cli.options import Json, Number, open_terminal, read_sizes, show
from chidu.errors import InputError


@app.command
def check(
    what: Literal["coordinates", "rates"],
    /,
    *,
    data: Path = Path("lab/data"),
    out: Path = Path("check"),
    widths: str = "",
    depths: str = "",
    steps: int = 12,
    tokens: Number = 3e5,
    seeds: int = 0,
    parametrisation: Literal["mup", "standard"] = "mup",
    workers: int = 0,
    json_: Json = False,
) -> None:
    """Check that the recipe transfers: that what is right for a small model is right for a wide or deep one.

    `coordinates` trains models of several widths and depths for a few steps, in seconds, and says how far that moves
    their activations: as far at every size, where rates can transfer. `rates` finds the best learning rate of a small
    and a large model by a sweep in steps of x1.5. Both end with a verdict, a page and its JSON.

    Example: `chidu check coordinates --data lab/data --widths 64,128,256,512 --depths 2,4,8`

    Example: `chidu check rates --data lab/data --widths 16,64 --tokens 300k`

    Parameters
    ----------
    what
        coordinates, or rates.
    data
        A folder that `chidu data` wrote.
    out
        Folder of the page and the runs; the same command goes on there.
    widths
        Widths to compare, such as 64,128; rates compares the first and the last.
    depths
        Depths to compare at the first width; of rates, the layers of its widths, by default the recipe's.
    steps
        Optimiser steps of the coordinate check.
    tokens
        Training tokens of each run of a sweep, the same for all sizes.
    seeds
        Runs of each kind; by default 2 for coordinates, 3 for rates.
    parametrisation
        mup; or standard, one rate for everything at every size, to compare with.
    workers
        Runs side by side; one a core or GPU by default.
    """
    from chidu.data.dataset import Dataset
    from chidu.ladder.coordinates import Shapes
    from chidu.ladder.machine import find_device
    from chidu.ladder.rates import RateCheck
    from chidu.ladder.recipe import recipe_for
    from chidu.stages import coordinates_stage, rates_stage

    if steps < 1 or seeds < 0 or workers < 0:
        raise InputError(
            f"--steps {steps} --seeds {seeds} --workers {workers}: give at least one step, nothing negative"
        )
    wide, deep = read_sizes("--widths", widths), read_sizes("--depths", depths)
    opened, recipe = Dataset.open(data), recipe_for(find_device(), parametrisation)
    with open_terminal(json_) as watch:
        if what == "coordinates":
            usual = Shapes()
            shapes = Shapes(
                widths=wide or usual.widths,
                depths=deep or usual.depths,
                width=(wide or usual.widths)[0],
                steps=steps,
                seeds=seeds or usual.seeds,
            )
            made = coordinates_stage(opened, out, watch, recipe=recipe, shapes=shapes, workers=workers)
        else:
            wide = wide or (16, 64)
            layers = (deep[0], deep[-1]) if deep else (None, None)
            swept: RateCheck = rates_stage(
                opened,
                out,
                watch,
                recipe=recipe,
                shapes=[(wide[0], layers[0]), (wide[-1], layers[1])],
                tokens=tokens,
                seeds=seeds or 3,
                workers=workers,
            )
    found = made if what == "coordinates" else swept
    show(json_, found.to_json(), f"{found}\n\nThe page is {out / what}.html")
