"""Which runs a backtest holds out: the largest ones, at several distances from the largest run that is still fitted.

A *cut* keeps the runs up to an amount of compute, dirty rows and all, as they would have stood in the table at that
time. Of the runs above it, those of about one distance are asked for; of the cuts that leave enough of them, the
highest is taken, which keeps most runs.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chidu.errors import Refusal
from chidu.forecast.groups import label
from chidu.laws.fit import Fit
from chidu.laws.forms import FORMS
from chidu.runs import Run, RunTable
from chidu.stats import Array

DISTANCES = (2.0, 5.0, 10.0, 30.0, 100.0)
"""How many times the largest fitted run's compute the held-out runs are to have, about."""
EDGES = (1.5, *(float(np.sqrt(a * b)) for a, b in pairwise(DISTANCES)), 180.0)
"""Where one distance ends and the next begins: halfway, in logs. Nearer than the first is no extrapolation."""
ENOUGH = 10
"""Runs to hold out at a distance, where the table allows it."""
ALIKE = 1.25
"""Distances that differ by less than this factor are one."""
LEVELS_BELOW = 2
"""Amounts of compute that a cut must leave: one alone says nothing about the next."""
SAME_BUDGET = 1.2
"""Runs whose compute lies within this factor were given the same amount of it."""


@dataclass(frozen=True)
class Cut:
    """The runs up to an amount of compute, and the larger ones that they are asked for."""

    about: float
    """The one of `DISTANCES` that it is for."""
    distance: float
    """Geometric mean of the targets' compute over the largest fitted run's."""
    largest_flops: float
    """Of the usable runs that are kept."""
    kept: RunTable
    """As they were read: the fit has to find out which are usable."""
    targets: tuple[Run, ...]


def budgets(flops: Array) -> list[NDArray[np.intp]]:
    """Group runs by their compute, [n] -> positions of each group's runs, least compute first."""
    order = np.argsort(flops, kind="stable")
    starts = [0]
    for i in range(1, len(order)):
        if flops[order[i]] > SAME_BUDGET * flops[order[starts[-1]]]:
            starts.append(i)
    return np.split(order, starts[1:])


def hold_out(table: RunTable, law: Fit) -> list[Cut]:
    """Choose a cut for each of the distances, as far as the table goes, nearest first.

    Args:
        table: the runs as they were read, each with its flops.
        law: their fit, which says which of them are usable, and so may be targets.

    Raises:
        Refusal: no cut leaves enough runs below it and a target above.
    """
    possible = _possible(table, law)
    best = []
    for about in DISTANCES:
        cuts = [cut for cut in possible if cut.about == about]
        if cuts:
            best.append(max(cuts, key=lambda cut: (min(len(cut.targets), ENOUGH), cut.largest_flops)))
    if not best:
        raise Refusal(_why_not(law))
    return [cut for cut in best if not any(_overshadows(other, cut) for other in best)]


def _overshadows(other: Cut, cut: Cut) -> bool:
    """Whether another cut asks about the same distance and keeps more: of ladders with few amounts of compute."""
    return abs(np.log(other.distance / cut.distance)) < np.log(ALIKE) and other.largest_flops > cut.largest_flops


def _possible(table: RunTable, law: Fit) -> list[Cut]:
    """Every cut between two amounts of compute that leaves enough runs, with its targets of every distance."""
    flops, able, out = law.runs.column("flops"), targets_of(law), []
    sizes = np.array([run.flops for run in able], dtype=float)
    levels = budgets(flops)
    for last in range(LEVELS_BELOW, len(levels)):
        below = np.concatenate(levels[:last])
        if len({_size(law, law.runs.runs[i]) for i in below}) < _least(law):
            continue
        largest = float(flops[below].max())
        labels = {label(law.runs.runs[i]) for i in below}
        kept = _take(table, table.column("flops") <= largest)
        for about, low, high in zip(DISTANCES, EDGES, EDGES[1:], strict=False):
            near = np.flatnonzero((low * largest <= sizes) & (sizes < high * largest))
            # Of a group that has smaller runs, where any is: labels may name sizes.
            chosen = [i for i in near if label(able[i]) in labels] or list(near)
            if chosen:
                distance = float(np.exp(np.log(sizes[chosen] / largest).mean()))
                out.append(Cut(about, distance, largest, kept, tuple(able[i] for i in chosen)))
    return out


def _least(law: Fit) -> int:
    """Runs of different sizes that a cut must leave: one more than the law has parameters."""
    return len(FORMS[law.form].names) + 1


def _why_not(law: Fit) -> str:
    flops = law.runs.column("flops")
    return (
        f"{len(law.runs)} usable runs over a factor of {flops.max() / flops.min():.3g} in compute are too small a "
        f"table to backtest: a cut must leave {_least(law)} sizes of run at {LEVELS_BELOW} amounts of compute below "
        f"it, and above it one of {EDGES[0]} times the compute or more"
    )


def _size(law: Fit, run: Run) -> tuple[float | None, ...]:
    """What tells a run's cell from others: what the law reads, of a frontier also how the compute was split."""
    names = ("params", "tokens") if law.inputs == ("flops",) and law.runs.has_params else law.inputs
    return tuple(getattr(run, name) for name in names)


def _take(table: RunTable, mask: NDArray[np.bool_]) -> RunTable:
    """Some rows of a table that has set none aside yet."""
    kept = np.flatnonzero(mask)
    runs, lines = tuple(table.runs[i] for i in kept), tuple(table.lines[i] for i in kept)
    return replace(table, runs=runs, lines=lines, set_aside=())


def targets_of(law: Fit) -> list[Run]:
    """The runs that may be forecast: fitted, not undertrained, and of each cell the best rate and batch."""
    cells: dict[object, dict[object, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run, used in zip(law.runs, law.used, strict=True):
        if used:
            cells[(label(run), _size(law, run))][(run.learning_rate, run.batch_tokens)].append(run)
    best = (min(cell.values(), key=lambda runs: float(np.mean([run.loss for run in runs]))) for cell in cells.values())
    return [run for runs in best for run in runs]
