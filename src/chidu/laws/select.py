"""Which rows of a dirty table are fitted: every row left out is listed with a reason in words.

A table may hold copied rows, whole learning-rate sweeps, diverged runs, runs that went round their data many times, and
undertrained corners. All but the last are set aside. Undertrained rows stay in the reference fit, as in the published
ones, but no forecast is drawn from them (`forecast_rows`).
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from chidu.runs import Run, RunTable
from chidu.stats import Array

NDBool = NDArray[np.bool_]

SWEEP_SPREAD = 0.01
"""Runs of one cell whose losses differ by more than this were swept (rate, batch), not repeated with other seeds."""
DIVERGED = 1.25
"""A loss this many times that of a smaller and shorter run is no result."""
EPOCHS = 4.0
"""Up to 4 passes over the data are nearly as good as fresh data (Muennighoff et al. 2305.16264)."""
UNDERTRAINED = 3.0
"""Tokens per parameter below which runs bend away from the law."""
FEWEST = 6
"""Rows that a filter must leave to be applied."""
ABOVE, ABOVE_SDS = 0.05, 12.0
"""A run diverged that lies this far above the reference law: in log loss, and in robust standard deviations."""


SIZES = ("params", "tokens")


def sizes_of(inputs: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of size for a law that reads some inputs: those, or params and tokens for a law of compute."""
    return SIZES if inputs == ("flops",) else inputs


def select_runs(table: RunTable, *, frontier: bool, sizes: tuple[str, ...] = SIZES) -> RunTable:
    """Set aside what can be shown to be unusable; the rest is fitted.

    Args:
        table: the runs as they were read.
        frontier: fit loss against compute alone: of a table with params, only the best runs at their compute.
        sizes: the columns that make two runs the same cell, and that a larger run has more of: those of the law.
    """
    table = table.without(_copies(table, sizes))
    repeated = {} if "unique_tokens" in sizes else _repeated(table)
    if len(table) - len(repeated) >= FEWEST:
        table = table.without(repeated)
    table = table.without(_worse_of_sweeps(table, sizes))
    table = table.without(_diverged(table, sizes))
    return table.without(_behind_frontier(table)) if frontier and table.has_params else table


def _known(table: RunTable, sizes: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of size, or flops where some run lacks one."""
    return sizes if not any(np.isnan(table.column(name)).any() for name in sizes) else ("flops",)


def _cells(table: RunTable, sizes: tuple[str, ...]) -> list[list[int]]:
    """Positions of the runs of one group that share their sizes (or, where those are not known, flops)."""
    cells = defaultdict(list)
    names = _known(table, sizes)
    for i, run in enumerate(table.runs):
        cells[(run.group, run.family, *[getattr(run, name) for name in names])].append(i)
    return list(cells.values())


def _copies(table: RunTable, sizes: tuple[str, ...]) -> dict[int, str]:
    """Rows that say again what an earlier row said: the same size, setting, seed and loss. They are no new evidence."""
    first: dict[tuple[object, ...], int] = {}
    reasons = {}
    lines = table.lines or tuple(range(1, len(table) + 1))
    for i, run in enumerate(table.runs):
        size = (run.params, run.tokens, run.flops, *[getattr(run, name) for name in sizes])
        said = (run.group, run.family, *size, run.seed, *_setting(run), run.loss)
        if said in first:
            reasons[i] = f"a copy of row {lines[first[said]]}: same size, setting and loss"
        first.setdefault(said, i)
    return reasons


def _setting(run: Run) -> tuple[float | None, float | None]:
    return run.learning_rate, run.batch_tokens


def _worse_of_sweeps(table: RunTable, sizes: tuple[str, ...]) -> dict[int, str]:
    """In each cell with settings apart by more than `SWEEP_SPREAD`, all but the best setting's runs."""
    reasons = {}
    for cell in _cells(table, sizes):
        losses = [table.runs[i].loss for i in cell]
        if max(losses) <= min(losses) * (1 + SWEEP_SPREAD):
            continue
        known = all(_setting(table.runs[i]) != (None, None) for i in cell)
        seeds = len({table.runs[i].seed for i in cell}) == len(cell) and table.runs[cell[0]].seed is not None
        if known:
            groups = defaultdict(list)
            for i in cell:
                groups[_setting(table.runs[i])].append(i)
            best = min(groups.values(), key=lambda group: float(np.mean([table.runs[i].loss for i in group])))
        else:
            best = cell if seeds else [min(cell, key=lambda i: table.runs[i].loss)]
        lowest = float(np.mean([table.runs[i].loss for i in best]))
        for i in set(cell) - set(best):
            worse = table.runs[i].loss / lowest - 1
            reasons[i] = f"swept: {worse:+.1%} against the best of the {len(cell)} runs of its params and tokens"
    return reasons


def _diverged(table: RunTable, sizes: tuple[str, ...]) -> dict[int, str]:
    """Runs that a smaller and shorter one of their own group beats by far."""
    loss, best = table.column("loss"), np.empty(len(table))
    labels = [(run.group, run.family) for run in table]
    for label in set(labels):
        here = [i for i, each in enumerate(labels) if each == label]
        part = RunTable(tuple(table.runs[i] for i in here))
        best[here] = _best_within(part, _known(part, sizes))
    return {
        int(i): f"diverged: its loss {loss[i]:.4g} is {loss[i] / best[i] - 1:.0%} above that of a smaller, shorter run"
        for i in np.flatnonzero(loss > DIVERGED * best)
    }


def _best_within(table: RunTable, names: tuple[str, ...]) -> Array:
    """Lowest loss among the runs that are no larger than each run in every one of the columns, [n]."""
    loss, sizes = table.column("loss"), [table.column(name) for name in names]
    best = np.empty(len(loss))
    for part in np.array_split(np.arange(len(loss)), len(loss) // 512 + 1):
        smaller = np.all([size[None] <= size[part, None] for size in sizes], axis=0)
        best[part] = np.where(smaller, loss[None], np.inf).min(1)
    return best


def _repeated(table: RunTable) -> dict[int, str]:
    """Runs that went over their data too often."""
    with np.errstate(invalid="ignore"):
        epochs = table.column("tokens") / table.column("unique_tokens")
        often = epochs > EPOCHS
    return {int(i): f"repeats its data {epochs[i]:.0f} times; the law is of fresh data" for i in np.flatnonzero(often)}


def _behind_frontier(table: RunTable) -> dict[int, str]:
    """Runs that another run beat with no more compute."""
    loss, best = table.column("loss"), _best_within(table, ("flops",))
    return {
        int(i): f"not on the compute frontier: a run of no more FLOPs reached {best[i]:.4g}"
        for i in np.flatnonzero(loss > best)
    }


def far_above(residuals: Array, parameters: int) -> dict[int, str]:
    """Runs that lie far above the fitted law, [position] -> reason; none where there are too few to tell."""
    if len(residuals) < 3 * parameters:
        return {}
    spread = 1.4826 * float(np.median(np.abs(residuals)))
    out = np.flatnonzero(residuals > max(ABOVE, ABOVE_SDS * spread))
    if len(out) > 0.1 * len(residuals):
        return {}
    return {int(i): f"diverged or undertrained: its loss is {np.expm1(residuals[i]):.0%} above the law" for i in out}


def forecast_rows(table: RunTable, inputs: tuple[str, ...]) -> NDBool:
    """Which fitted rows the forecast is drawn from, [n]: not the undertrained ones, unless that leaves too few."""
    everything = np.ones(len(table), dtype=bool)
    if inputs == ("flops",):
        return everything
    if not table.has_params:
        return everything
    enough = table.column("tokens") / table.column("params") >= UNDERTRAINED
    return enough if enough.sum() >= FEWEST else everything


def replicate_noise(table: RunTable, sizes: tuple[str, ...] = SIZES) -> tuple[float | None, int]:
    """Pooled sd of log loss between runs of one cell (other seeds), and its degrees of freedom; None without any."""
    squares, freedom = 0.0, 0
    log_loss = np.log(table.column("loss"))
    for cell in _cells(table, sizes):
        if len(cell) == 1:
            continue
        squares += float(((log_loss[cell] - log_loss[cell].mean()) ** 2).sum())
        freedom += len(cell) - 1
    return (float(np.sqrt(squares / freedom)), freedom) if freedom and squares > 0 else (None, 0)
