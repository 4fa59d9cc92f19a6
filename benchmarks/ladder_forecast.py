"""Ladders against the run that they foretell: is the forecast right, its interval true, its price low?

    python benchmarks/ladder_forecast.py [--data ../shared/data] [--corpora novels_en zh python_code] [--seeds 0 1]
        [--target 2.5e13] [--standard novels_en] [--workers 2] [--keep DIR] [--check]

For each corpus and seed the runs of `SHAPE` are trained: amounts of compute that are fractions of the target's, each
at several tokens per parameter, further seeds of one cell, and the rates' probes. From all of them ("1/10") and from
those up to a thirtieth of the target's compute ("1/30") the target is forecast; the forecasts are locked before it is
trained. A corpus has one target, of the first seed: the seeds are those of the ladders. The price is the FLOPs of
everything that was trained but the target, probes and replicates included, over the target's; stretches that runs
share count once. `--standard` names the corpora on which the same is done in the standard parametrisation with one
fixed rate, beside.

Bars (not for the standard parametrisation):
- 1/10: price at most 50 %, error at most 1.5 %, outcome inside a 90 % interval of a half-width of at most 2.5 %;
- 1/30: price at most 25 %, outcome inside an interval of a half-width of at most 4 %.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import record
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.forecast.loss import forecast_loss
from chidu.forecast.receipt import lock, score
from chidu.ladder.climb import load_run, training_job, training_jobs
from chidu.ladder.gates import read_gates
from chidu.ladder.launcher import LocalLauncher
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.recipe import Parametrisation, Recipe
from chidu.ladder.rung import Role, Rung
from chidu.ladder.trunks import find_trunks
from chidu.laws.fit import fit
from chidu.runs import write_runs
from chidu.tables.read import read_runs

DATA = record.ROOT / ".." / "shared" / "data"
CORPORA = {
    "novels_en": ("novels_en.train.jsonl.gz",),
    "zh": ("classic_novels_zh.train.jsonl.gz", "poems_zh.train.jsonl.gz"),
    "python_code": ("python_code.train.jsonl.gz",),
}
RATIOS = (5.0, 15.0, 45.0)
"""Tokens per parameter; each three times the one before, as the amounts of compute are, so that a width's runs at one
amount and the next share a trunk."""
SHAPE: dict[int, tuple[float, ...]] = {10: (8.0, 20.0), 30: RATIOS, 90: RATIOS}
"""Of the target's compute one part in so many, each spent at these tokens per parameter."""
CHEAPEST = {270: RATIOS}
"""The amount that the probes are of; its rungs are part of the ladder too."""
REPLICATES, PROBES = 2, (0.5, 2.0)
TARGET_RATIO = 15.0
"""Tokens per parameter of the target, about."""
KEY = ("corpus", "seed", "parametrisation", "distance")
FLOPS_A_SECOND = 3e10
"""For the order of the runs and the progress only."""
BARS = {10: (0.50, 0.015, 0.025), 30: (0.25, None, 0.04)}
"""Of each distance: price, error (None: only reported), half-width."""


@dataclass(frozen=True)
class Row:
    """One forecast and how it did."""

    corpus: str
    seed: int
    parametrisation: str
    distance: int
    runs: int
    price: float
    median: float
    lower: float
    upper: float
    outcome: float
    warnings: tuple[str, ...]

    @property
    def key(self) -> tuple[str | int, ...]:
        """What the row is of."""
        return tuple(getattr(self, name) for name in KEY)

    @property
    def error(self) -> float:
        """Relative, positive where the forecast was too high."""
        return self.median / self.outcome - 1

    @property
    def half_width(self) -> float:
        """Of the interval, relative to the forecast."""
        return (self.upper - self.lower) / 2 / self.median

    @property
    def inside(self) -> bool:
        """Whether the outcome lies in the interval."""
        return self.lower <= self.outcome <= self.upper

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "error": self.error, "half_width": self.half_width, "inside": self.inside}

    def __str__(self) -> str:
        """A line of the table."""
        return (
            f"{self.corpus:12} {self.parametrisation:9} {self.seed:>4} {'1/' + str(self.distance):>5} {self.runs:>4} "
            f"{self.price:>6.1%} {self.median:>8.4f} {self.lower:>8.4f} to {self.upper:<7.4f} {self.half_width:>6.2%} "
            f"{self.outcome:>8.4f} {self.error:>+7.2%} {'yes' if self.inside else 'no'}"
        )


HEAD = (
    f"{'corpus':12} {'recipe':9} {'seed':>4} {'top':>5} {'runs':>4} {'price':>6} {'forecast':>8} "
    f"{'90 % interval':>19} {'+-':>6} {'outcome':>8} {'error':>7} inside"
)


def make_ladder(recipe: Recipe, data: Dataset, target: float, seed: int) -> tuple[Rung, ...]:
    """All runs of the ladder for a target of that many FLOPs; the widths nearest to the wanted ratios."""

    def at(part: int, ratio: float, seed: int, factor: float = 1.0) -> TrainConfig:
        width = recipe.nearest_width((target / part / 6 / ratio) ** 0.5, data.vocab_size)
        tokens = target / part / 6 / recipe.params(width, data.vocab_size)
        return recipe.scaled(factor).config(width, tokens, data.vocab_size, data.id, seed)

    def rung(config: TrainConfig, role: Role = "rung") -> Rung:
        return Rung(config, Rung(config, 0.0).flops / FLOPS_A_SECOND, role)

    rungs = [rung(at(part, ratio, seed)) for part, ratios in (SHAPE | CHEAPEST).items() for ratio in ratios]
    ((part, ratios),) = CHEAPEST.items()
    rungs += [rung(at(90, 15.0, 100 * (seed + 1) + i), "replicate") for i in range(REPLICATES)]
    for ratio in (ratios[0], ratios[-1]):
        rungs += [rung(at(part, ratio, seed, factor), "probe") for factor in PROBES]
    kept: dict[str, Rung] = {}
    for one in rungs:
        kept.setdefault(one.config.id, one)
    return tuple(kept.values())


def make_target(recipe: Recipe, data: Dataset, flops: float, seed: int) -> TrainConfig:
    """The run that is foretold."""
    width = recipe.nearest_width((flops / 6 / TARGET_RATIO) ** 0.5, data.vocab_size)
    return recipe.config(width, flops / 6 / recipe.params(width, data.vocab_size), data.vocab_size, data.id, seed)


def price_of(rungs: Sequence[Rung], target: TrainConfig) -> float:
    """FLOPs of the runs over the target's; what runs share counts once."""
    spent = sum(trunk.flops for trunk in find_trunks(rungs))
    return spent / Rung(target, 0.0).flops


def study(corpus: str, parametrisation: Parametrisation, options: argparse.Namespace, keep: Path) -> list[Row]:
    """Train the ladders and the target of one corpus, as far as they are not there, and score the forecasts."""
    recipe = Recipe(parametrisation=parametrisation)
    sources = [str(options.data / name) for name in CORPORA[corpus]]
    lab = keep / corpus
    data = prepare(sources, lab / "data", vocab_size=1024)
    target = make_target(recipe, data, options.target, options.seeds[0])
    launcher = LocalLauncher(options.workers)
    locked = []
    for seed in options.seeds:
        rungs = make_ladder(recipe, data, options.target, seed)
        plan = Plan(recipe, data.id, 0.0, 0.0, Speed(0, 0, 0, 0, options.workers, "cpu"), rungs, seed)
        launcher.run(training_jobs(plan, rungs, lab / "data", lab))
        gates = read_gates(plan, lab)
        for distance in BARS:
            part = [rung for rung in rungs if rung.flops < 1.2 * options.target / distance]
            law_runs = [load_run(rung.config, lab) for rung in part if rung.role != "probe"]
            path = lab / f"{parametrisation}-{seed}-{distance}.csv"
            write_runs(path, law_runs)
            law = fit(read_runs(path), seed=seed)
            wanted = Rung(target, 0.0)
            forecast = forecast_loss(law, params=wanted.params, tokens=wanted.tokens)
            receipt = lock(forecast, lab / "receipts", fit=law)
            warnings = (*law.warnings, *forecast.warnings, *gates.warnings)
            locked.append((seed, distance, part, forecast, receipt, warnings))
    launcher.run([training_job(Rung(target, 0.0), lab / "data", lab)])
    landed = load_run(target, lab)
    rows = []
    for seed, distance, part, forecast, receipt, warnings in locked:
        score(receipt, landed)
        ends = forecast.interval
        rows.append(
            Row(
                corpus, seed, parametrisation, distance, len([rung for rung in part if rung.role != "probe"]),
                price_of(part, target), forecast.median, ends.lower, ends.upper, landed.loss, warnings,
            )
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def missed(row: Row) -> list[str]:
    """The bars that a row missed."""
    price, error, half_width = BARS[row.distance]
    name = f"{row.corpus}, seed {row.seed}, 1/{row.distance}"
    out = []
    if row.price > price:
        out.append(f"{name}: a price of {price:.0%} at most: it is {row.price:.1%}")
    if error is not None and abs(row.error) > error:
        out.append(f"{name}: an error of {error:.1%} at most: it is {row.error:+.2%}")
    if row.half_width > half_width:
        out.append(f"{name}: a half-width of {half_width:.1%} at most: it is {row.half_width:.2%}")
    if not row.inside:
        out.append(f"{name}: the outcome {row.outcome:.4f} is inside the interval")
    return out


def main() -> int:
    """Train, forecast, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--corpora", nargs="+", default=list(CORPORA), choices=list(CORPORA))
    parser.add_argument("--standard", nargs="*", default=["novels_en"], choices=list(CORPORA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--target", type=float, default=2.5e13, help="FLOPs of the target")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep the labs here; what is done there is not done again")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    print(HEAD)
    with tempfile.TemporaryDirectory(prefix="chidu-forecast-") as folder:
        keep = options.keep or Path(folder)
        rows = [row for corpus in options.corpora for row in study(corpus, "mup", options, keep)]
        beside = [row for corpus in options.standard for row in study(corpus, "standard", options, keep)]
    minutes = (time.monotonic() - began) / 60
    shown = earlier(options.target, rows + beside) + [row.to_json() for row in rows + beside]
    print(record.write("ladder_forecast", {"target_flops": options.target, "rows": shown, "minutes": minutes}))
    return record.judge([bar for row in rows for bar in missed(row)], options.check)


def earlier(target: float, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the result so far that are not done anew: corpora and seeds may be run one by one."""
    path = record.RESULTS / "ladder_forecast.json"
    if not path.exists() or (kept := json.loads(path.read_text(encoding="utf-8")))["target_flops"] != target:
        return []
    anew = {row.key for row in rows}
    return [row for row in kept["rows"] if tuple(row[name] for name in KEY) not in anew]


if __name__ == "__main__":
    sys.exit(main())
