"""A table as the parts that one law each can serve.

A fit keeps the group (or family) of the largest run where others lie apart from it, and sets theirs aside. A backtest
looks at each of them, and never lets a cut change over from one to another.
"""

from collections import Counter
from dataclasses import dataclass, replace

from chidu.errors import InputError, Refusal
from chidu.laws.design import choose_form
from chidu.laws.fit import Fit, fit
from chidu.laws.pooling import FEWEST, STRANGER, keep_group
from chidu.laws.select import select_runs
from chidu.runs import Run, RunTable

Label = tuple[str | None, str | None]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that one law serves."""

    group: str
    """Its group and family; empty where the table is in one part."""
    table: RunTable
    """As they were read, numbered, each with its flops."""
    law: Fit
    """Their fit, which says which of them are usable."""


def label(run: Run) -> Label:
    """What tells the runs of one group from those of another."""
    return run.group, run.family


def split_groups(table: RunTable, *, form: str, group: str | None, seed: int) -> tuple[list[Part], list[str]]:
    """The table as one part, or the groups that lie apart, that of the largest run first; and what to note.

    Args:
        table: the runs as they were read.
        form: as `fit` takes it.
        group: the part of this group or family alone.
        seed: of the fits.

    Raises:
        InputError: an unknown form or group, or columns that the form lacks.
        Refusal: too few runs, or the runs cannot be fitted.
    """
    table = _number(keep_group(table, group) if group is not None else table)
    _check_enough(table, form)
    law = fit(table, form=form, seed=seed)
    labels = dict(zip(table.lines, map(label, table.runs), strict=True))
    counts = Counter(labels.values())
    apart = {labels[gone.row] for gone in law.runs.set_aside if gone.reason.startswith(STRANGER)}
    if not apart:
        return [Part("", table, law)], []
    kept = " + ".join(sorted({_name(label(run)) for run in law.runs}))
    parts = [Part(kept, _take(table, set(counts) - apart), law)]
    notes = [f"{len(apart) + 1} groups lie apart and are backtested one by one; forecasts are of {parts[0].group}"]
    for other in sorted(apart, key=_name):
        own = _take(table, {other})
        try:
            if counts[other] >= FEWEST:
                parts.append(Part(_name(other), own, fit(own, form=form, seed=seed)))
        except (Refusal, InputError) as why:
            notes.append(f"{_name(other)}: {why}")
    return parts, notes


def _check_enough(table: RunTable, form: str) -> None:
    """A fit needs as many runs as its law has parameters; a backtest two more.

    Raises:
        Refusal: there are fewer.
    """
    shape = choose_form(table, form)
    frontier = shape.inputs == ("flops",)
    sizes = ("params", "tokens") if frontier else shape.inputs
    least, usable = len(shape.names) + 2, len(select_runs(table, frontier=frontier, sizes=sizes))
    if usable < least:
        raise Refusal(
            f"{usable} usable runs are too few to backtest: {least} or more are needed, so that some can be held out; "
            "add runs"
        )


def _number(runs: RunTable) -> RunTable:
    """The same table, each run with its flops, each row with its line, none set aside yet."""
    lines = runs.lines or tuple(range(1, len(runs) + 1))
    return replace(runs, runs=tuple(run.with_flops() for run in runs), lines=lines, set_aside=())


def _take(table: RunTable, labels: set[Label]) -> RunTable:
    """The rows of some groups."""
    kept = [(run, line) for run, line in zip(table.runs, table.lines, strict=True) if label(run) in labels]
    return replace(table, runs=tuple(run for run, _ in kept), lines=tuple(line for _, line in kept))


def _name(of: Label) -> str:
    return ", ".join(name for name in of if name) or "the rows without a group"
