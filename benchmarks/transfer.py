"""Whether what is right for a small model is right for a wide or deep one: ours beside the standard parametrisation.

Bars, for ours:
- the coordinate check is flat: over a 16-fold range of width and a 4-fold range of depth, the change of every
  activation by some steps of training has a slope within 0.1 of zero in log-log;
- the best learning rate of a sweep in steps of 1.5 (three seeds or more) moves by at most one step, from width 16 to
  256 and from 2 to 8 layers, by the parabola and by the lowest rate tried.
The standard parametrisation (fixed initial size, one rate for everything) has no bar: it stands beside.

A coordinate check from width 16 on is shown too: there, updates average over few channels and are no longer flat.

    python benchmarks/transfer.py [--data ../shared/data] [--keep FOLDER [--only PART]] [--check]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import record
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.ladder.coordinates import CoordinateCheck, Shapes, coordinate_jobs, read_coordinates
from chidu.ladder.rates import RateCheck, RateProbe, sweep
from chidu.ladder.recipe import Parametrisation, Recipe, recipe_for
from chidu.runs import Run
from chidu.store import write_json
from chidu.training.__main__ import work
from chidu.training.train import Machine, train

SOURCE = "novels_en.train.jsonl.gz"
TOKENS = 1e5
KINDS: tuple[Parametrisation, ...] = ("mup", "standard")
SWEPT = {"width": ((16, 2), (256, 2)), "depth": ((32, 2), (32, 8))}
"""Small and large (width, layers) of each sweep."""
SEEDS = {
    "mup": {(16, 2): 9, (256, 2): 3, (32, 2): 6, (32, 8): 3},
    "standard": {(16, 2): 3, (256, 2): 1, (32, 2): 3, (32, 8): 1},
}
"""Runs at each rate: more where they cost seconds and differ, one where a drift of several steps costs minutes."""
CHECKS = {
    "width 64 to 1024": Shapes(widths=(64, 128, 256, 512, 1024), depths=(2, 4, 8)),
    "width 16 to 256": Shapes(widths=(16, 32, 64, 128, 256), depths=(2, 4, 8)),
}
"""The first has to be flat."""


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=record.ROOT / ".." / "shared" / "data")
    parser.add_argument("--keep", type=Path, help="keep the runs here; those that are done there are not rerun")
    parser.add_argument(
        "--only", help="do one part and no more: such as coordinates-mup, width-mup-0, depth-standard-1"
    )
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    record.use_one_thread()
    with tempfile.TemporaryDirectory(prefix="chidu-transfer-") as folder:
        out = asked.keep or Path(folder)
        data = prepare([str(asked.data / SOURCE)], out / "data", vocab_size=1024)
        if asked.only:
            dial, kind, *which = asked.only.split("-")
            if dial == "coordinates":
                print(*check_coordinates(kind, data, out).values(), sep="\n\n")
            else:
                print(find(dial, kind, which[0], data, out))
            return 0
        checks = {kind: check_coordinates(kind, data, out) for kind in KINDS}
        rates = {kind: {dial: sweep_rates(dial, kind, data, out) for dial in SWEPT} for kind in KINDS}
    for kind in KINDS:
        print(*checks[kind].values(), *rates[kind].values(), sep="\n\n", end="\n\n")
    figures = {
        "source": SOURCE,
        "tokens": TOKENS,
        "recipe": Recipe().to_json(),
        "coordinates": {kind: {name: each.to_json() for name, each in checks[kind].items()} for kind in KINDS},
        "rates": {kind: {dial: each.to_json() for dial, each in rates[kind].items()} for kind in KINDS},
    }
    print(record.write("transfer", figures))
    return record.judge(missed(checks["mup"][next(iter(CHECKS))], rates["mup"]), asked.check)


def check_coordinates(kind: Parametrisation, data: Dataset, out: Path) -> dict[str, CoordinateCheck]:
    """Both coordinate checks of a parametrisation, in this process."""
    made, recipe = {}, recipe_for("cpu", kind)
    for name, shapes in CHECKS.items():
        jobs = coordinate_jobs(recipe, data.vocab_size, data.id, data.folder, out / "coordinates", shapes)
        for job in jobs:
            if not job.done.exists():
                write_json(job.file, {**job.spec, "machine": {"threads": 1}})
                work(job.file)
        made[name] = read_coordinates(recipe, shapes, jobs)
    return made


def sweep_rates(dial: str, kind: Parametrisation, data: Dataset, out: Path) -> RateCheck:
    """The best rates of the small and the large model of a dial."""
    probes = tuple(find(dial, kind, which, data, out) for which in (0, 1))
    return RateCheck(
        recipe_for("cpu", kind).name, kind, round(TOKENS), min(SEEDS[kind][shape] for shape in SWEPT[dial]), probes
    )


def find(dial: str, kind: Parametrisation, which: int | str, data: Dataset, out: Path) -> RateProbe:
    """Sweep one shape; every run is kept."""
    shape = SWEPT[dial][int(which)]
    (width, layers), seeds = shape, SEEDS[kind][shape]
    machine = Machine(checkpoint_seconds=1e9, tensorboard=False)

    def do(configs: Sequence[TrainConfig]) -> list[Run]:
        started, runs = time.monotonic(), []
        for config in configs:
            runs.append(train(config, data, out / "runs" / config.id, machine))
        if time.monotonic() - started > 1:
            print(f"{kind} {width} x {layers}: {len(runs)} runs, {time.monotonic() - started:.0f} s", flush=True)
        return runs

    return sweep(recipe_for("cpu", kind), shape, TOKENS, (data.id, data.vocab_size), do, seeds=seeds)


def missed(check: CoordinateCheck, rates: dict[str, RateCheck]) -> list[str]:
    """The bars that ours missed."""
    out = list(check.warnings)
    for dial, each in rates.items():
        if not each.transfers:
            out.append(f"over {dial} the best rate moves by at most one step of 1.5: by {each.drift:+.2f} (parabola)")
        if abs(each.grid_drift) > 1:
            out.append(f"over {dial} the best rate moves by at most one step of 1.5: by {each.grid_drift:+d} (tried)")
    return out


if __name__ == "__main__":
    sys.exit(main())
