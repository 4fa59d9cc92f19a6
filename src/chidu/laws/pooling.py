"""Groups and families of runs (other data, other recipe, another count of params): pooled where one law serves them.

Where their losses lie clearly apart at the same size, one law cannot serve them. The forecast is then made for one of
them alone, the one that holds the run of most compute, and the rows of the others are set aside with that reason.
"""

import numpy as np

from chidu.errors import InputError
from chidu.runs import RunTable
from chidu.stats import Array

LABELS = ("group", "family")
APART, APART_ERRORS = 0.03, 5.0
"""Groups whose mean residuals differ by more than this, and by so many standard errors, are not pooled."""
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
    for column in LABELS:
        parts = residuals_by_label(table, residuals, column)
        large = {name: part for name, part in parts.items() if len(part) >= FEWEST}
        gap = _gap(large)
        if gap is None:
            continue
        flops = table.column("flops")
        labels = [getattr(run, column) or "" for run in table.runs]
        kept = max(large, key=lambda name: (flops[[label == name for label in labels]].max(), len(large[name])))
        reason = (
            f"of another {column} than {kept or 'the rows without one'}, which holds the largest run: their losses lie "
            f"{gap:.1%} apart at the same size, and one law cannot serve both"
        )
        return {i: reason for i, label in enumerate(labels) if label != kept}
    return {}


def _gap(parts: dict[str, Array]) -> float | None:
    """How far the mean residuals of the lowest and the highest group lie apart; None where they may be pooled."""
    if len(parts) < 2:
        return None
    low, high = (pick(parts, key=lambda name: parts[name].mean()) for pick in (min, max))
    gap = float(parts[high].mean() - parts[low].mean())
    error = float(np.hypot(*[np.std(parts[name]) / np.sqrt(len(parts[name])) for name in (low, high)]))
    return gap if gap > max(APART, APART_ERRORS * error) else None


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
            return f"{len(names)} {column}s pooled in one law ({listed}): their mean residuals lie {apart:.1%} apart"
    apart_rows = [gone for gone in table.set_aside if gone.reason.startswith("of another ")]
    if apart_rows:
        return f"{len(apart_rows)} rows set aside: {apart_rows[0].reason}; another one can be chosen with --group"
    return ""
