"""How forecasts do on runs that were held out of published tables, beside the standard method.

A split is a folder TABLE__TAG of three files: `fit.csv` (params, tokens, loss, or flops, loss), `targets.csv` (the same
without loss) and `truth.csv` (the losses of the targets). `dirty` in TAG: the table as it was published, its targets
those of the clean twin; without params: loss against compute only (lc). They are not part of the repository; without
them this says so and ends.

Every figure is a mean over tables, of the mean over a table's splits, of the mean over a split's targets, so that a
table with 30 correlated targets counts as much as one with two; the median is weighted likewise. In percent of the
loss. Bars, over all splits: a median error of 0.65 at most, a mean of 0.90, coverage of 90 % intervals of 88 to 97, an
interval score of 5.0; dirty tables no worse than 1.1 times their clean twins, in mean error and in score; 5 % refusals.

    python benchmarks/backtest.py [--splits FOLDER] [--only TEXT] [--check]

A run over all splits writes `results/backtest.json`, and `src/chidu/forecast/record.json`, which forecasts quote.

To have another grader ask chidu itself, once a split as CMD fit.csv targets.csv out.csv, CMD is these three lines:

    #!/bin/sh
    set -e
    exec chidu forecast "$1" --targets "$2" --out "$3" --level 0.9
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import record
from chidu.errors import ChiduError
from chidu.forecast.grade import LEVELS, Answers, mark
from chidu.forecast.loss import forecast_targets
from chidu.forecast.standard import forecast_standard
from chidu.forecast.targets import Target, read_targets
from chidu.laws.fit import fit
from chidu.laws.forms import FORMS
from chidu.runs import RunTable
from chidu.stats import Array
from chidu.tables.read import read_runs

SPLITS = record.ROOT.parent / "shared" / "backtest" / "splits"
RECORD = record.ROOT / "src" / "chidu" / "forecast" / "record.json"
LEVEL = 0.9
MEDIAN, MEAN, COVER, SCORE, DIRTY, REFUSED = 0.65, 0.90, (88.0, 97.0), 5.0, 1.1, 0.05
EDGES = (1.0, 3.0, 10.0, 30.0, 100.0, None)
"""Distances that the record is told by, times the largest fitted run's compute."""
NEAR = 33.0
"""Splits are told apart at this distance."""
NOTE = "chidu was developed on these tables"
SOURCES = (
    "Hoffmann et al. 2203.15556 as digitised by Besiroglu et al. 2404.10102; Gadre et al. 2403.08540 (c4, redpajama); "
    "Muennighoff et al. 2305.16264; 2502.18969; Porian et al. 2406.19146; 2503.04715"
)
FIGURES = ("error", "bias", "cover", "width", "score")


@dataclass(frozen=True)
class Split:
    """One question: given these smaller runs, what is the loss of those larger ones?"""

    folder: Path

    @property
    def table(self) -> str:
        """The published table that it was made of."""
        return self.folder.name.partition("__")[0]

    @cached_property
    def runs(self) -> RunTable:
        """The smaller runs."""
        return read_runs(self.folder / "fit.csv")

    @cached_property
    def targets(self) -> list[Target]:
        """The larger ones, T of them."""
        return read_targets(self.folder / "targets.csv")

    @cached_property
    def losses(self) -> Array:
        """What they reached, [T]."""
        with (self.folder / "truth.csv").open(encoding="utf-8", newline="") as file:
            return np.array([float(row["loss"]) for row in csv.DictReader(file)])

    @property
    def kind(self) -> str:
        """dirty, clean, or lc: loss against compute only."""
        if "dirty" in self.folder.name.partition("__")[2]:
            return "dirty"
        return "clean" if self.runs.has_params else "lc"

    @cached_property
    def distances(self) -> Array:
        """The targets' compute over the largest run's, [T]."""
        flops = [t.flops if t.flops is not None else 6.0 * (t.params or 0.0) * (t.tokens or 0.0) for t in self.targets]
        return np.array(flops) / self.runs.column("flops").max()


def ask_engine(split: Split) -> Answers:
    """chidu, as `chidu forecast` answers."""
    law = fit(split.runs)
    said = [forecast_targets(law, split.targets, level) for level in LEVELS]
    lower, upper = ([[getattr(f.interval, end) for f in row] for row in said] for end in ("lower", "upper"))
    return Answers(LEVELS, np.array([f.median for f in said[0]]), np.array(lower), np.array(upper)).check()


def ask_standard(split: Split) -> Answers:
    """The plain fit of Chinchilla's law, or of the frontier, to every row, with 1,000 bootstraps."""
    form = FORMS["chinchilla" if split.runs.has_params else "frontier"]
    return forecast_standard(form, split.runs, split.targets, LEVELS)


METHODS: dict[str, Callable[[Split], Answers]] = {"chidu": ask_engine, "standard": ask_standard}
"""Who is asked. Leave-one-table-out figures belong here: a method that asks chidu with priors that were fitted on the
other tables only, `split.table` left out."""


def main() -> int:
    """Ask, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path, default=SPLITS)
    parser.add_argument("--only", default="", help="splits with this in their name")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if not asked.splits.is_dir():
        print(f"skipped: {asked.splits} is not there; the splits are not part of the repository")
        return 0
    splits = [Split(folder) for folder in sorted(asked.splits.iterdir()) if asked.only in folder.name]
    rows = {name: [ask(split, method) for split in splits] for name, method in METHODS.items()}
    figures = {name: summaries(own) for name, own in rows.items()}
    for name, parts in figures.items():
        show(name, parts)
    if asked.only:
        print("some splits only: nothing is written, and no bar applies")
        return 0
    quoted = to_quote(rows["chidu"])
    print(record.write("backtest", {"splits": len(splits), "level": LEVEL, "methods": figures}))
    RECORD.write_text(json.dumps(quoted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(RECORD)
    return record.judge(missed(figures["chidu"]), asked.check)


def ask(split: Split, method: Callable[[Split], Answers]) -> dict[str, Any]:
    """What one method makes of a split: marks of its targets in percent, or why it refused."""
    started = time.process_time()
    row: dict[str, Any] = {"split": split}
    try:
        answers = method(split)
    except ChiduError as error:
        row["refused"] = str(error)
    else:
        marks = mark(answers.median, *answers.at(LEVEL), split.losses, LEVEL)
        row |= {"error": 100 * np.abs(marks.error), "bias": 100 * marks.error, "cover": 100.0 * marks.inside}
        row |= {"width": 100 * marks.width, "score": 100 * marks.score}
        row["held"] = (answers.lower <= split.losses) & (split.losses <= answers.upper)
    row["seconds"] = time.process_time() - started
    print(".", end="", file=sys.stderr, flush=True)
    return row


def weights(rows: Sequence[dict[str, Any]]) -> Array:
    """Weight of each row's mean: tables count alike, and within a table its splits."""
    tables = [row["split"].table for row in rows]
    return np.array([1 / tables.count(table) for table in tables]) / len(set(tables))


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The figures of some rows; None where all were refused."""
    answered = [row for row in rows if "refused" not in row]
    if not answered:
        return None
    weight = weights(answered)
    out: dict[str, Any] = {name: float(weight @ [row[name].mean() for row in answered]) for name in FIGURES}
    every = np.concatenate([row["error"] for row in answered])
    counts = [len(row["error"]) for row in answered]
    each = np.repeat(weight / counts, counts)
    order = np.argsort(every)
    total = np.cumsum(each[order])
    out["median"] = float(every[order][np.searchsorted(total, total[-1] / 2)])
    out |= {"splits": len(answered), "refused": len(rows) - len(answered)}
    out["tables"] = len({row["split"].table for row in answered})
    out["seconds"] = float(np.mean([row["seconds"] for row in answered]))
    return out


def summaries(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By table, then over all, by kind and by distance."""
    parts = {row["split"].table: [r for r in rows if r["split"].table == row["split"].table] for row in rows}
    parts["ALL"] = list(rows)
    parts |= {kind: [row for row in rows if row["split"].kind == kind] for kind in ("clean", "dirty", "lc")}
    far = [bool(row["split"].distances.max() > NEAR) for row in rows]
    parts["30 times at most"] = [row for row, beyond in zip(rows, far, strict=True) if not beyond]
    parts["over 30 times"] = [row for row, beyond in zip(rows, far, strict=True) if beyond]
    return {name: made for name, part in parts.items() if (made := summarise(part)) is not None}


def show(name: str, parts: dict[str, Any]) -> None:
    """Print a method's table."""
    print(
        f"\n{name:<20} {'median':>7} {'mean':>7} {'bias':>7} {'cover':>6} {'width':>7} {'score':>7}  splits  CPU s each"
    )
    for part, made in parts.items():
        refused = f", {made['refused']} refused" if made["refused"] else ""
        print(
            f"{part:<20} {made['median']:>7.2f} {made['error']:>7.2f} {made['bias']:>+7.2f} {made['cover']:>6.0f} "
            f"{made['width']:>7.2f} {made['score']:>7.2f}  {made['splits']:>6}  {made['seconds']:>6.2f}{refused}"
        )


def missed(parts: dict[str, Any]) -> list[str]:
    """The bars that chidu missed."""
    made = parts["ALL"]
    bars = [
        (made["median"] <= MEDIAN, f"a median error of {MEDIAN} %: it is {made['median']:.2f}"),
        (made["error"] <= MEAN, f"a mean error of {MEAN} %: it is {made['error']:.2f}"),
        (COVER[0] <= made["cover"] <= COVER[1], f"coverage of {COVER[0]:g} to {COVER[1]:g} %: {made['cover']:.1f}"),
        (made["score"] <= SCORE, f"an interval score of {SCORE}: it is {made['score']:.2f}"),
        (made["refused"] <= REFUSED * (made["splits"] + made["refused"]), f"{made['refused']} splits were refused"),
    ]
    if {"clean", "dirty"} <= parts.keys():
        for name in ("error", "score"):
            ratio = parts["dirty"][name] / parts["clean"][name]
            bars.append((ratio <= DIRTY, f"dirty tables at most {DIRTY} times clean ones in {name}: {ratio:.2f} times"))
    return [words for met, words in bars if not met]


def to_quote(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is quoted beside a forecast: chidu's figures by the targets' own distance, as shares of the loss."""
    answered = [row for row in rows if "refused" not in row]
    parts = []
    for low, high in pairwise(EDGES):
        here = []
        for row in answered:
            distances = row["split"].distances
            inside = (distances >= low) & (distances < (high or np.inf))
            if inside.any():
                here.append((row, inside))
        if not here:
            continue
        weight = weights([row for row, _ in here])
        cover = weight @ [row["held"][:, inside].mean(1) for row, inside in here]
        parts.append(
            {
                "from": low,
                "to": high,
                "tables": len({row["split"].table for row, _ in here}),
                "forecasts": int(sum(inside.sum() for _, inside in here)),
                "error": round(float(weight @ [row["error"][inside].mean() / 100 for row, inside in here]), 5),
                "cover": {f"{level:g}": round(float(c), 4) for level, c in zip(LEVELS, cover, strict=True)},
            }
        )
    value = {"note": NOTE, "sources": SOURCES, "script": "benchmarks/backtest.py", "splits": len(rows)}
    return {**value, "commit": record.commit(), "distances": parts}


if __name__ == "__main__":
    sys.exit(main())
