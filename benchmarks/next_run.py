"""Whether `chidu next` is right: does the run that it proposes narrow the interval, once it is really there?

Of each published table the third of the usable runs with the largest compute is taken away. The target is the largest
run of the table; the candidates are the removed runs of up to three times the compute of the largest that is left, so
that each one's loss is known. chidu chooses one; every candidate is then added in turn, and the target's 90 % interval
is made anew. Narrowing is 1 - width after / width before, of the log; per FLOP it is given for as much compute as the
largest run that is left took. The others: `largest` is the largest affordable candidate (the mean of those within 1 %
of it), `balanced` the largest affordable one whose tokens/param are nearest to the target's, `random` the mean of all
candidates, `best` what knowing every outcome would have chosen.

Bars, for the mean over tables of the mean over seeds: chidu's run narrows more per FLOP than the largest affordable one
and than a random affordable one, and so it does when the tables of one source count as one.

    python benchmarks/next_run.py [--runs ../shared/runs] [--seeds 3] [--check]
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import record
from chidu.forecast.candidates import BUDGET
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run
from chidu.laws.fit import Fit, fit
from chidu.laws.select import select_runs
from chidu.runs import Run, RunTable
from chidu.tables.read import read_runs

PARTS = {
    "chinchilla_epoch.csv": (),
    "datablations_c4.csv": (),
    "gadre_overtrain.csv": ("group",),
    "misfitting.csv": (),
    "steplaw_dense.csv": (),
    "porian_isoflop.csv": ("group", "hparams", "warmup", "decay", "param_count"),
}
"""Development tables, and the columns by which they are taken apart. Every part is used."""
LEAST = 3
"""Candidates that a table must have for a choice between them."""
CHOICES = ("chidu", "largest", "balanced", "random", "best")


def tables(folder: Path) -> Iterator[tuple[str, str, RunTable]]:
    """Source, name and usable runs of each table."""
    for file, columns in PARTS.items():
        table = read_runs(folder / file)
        labels = [tuple(str(getattr(run, c, None) or run.extra.get(c, "")) for c in columns) for run in table]
        for label in sorted(set(labels)):
            runs = tuple(run for run, own in zip(table, labels, strict=True) if own == label)
            usable = select_runs(RunTable(tuple(run.with_flops() for run in runs)), frontier=False)
            source = file.removesuffix(".csv")
            yield source, " ".join([source, *label]), usable


def compute(run: Run) -> float:
    return 6.0 * (run.params or 0.0) * (run.tokens or 0.0)


def pair(run: Run) -> tuple[float, float]:
    return run.params or 0.0, run.tokens or 0.0


def log_width(law: Fit, target: Run) -> float:
    ends = forecast_loss(law, params=target.params, tokens=target.tokens).interval
    return float(np.log(ends.upper / ends.lower))


def measure(kept: list[Run], candidates: list[Run], target: Run, seed: int) -> dict[str, tuple[float, float]]:
    """Narrowing, and narrowing for as much compute as the largest kept run, of each way to choose; one seed."""
    law = fit(RunTable(tuple(kept)), seed=seed)
    before, unit = log_width(law, target), compute(kept[-1])
    flops = np.array([compute(run) for run in candidates]) / unit
    grown = [fit(RunTable((*kept, replace(run, run="added"))), seed=seed) for run in candidates]
    gain = np.array([1 - log_width(each, target) / before for each in grown])
    proposed = next_run(law, target=pair(target), candidates=[pair(run) for run in candidates])
    mine = [pair(run) == (proposed.params, proposed.tokens) for run in candidates]
    top = flops >= 0.99 * flops.max()
    off = np.abs([np.log(run.params / run.tokens * target.tokens / target.params) for run in candidates])  # type: ignore[operator]
    nearest = top & (off == off[top].min())
    picks = {"chidu": mine, "largest": top, "balanced": nearest, "random": flops > 0, "best": gain == gain.max()}
    out = {}
    for name, chosen in picks.items():
        where = np.flatnonzero(chosen)
        out[name] = (float(gain[where].mean()), float((gain / flops)[where].mean()))
    return out


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=record.ROOT.parent / "shared" / "runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("narrowing of the target's interval, and (per compute of the largest run left)")
    print(f"{'table':<58}{'runs':>5}{'left':>5}{'cand':>5}" + "".join(f"{name:>17}" for name in CHOICES), flush=True)
    for source, name, table in tables(asked.runs):
        order = sorted(table, key=compute)
        kept, gone = order[: len(order) * 2 // 3], order[len(order) * 2 // 3 :]
        budget = BUDGET * compute(kept[-1])
        candidates = [run for run in gone[:-1] if compute(run) <= budget and compute(run) < 0.99 * compute(gone[-1])]
        if len(candidates) < LEAST:
            print(f"{name:<58}{len(order):>5}{len(kept):>5}{len(candidates):>5}  too few affordable candidates")
            continue
        seeds = [measure(kept, candidates, gone[-1], seed) for seed in range(asked.seeds)]
        means = {choice: np.mean([made[choice] for made in seeds], axis=0) for choice in CHOICES}
        rows.append({"source": source, "table": name, "runs": len(order), "left": len(kept)})
        rows[-1] |= {"candidates": len(candidates), **{choice: list(map(float, means[choice])) for choice in CHOICES}}
        print(f"{name:<58}{len(order):>5}{len(kept):>5}{len(candidates):>5}" + line(means), flush=True)
    mean = {choice: np.mean([row[choice] for row in rows], axis=0) for choice in CHOICES}
    sources = sorted({row["source"] for row in rows})
    by_source = {
        choice: np.mean([np.mean([row[choice] for row in rows if row["source"] == s], axis=0) for s in sources], axis=0)
        for choice in CHOICES
    }
    print(f"{f'mean of {len(rows)} tables':<73}{line(mean)}")
    print(f"{f'mean of {len(sources)} sources':<73}{line(by_source)}")
    figures = {
        "seeds": asked.seeds,
        "tables": rows,
        "mean": {choice: list(map(float, mean[choice])) for choice in CHOICES},
        "mean_by_source": {choice: list(map(float, by_source[choice])) for choice in CHOICES},
    }
    print(record.write("next_run", figures))
    missed = [
        f"chidu's run narrows more per FLOP than the {other}, {words}: {made['chidu'][1]:.3f} to {made[other][1]:.3f}"
        for made, words in ((mean, "tables averaged"), (by_source, "sources averaged"))
        for other in ("largest", "random")
        if made["chidu"][1] <= made[other][1]
    ]
    return record.judge(missed, asked.check)


def line(means: dict[str, np.ndarray]) -> str:
    return "".join(f"{means[choice][0]:>8.1%} ({means[choice][1]:>6.1%})" for choice in CHOICES)


if __name__ == "__main__":
    sys.exit(main())
