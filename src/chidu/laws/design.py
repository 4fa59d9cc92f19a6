"""A table as a form reads it: which form, whether there are enough runs, and the arrays."""

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.forms import FORMS, Form
from chidu.runs import RunTable
from chidu.stats import Array

SAME = 0.05
"""Log range within which a column counts as never varied."""


def choose_form(runs: RunTable, form: str) -> Form:
    """Find a form by name; `auto` is Chinchilla's where params and tokens are known, else the compute frontier.

    Raises:
        InputError: an unknown form, or one whose columns the table lacks.
    """
    key = ("chinchilla" if runs.has_params else "frontier") if form == "auto" else form
    if key not in FORMS:
        raise InputError(f"there is no law {form!r}; there are auto, {', '.join(FORMS)}")
    inputs = FORMS[key].inputs
    if inputs == ("flops",) and any(run.with_flops().flops is None for run in runs):
        raise InputError("a compute frontier needs flops, or params and tokens, of every run")
    if {"params", "tokens"} <= set(inputs) and not runs.has_params:
        raise InputError(f"the {key} law needs params and tokens of every run; fit form='frontier' to loss and flops")
    for name in inputs if inputs != ("flops",) else ():
        _check_column(runs, key, name)
    return FORMS[key]


def _check_column(runs: RunTable, key: str, name: str) -> None:
    values = runs.column(name)
    bad = np.flatnonzero(~(values > 0))
    if len(bad) == 0:
        return
    where = f"row {runs.lines[bad[0]]}" if runs.lines else f"run {bad[0] + 1}"
    what = "has none" if np.isnan(values[bad[0]]) else f"has {values[bad[0]]:g}"
    if len(bad) == len(values) and np.isnan(values).all():
        raise InputError(f"the {key} law needs a column {name}; map one with --column {name}=ITS_NAME")
    raise InputError(
        f"the {key} law needs a positive {name} of every run, but {where} {what}; fill it in or leave it out"
    )


def check_enough(table: RunTable, shape: Form) -> None:
    """Count runs against parameters.

    Raises:
        InputError: fewer runs than parameters.
        Refusal: hardly any two runs differ in size, or the form's own columns never vary.
    """
    needed = len(shape.names)
    if len(table) < needed:
        raise InputError(
            f"{len(table)} {_plural('run', len(table))}, but the law has {needed} parameters: "
            f"add at least {needed - len(table)} more"
        )
    _check_varied(table, shape)
    points = {tuple(row) for row in np.stack([table.column(name) for name in shape.inputs], axis=1)}
    if len(points) < 3:
        raise Refusal(
            f"the runs are of only {len(points)} different {' and '.join(shape.inputs)}: no law can be seen in them; "
            "add runs of other sizes"
        )


def _check_varied(table: RunTable, shape: Form) -> None:
    """Refuse what the forms of more than size and length are for, where no run shows it."""
    if len(shape.inputs) < 3:
        return
    logs = {name: np.log(table.column(name)) for name in shape.inputs}
    for name, values in logs.items():
        if np.ptp(values) < SAME:
            raise Refusal(
                f"all runs have about the same {name} ({np.exp(values.mean()):.3g}): "
                f"the {shape.key} law needs runs that differ in it"
            )
    if shape.key == "repetition" and (logs["tokens"] - logs["unique_tokens"]).max() < SAME:
        raise Refusal("no run repeats its data, so nothing can be said of repetition; fit form='tied'")
    if shape.key == "moe" and np.ptp(logs["active_params"] - logs["params"]) < SAME:
        raise Refusal("every run has the same share of active params; fit form='chinchilla'")


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def make_arrays(table: RunTable, shape: Form) -> tuple[Array, Array, Array]:
    """Centred log inputs [n, K], log losses [n], and the centre [K]."""
    x = np.log(np.stack([table.column(name) for name in shape.inputs], axis=1))
    centre = shape.centre(x)
    return x - centre, np.log(table.column("loss")), centre
