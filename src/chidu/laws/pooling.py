"""Groups and families of runs (other data, other recipe, another count of params): pooled where one law serves them.

Where their losses lie clearly apart at the same size, one law cannot serve them. The forecast is then made for one of
them alone, the one that holds the run of most compute, and the rows of the others are set aside with that reason.
"""

import numpy as np

from chidu.errors import InputError
from chidu.runs import RunTable
from chidu.stats import Array

LABELS = ("group", "family")
PLURAL = {"group": "groups", "family": "families"}
APART, CLEAR = 0.01, 8.0
"""Groups whose residuals lie further apart than this, with an F ratio above this, are not pooled."""
STRANGER = "of another "
"""How the reason of a row begins that was set aside with its group; `backtest` tries such groups one by one."""
FEWEST = 3
"""Runs that a group must have for its mean residual to say something."""


def residuals_by_label(table: RunTable, residuals: Array, column: str) -> dict[str, Array]:
    """Residuals of each group or family; runs without a label are one of their own, named by an empty text."""
    labels = np.array([getattr(run, column) or "" for run in table.runs])
    return {str(name): residuals[labels == name] for name in sorted(set(labels))}


def others_of_apart_groups(table: RunTable, residuals: Array) -> dict[int, str]:
    """Runs of groups that one law cannot serve, [position] -> reason; the group of the largest run stays.

    Args:
        table: the runs that one law was fitted to.
        residuals: log(observed / fitted), [n].
    """
    flops = table.column("flops")
    for column in LABELS:
        labels = [getattr(run, column) or "" for run in table.runs]
        size = table.column("params") if table.has_params else flops
        gap = None if np.isnan(size).any() else _gap(np.log(size), residuals, labels)
        if gap is None:
            continue
        large = [name for name in dict.fromkeys(labels) if labels.count(name) >= FEWEST]
        kept = max(large, key=lambda name: (flops[[label == name for label in labels]].max(), labels.count(name)))
        reason = (
            f"{STRANGER}{column} than {kept or 'the rows without one'}, which holds the largest run: losses lie "
            f"up to {gap:.1%} apart at the same size, and one law cannot serve both"
        )
        return {i: reason for i, label in enumerate(labels) if label != kept}
    return {}


def _gap(size: Array, residuals: Array, labels: list[str]) -> float | None:
    """How far apart groups lie where they differ most; None where they may be pooled.

    A straight line through each group's residuals over log params (or log compute) is compared with one through all of
    them: an F test (other data shift the line, another count of params tilts it).
    """
    names = [name for name in dict.fromkeys(labels) if labels.count(name) >= FEWEST]
    if len(names) < 2:
        return None
    here = np.array([label in names for label in labels])
    x, y = size[here] - size[here].mean(), residuals[here]
    of = [label for label in labels if label in names]
    common = _line(x, y)
    left, between, lines = float(((y - np.polyval(common, x)) ** 2).sum()), 0.0, []
    for name in names:
        part = np.array([label == name for label in of])
        lines.append(_line(x[part], y[part]))
        between += float(((y[part] - np.polyval(lines[-1], x[part])) ** 2).sum())
    freedom = len(y) - 2 * len(names)
    if freedom < 1:
        return None
    ratio = (left - between) / (2 * len(names) - 2) / max(between / freedom, 1e-12)
    ends = np.array([[np.polyval(line, end) for end in (x.min(), x.max())] for line in lines])
    gap = float(np.ptp(ends, axis=0).max())
    return gap if gap > APART and ratio > CLEAR else None


def _line(x: Array, y: Array) -> Array:
    """Slope and intercept by least squares; level where the runs are all of one size."""
    if np.ptp(x) < 0.1:
        return np.array([0.0, y.mean()])
    return np.polyfit(x, y, 1).astype(np.float64)


def keep_group(table: RunTable, name: str) -> RunTable:
    """The runs of one group or family alone.

    Raises:
        InputError: no run is of it.
    """
    for column in LABELS:
        if any(getattr(run, column) == name for run in table):
            others = [i for i, run in enumerate(table.runs) if getattr(run, column) != name]
            return table.without(dict.fromkeys(others, f"not of the {column} {name} that was asked for"))
    known = sorted({str(getattr(run, column)) for run in table for column in LABELS if getattr(run, column)})
    raise InputError(
        f"no run is of the group {name!r}; " + (f"there are {', '.join(known)}" if known else "none is named")
    )


def describe_groups(table: RunTable, residuals: Array) -> str:
    """What to say of several groups or families in one fit; nothing where there is but one."""
    for column in LABELS:
        parts = residuals_by_label(table, residuals, column)
        names = list(parts)
        if len(names) > 1:
            means = [float(part.mean()) for part in parts.values()]
            listed = ", ".join(name or "none" for name in names[:4]) + (", ..." if len(names) > 4 else "")
            apart = max(means) - min(means)
            what = f"{len(names)} {PLURAL[column]} pooled in one law ({listed})"
            return f"{what}: their mean residuals lie {apart:.1%} apart"
    apart_rows = [gone for gone in table.set_aside if gone.reason.startswith(STRANGER)]
    if apart_rows:
        return f"{len(apart_rows)} rows set aside: {apart_rows[0].reason}; another one can be chosen with --group"
    return ""
