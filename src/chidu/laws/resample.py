"""Tables that might have been: what a bootstrap refits the law to.

Three kinds, each with its own idea of what would come out differently if the ladder were trained again:

- `runs`: any run might have been another one. Rows are drawn with replacement (Efron 1979), as weights.
- `groups`: runs of one group err together (branches of one trunk, one data set, one budget): whole groups are drawn
  with replacement, as weights (the pairs cluster bootstrap; Cameron, Gelbach and Miller 2008).
- `wild`: the sizes are the design and stay as they are, the losses change: each residual keeps its size and gets a
  sign by chance (Liu 1988). For absolute errors, which Huber's loss at 1e-3 nearly is, that is the valid wild bootstrap
  (Feng, He and Hu 2011); multipliers of other sizes, such as Mammen's, would shift the median of the errors. The
  residuals are stretched by sqrt(I / (I - P)) for the parameters that were fitted (MacKinnon and White 1985, HC1).
"""

from collections.abc import Iterator

import numpy as np

from chidu.errors import InputError
from chidu.runs import RunTable
from chidu.stats import Array, Index

KINDS = ("runs", "groups", "wild")
SAME_SIZE = 1.01
"""Runs whose params differ by less than this factor are of one size."""
FEWEST_GROUPS = 3


def resample(
    kind: str, fitted_I: Array, y_I: Array, parameters: int, groups_I: Index | None, draws: int, seed: int, parts: int
) -> Iterator[tuple[Array, Array]]:
    """Yield the resampled tables in `parts` batches: weights [B or 1, I] and log losses [B or 1, I]."""
    rng = np.random.default_rng(seed)
    rows = len(y_I)
    sizes = [len(part) for part in np.array_split(np.arange(draws), parts)]
    if kind == "wild":
        residuals = (y_I - fitted_I) * np.sqrt(rows / max(rows - parameters, 1))
        for size in sizes:
            yield np.ones((1, rows)), fitted_I + residuals * rng.choice((-1.0, 1.0), (size, rows))
        return
    label = np.arange(rows) if kind == "runs" or groups_I is None else groups_I
    count = int(label.max()) + 1
    for size in sizes:
        picked = rng.multinomial(count, np.full(count, 1 / count), size).astype(float)
        yield picked[:, label], y_I[None]


def group_rows(table: RunTable) -> Index:
    """Tell which group each row belongs to, [n]: the column `group`, else `family`, else the runs of one size.

    Raises:
        InputError: there are fewer than three groups.
    """
    for column in ("group", "family"):
        labels = [getattr(run, column) for run in table.runs]
        if len(set(labels)) >= FEWEST_GROUPS:
            return _number(labels)
    found = np.zeros(len(table), dtype=np.intp)
    if table.has_params:
        log_params = np.log(table.column("params"))
        order = np.argsort(log_params, kind="stable")
        found[order[1:]] = np.cumsum(np.diff(log_params[order]) > np.log(SAME_SIZE))
    if found.max() + 1 < FEWEST_GROUPS:
        raise InputError(
            f"a bootstrap over groups needs {FEWEST_GROUPS} groups or more: give the runs a column `group`, or "
            "resample single runs"
        )
    return found


def _number(labels: list[str | None]) -> Index:
    """Labels as numbers, in order of appearance."""
    places = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([places[label] for label in labels], dtype=np.intp)
