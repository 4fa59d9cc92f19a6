"""How forecasts do on a table that had no say in the priors: each in turn is left out, and the rest choose.

The splits are those of `backtest.py`. Four constants of `laws/priors.py` were set by comparison on these very tables;
here each table is forecast with the setting that does best on all the others (lowest interval score), among a grid
around the values in use, and the two figures stand side by side. Both tables of Gadre et al. are left out together.

Bar: the mean error and the interval score with the table left out are at most 10 % worse than with the values in use.

    python benchmarks/leave_one_out.py [--check]
"""

import argparse
import itertools
import sys
from dataclasses import dataclass

import numpy as np

import backtest
import record
from chidu.laws import priors
from chidu.laws.design import make_arrays
from chidu.laws.fit import fit
from chidu.laws.forms import FORMS
from chidu.laws.posterior import infer
from chidu.stats import Array

WORSE = 1.1
GRID = {
    "FLOOR_SHIFT": (-0.23, -0.17, -0.11),
    "FLOOR_SD": (0.14, 0.17),
    "FLOOR_EVIDENCE": (0.0, 0.15),
    "EXPONENT_SD": (0.05, 0.1),
}
"""The values that are tried; those in use are among them."""
LEVEL = 0.9


@dataclass(frozen=True)
class Rows:
    """A split as the posterior sees it."""

    table: str
    x: Array
    y: Array
    measured: float | None
    freedom: int
    targets: Array
    losses: Array


def main() -> int:
    """Read, try every setting, choose for each table, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if not backtest.SPLITS.is_dir():
        print(f"skipped: {backtest.SPLITS} is not there; the splits are not part of the repository")
        return 0
    splits = [read(backtest.Split(folder)) for folder in sorted(backtest.SPLITS.iterdir())]
    settings = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    used = {name: getattr(priors, name) for name in GRID}
    grades = np.array([[grade(split, setting) for split in splits] for setting in settings])
    tables = sorted({split.table for split in splits})
    names = np.array([split.table for split in splits])
    by_table = np.stack([grades[:, names == table].mean(1) for table in tables], axis=1)
    families = [table.partition("_")[0] for table in tables]
    rows = []
    print(f"{'percent of the loss':<27}{'in use: error, score, cover':>21}{'':8}{'left out: the same':>18}")
    for t, table in enumerate(tables):
        others = [i for i, family in enumerate(families) if family != families[t]]
        chosen = int(by_table[:, others, 1].mean(1).argmin())
        inside, outside = by_table[settings.index(used), t], by_table[chosen, t]
        rows.append(
            {"table": table, "in use": inside.tolist(), "left out": outside.tolist(), "chosen": settings[chosen]}
        )
        show(table, inside, outside, ", ".join(f"{value:g}" for value in settings[chosen].values()))
    inside, outside = (np.mean([row[key] for row in rows], axis=0) for key in ("in use", "left out"))
    show("mean", inside, outside, f"({', '.join(GRID)} chosen by the others)")
    figures = {"grid": GRID, "rows": rows, "in use": inside.tolist(), "left out": outside.tolist()}
    print(record.write("leave_one_out", figures))
    missed = [
        f"the {word} of tables left out at most {WORSE - 1:.0%} worse: {outside[j] / inside[j] - 1:+.1%}"
        for j, word in enumerate(("mean error", "interval score"))
        if outside[j] > WORSE * inside[j]
    ]
    return record.judge(missed, asked.check)


def show(name: str, inside: Array, outside: Array, words: str) -> None:
    """Print a line."""
    numbers = [f"{values[0]:>7.2f}{values[1]:>7.2f}{values[2]:>7.0f}" for values in (inside, outside)]
    print(f"{name:<27}{numbers[0]}{'':8}{numbers[1]}  {words}")


def read(split: backtest.Split) -> Rows:
    """Select and sort the rows once; the priors have no part in that."""
    law = fit(split.runs, draws=10)
    x, y, centre = make_arrays(law.runs, FORMS[law.form])
    measured = law.noise if law.noise_freedom else None
    wanted = [law.target(each.params, each.tokens, each.flops)[0] for each in split.targets]
    return Rows(
        split.table, (x + centre)[law.used], y[law.used], measured, law.noise_freedom, np.log(wanted), split.losses
    )


def grade(split: Rows, setting: dict[str, float]) -> tuple[float, float, float]:
    """Mean absolute error, interval score and coverage of a split with some priors, in percent."""
    before = {name: getattr(priors, name) for name in setting}
    try:
        for name, value in setting.items():
            setattr(priors, name, value)
        made = infer(split.x, split.y, measured=split.measured, freedom=split.freedom, draws=1000, seed=0)
    finally:
        for name, value in before.items():
            setattr(priors, name, value)
    tails = [0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2]
    median, lower, upper = np.exp(np.quantile(made.log_loss(split.targets, "run"), tails, axis=0))
    outside = np.maximum(lower - split.losses, 0) + np.maximum(split.losses - upper, 0)
    score = (upper - lower + 2 / (1 - LEVEL) * outside) / split.losses
    return (
        100 * float(np.abs(median / split.losses - 1).mean()),
        100 * float(score.mean()),
        100 * float((outside == 0).mean()),
    )


if __name__ == "__main__":
    sys.exit(main())
