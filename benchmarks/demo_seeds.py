"""The demo for several seeds: each forecast is locked before its target is trained, ten times the ladder's largest run.

Bars, for every seed: an error of 3 % at most, the outcome inside the interval, and 20 minutes at most in all. The first
seed's output is written to `results/demo.json` too, for the README.

    python benchmarks/demo_seeds.py [--seeds 0 1 2] [--budget 3min] [--source builtin] [--check]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

ERROR, MINUTES = 0.03, 20.0


def main() -> int:
    """Run, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", default="3min")
    parser.add_argument("--source", default="builtin")
    parser.add_argument("--keep", type=Path, help="keep the lab folders here; seeds that are done there are not rerun")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    rows = []
    print(f"{'seed':>4} {'forecast':>9} {'90 % interval':>17} {'outcome':>8} {'error':>7} {'inside':>6} {'minutes':>8}")
    with tempfile.TemporaryDirectory(prefix="chidu-demo-") as folder:
        for seed in asked.seeds:
            lab = (asked.keep or Path(folder)) / f"lab-{seed}"
            kept = lab.with_name(f"lab-{seed}.json")
            if kept.exists():
                rows.append(row := json.loads(kept.read_text(encoding="utf-8")))
                show(row)
                continue
            line = ["run", asked.source, "--confirm", "--budget", asked.budget, "--seed", str(seed), "--out", str(lab)]
            started = time.monotonic()
            done = subprocess.run([record.CHIDU, *line], stdout=subprocess.PIPE, text=True, check=True)
            minutes = (time.monotonic() - started) / 60
            rows.append(row := {"seed": seed, **outcome(lab), "minutes": minutes})
            kept.write_text(json.dumps(row), encoding="utf-8")
            show(row)
            if seed == asked.seeds[0]:
                shown = " ".join(["chidu", *line[:-1], "lab-demo"])
                output = done.stdout.replace(str(lab), "lab-demo")
                record.write("demo", {"command": shown, "output": output, "minutes": minutes, "row": row})
    figures = {"source": asked.source, "budget": asked.budget, "rows": rows}
    print(record.write("demo_seeds", figures))
    return record.judge([bar for row in rows for bar in missed(row)], asked.check)


def outcome(lab: Path) -> dict[str, Any]:
    """The locked forecast of a lab and how it did."""
    receipt = json.loads((lab / "forecast.json").read_text(encoding="utf-8"))["receipt"]
    forecast = json.loads((lab / "receipts" / f"{receipt}.json").read_text(encoding="utf-8"))["forecast"]
    (path,) = (lab / "receipts").glob(f"{receipt}.outcome-*.json")
    scored = json.loads(path.read_text(encoding="utf-8"))
    return {
        "median": forecast["median"],
        "lower": forecast["interval"]["lower"],
        "upper": forecast["interval"]["upper"],
        "distance": forecast["distance"],
        "loss": scored["loss"],
        "error": scored["error"],
        "inside": scored["inside"],
    }


def show(row: dict[str, Any]) -> None:
    """Print a line of the table."""
    interval = f"{row['lower']:.3f} to {row['upper']:.3f}"
    print(
        f"{row['seed']:>4} {row['median']:>9.4f} {interval:>17} {row['loss']:>8.4f} {row['error']:>+7.2%} "
        f"{'yes' if row['inside'] else 'no':>6} {row['minutes']:>8.1f}",
        flush=True,
    )


def missed(row: dict[str, Any]) -> list[str]:
    """The bars that a seed missed."""
    out = []
    if abs(row["error"]) > ERROR:
        out.append(f"seed {row['seed']}: an error of {ERROR:.0%} at most: it is {row['error']:+.2%}")
    if not row["inside"]:
        out.append(f"seed {row['seed']}: the outcome {row['loss']:.4f} is inside the interval")
    if row["minutes"] > MINUTES:
        out.append(f"seed {row['seed']}: {MINUTES:.0f} minutes at most: it took {row['minutes']:.1f}")
    return out


if __name__ == "__main__":
    sys.exit(main())
