"""What faults of a table cost: forecasts from made tables with one fault each, beside those of the clean twins.

The tables are those of `coverage.py`: ten designs, laws around the published ones, targets 3 to 100 times beyond. The
faults: all rows of rate sweeps, diverged runs, an undertrained corner, a second data set, copied rows, a family that
counts its params otherwise. Interval score of 90 % in percent of the loss (width plus 20 times the miss), mean of all.

Bars: each fault costs at most 20 % in interval score; every row that was set aside has a reason.

    python benchmarks/dirty.py [--tables 50] [--seed 0] [--check]
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import coverage
import record
from chidu.forecast.loss import forecast_targets
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable

WORSE = 1.2
LEVEL = 0.9
Fault = Callable[[list[Run], coverage.Law, np.random.Generator], list[Run]]


def sweeps(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """Three worse rates beside every run, the rate itself not known."""
    return [each for run in runs for each in (run, *(scaled(run, 1 + rng.uniform(0.01, 0.15)) for _ in range(3)))]


def diverged(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """A tenth of the runs, two at least, again with a loss that blew up."""
    picks = rng.choice(len(runs), max(2, len(runs) // 10), replace=False)
    return [*runs, *(scaled(runs[i], rng.uniform(1.3, 3.0)) for i in picks)]


def undertrained(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """Large models on hardly any tokens, whose loss lies above the law."""
    out = list(runs)
    for ratio in (0.1, 0.3, 1.0):
        for flops in np.quantile([run.flops for run in runs], [0.3, 0.7]):
            params, tokens = coverage.at(flops, np.array(ratio))
            loss = float(law.loss(params, tokens)) * (1 + 0.1 / (0.5 + ratio))
            out.append(Run(params=float(params), tokens=float(tokens), flops=float(flops), loss=loss))
    return out


def two_data_sets(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """As many runs on other data below the largest run, named by a group."""
    other = coverage.Law(law.floor * 0.8, law.a * 1.3, law.b * 0.9, law.alpha, law.beta)
    mine = [replace(run, group="text") for run in runs]
    smaller = sorted(runs, key=lambda run: run.flops or 0.0)[:-1]
    losses = [float(other.loss(np.array(run.params), np.array(run.tokens))) for run in smaller]
    noise = np.exp(0.003 * rng.standard_normal(len(losses)))
    return [*mine, *(replace(r, loss=y * n, group="code") for r, y, n in zip(smaller, losses, noise, strict=True))]


def copies(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """Every other row twice."""
    return [*runs, *runs[::2]]


def two_counts(runs: list[Run], law: coverage.Law, rng: np.random.Generator) -> list[Run]:
    """Runs again of a family that counts its embedding too, all smaller than the largest run by either count."""
    mine = [replace(run, family="a") for run in runs]
    top = max(run.flops or 0.0 for run in runs)
    smaller = [run for run in runs if 6 * embedded(run.params or 0.0) * (run.tokens or 0.0) < 0.9 * top]
    noise = np.exp(0.003 * rng.standard_normal(len(smaller)))
    return [
        *mine,
        *(
            replace(run, family="b", loss=run.loss * n, params=embedded(run.params or 0.0), flops=None)
            for run, n in zip(smaller, noise, strict=True)
        ),
    ]


FAULTS: dict[str, Fault] = {
    "rate sweeps": sweeps,
    "diverged runs": diverged,
    "undertrained corner": undertrained,
    "two data sets": two_data_sets,
    "copied rows": copies,
    "two counts of params": two_counts,
}


def scaled(run: Run, factor: float) -> Run:
    """The same run with another loss."""
    return replace(run, loss=run.loss * factor)


def embedded(params: float) -> float:
    """Params with an embedding of 50,000 tokens, whose width goes with the root of the params: 768 at 1e8."""
    return float(params + 50_000 * 768 * (params / 1e8) ** 0.5)


def main() -> int:
    """Make tables, spoil them, forecast, compare, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    each = max(1, asked.tables // len(coverage.DESIGNS))
    seeds = [(name, asked.seed + 10_000 * n + i) for n, name in enumerate(coverage.DESIGNS) for i in range(each)]
    clean = float(np.mean([score(name, seed, None)[0] for name, seed in seeds]))
    print(f"{'fault':<24}{'score':>8}{'of clean':>10}{'rows set aside':>16}\n{'none':<24}{clean:>8.2f}{'':>10}")
    figures, missed = [{"fault": "none", "score": clean}], []
    for fault, spoil in FAULTS.items():
        scores, gone = zip(*(score(name, seed, spoil) for name, seed in seeds), strict=True)
        mean, aside = float(np.mean(scores)), sum(len(table.set_aside) for table in gone)
        figures.append({"fault": fault, "score": mean, "set_aside": aside})
        print(f"{fault:<24}{mean:>8.2f}{mean / clean:>10.2f}{aside:>16,}", flush=True)
        missed += (
            [f"{fault}: at most {WORSE} times the clean score: {mean / clean:.2f}"] if mean > WORSE * clean else []
        )
        if not all(row.reason for table in gone for row in table.set_aside):
            missed.append(f"{fault}: a reason for every row that was set aside")
    print(record.write("dirty", {"tables": len(seeds), "seed": asked.seed, "rows": figures}))
    return record.judge(missed, asked.check)


def score(design: str, seed: int, fault: Fault | None) -> tuple[float, RunTable]:
    """Mean interval score of one table's targets, in percent, and its runs as they were fitted."""
    table = coverage.make_table(coverage.DESIGNS[design], seed)
    rng = np.random.default_rng([seed, 1])
    made = fit(RunTable(tuple(fault(table.runs, table.law, rng) if fault else table.runs)))
    answers = forecast_targets(made, table.targets, LEVEL)
    lower, upper = (np.array([getattr(a.interval, side) for a in answers]) for side in ("lower", "upper"))
    miss = np.maximum(lower - table.outcomes, 0) + np.maximum(table.outcomes - upper, 0)
    return float((100 * (upper - lower + 2 / (1 - LEVEL) * miss) / table.outcomes).mean()), made.runs


if __name__ == "__main__":
    sys.exit(main())
