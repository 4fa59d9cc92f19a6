"""`chidu fit`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_number, read_table, show


@app.command
def fit(
    runs: Path,
    /,
    *,
    form: str = "auto",
    bootstrap: str = "runs",
    profile: Annotated[list[str] | None, Parameter(name="--profile")] = None,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: a power law towards a floor.

    Example: `chidu fit runs.csv --column params=N --column tokens=D`

    Example: `chidu fit runs.csv --profile E --profile loss --params 70e9 --tokens 1.4e12`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss.
    form
        chinchilla, frontier, or auto.
    bootstrap
        What the parameters' intervals are resampled over: runs, groups (of runs that err together), or wild (signs of
        the residuals).
    profile
        A parameter, or loss: how well the law still fits with other values of it, and the values that fit about as
        well.
    params
        Of the point of `--profile loss`.
    tokens
        Of the point of `--profile loss`.
    flops
        Of the point of `--profile loss`, for a law of compute.
    """
    from chidu.laws.fit import fit as fit_law
    from chidu.laws.profile import profile as profile_law

    law = fit_law(read_table(runs, column), form=form, seed=seed, bootstrap=bootstrap)
    profiles = [profile_law(law, name, params=params, tokens=tokens, flops=flops) for name in profile or []]
    value = law.to_json() | ({"profiles": [made.to_json() for made in profiles]} if profiles else {})
    show(json_, value, "\n".join(map(str, [law, *profiles])))
