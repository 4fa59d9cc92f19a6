"""What a person should be told before believing a fit: each check in words, with the number behind it."""

import numpy as np

from chidu.errors import Refusal
from chidu.laws.pooling import describe_groups
from chidu.laws.select import NDBool
from chidu.runs import RunTable
from chidu.stats import Array

FEW = 8
LEVER = 1.0
"""Decades of compute that the runs should span at least."""
ALIKE = 0.99
"""Correlation of log params and log tokens above which the two cannot be told apart."""
BEND_SDS, SLIGHT = 2.0, 0.001
OUTLIER_SDS = 5.0
SCATTER = 0.015
"""Sd of log loss around the law above which a table is not of one kind."""


UNSEEN = 0.05
"""Part of the lowest loss below which the plain fit's floor is none: no text has a loss near zero."""


def diagnose(
    table: RunTable, residuals: Array, noise: float, used: NDBool, floor: float | None = None
) -> tuple[str, ...]:
    """All warnings that apply to fitted runs.

    Args:
        table: the fitted runs.
        residuals: log(observed / fitted), [n].
        noise: sd of log loss of one run.
        used: which of the rows forecasts are drawn from, [n].
        floor: where the plain fit puts E, nats per token; None of a law without one, or that no forecast is drawn from.
    """
    checks = (
        _few(table),
        _lever(table),
        _alike(table),
        _floor(table, floor),
        _scatter(table, noise),
        _undertrained(table, used),
        _outliers(table, residuals),
        _bend(table, residuals, noise),
        describe_groups(table, residuals),
    )
    return tuple(text for text in checks if text)


def _few(table: RunTable) -> str:
    if len(table) >= FEW:
        return ""
    return f"only {len(table)} runs: the interval leans on what is known from other ladders; {FEW} or more are better"


def _lever(table: RunTable) -> str:
    flops = table.column("flops")
    if np.isnan(flops).any():
        return ""
    decades = float(np.log10(flops.max() / flops.min()))
    if decades >= LEVER:
        return ""
    return f"the runs span only {decades:.1f} decades of compute: a short lever; span 1.5 or more"


def check_falling(table: RunTable) -> None:
    """Refuse runs in which no law can be seen.

    Raises:
        Refusal: the loss does not fall with compute over runs that differ in it.
    """
    flops, loss = np.log(table.column("flops")), np.log(table.column("loss"))
    if np.isnan(flops).any() or np.ptp(flops) < np.log(2):
        return
    if float(((flops - flops.mean()) * (loss - loss.mean())).sum()) >= 0:
        raise Refusal(
            f"the loss does not fall with compute over these {len(table)} runs: no law can be seen in them; look for "
            "diverged runs, for a column that is not the loss, or for runs of several kinds"
        )


def _scatter(table: RunTable, noise: float) -> str:
    if noise <= SCATTER:
        return ""
    return (
        f"the runs scatter by {noise:.1%} around the law, where other seeds alone give 0.1 to 0.5 %: are several data "
        "sets, recipes or counts of params in one table?"
    )


def _alike(table: RunTable) -> str:
    """The design question: do params and tokens vary apart?"""
    if not table.has_params:
        return ""
    n, d = np.log(table.column("params")), np.log(table.column("tokens"))
    for name, value, other in (("params", n, "the floor"), ("tokens", d, "the floor")):
        if np.ptp(value) < 0.05:
            return f"all runs have about the same {name}: their effect cannot be told from {other}"
    if np.corrcoef(n, d)[0, 1] <= ALIKE:
        return ""
    ratio = np.exp(d - n)
    return (
        f"tokens/param hardly varies ({ratio.min():.3g} to {ratio.max():.3g}) or follows the size: the effects of "
        "params and tokens cannot be told apart; add runs at other tokens/param"
    )


def _floor(table: RunTable, floor: float | None) -> str:
    lowest = float(table.column("loss").min())
    if floor is None or floor >= UNSEEN * lowest:
        return ""
    return (
        f"these runs do not show the floor: the plain fit puts E at {floor:.2g} of a lowest loss of {lowest:.3g}, and "
        "no text has none; forecasts take it from what larger ladders showed, and their interval from not knowing it"
    )


def _undertrained(table: RunTable, used: NDBool) -> str:
    if not table.has_params:
        return ""
    low = table.column("tokens") / table.column("params") < 3.0
    if not low.any():
        return ""
    what = "forecasts leave them out" if not used.all() else "too few others to leave them out"
    return f"{low.sum()} of {len(table)} runs have fewer than 3 tokens per parameter (undertrained): {what}"


def _outliers(table: RunTable, residuals: Array) -> str:
    spread = 1.4826 * float(np.median(np.abs(residuals)))
    far = np.abs(residuals) > max(OUTLIER_SDS * spread, 0.01)
    if not far.any() or len(table) < FEW:
        return ""
    worst = int(np.argmax(np.abs(residuals)))
    name = table.runs[worst].run or f"loss {table.runs[worst].loss:.4g}"
    return f"{far.sum()} of {len(table)} runs are outliers; the worst ({name}) is {residuals[worst]:+.1%} off the law"


def _bend(table: RunTable, residuals: Array, noise: float) -> str:
    """Are the largest runs all above the curve?"""
    count = max(3, len(table) // 8)
    if len(table) < FEW or np.isnan(table.column("flops")).any():
        return ""
    last = residuals[np.argsort(table.column("flops"), kind="stable")[-count:]]
    if last.min() <= 0 or last.mean() < max(BEND_SDS * noise / np.sqrt(count), SLIGHT):
        return ""
    return f"a bend at the end: the {count} largest runs all lie above the law, by {last.mean():.1%} on average"
