"""How long `chidu forecast` takes, from the start of the process to its end.

Bars, of medians: 1.5 s for `docs/example_runs.csv` (or another `--table`), and torch is not loaded; 1 s for a table of
250 runs; 3 s for one of 5,000; and 1,000 targets take at most twice as long as one. The two tables are made here, from
a known law.

    python benchmarks/forecast_time.py [--table docs/example_runs.csv] [--times 7] [--check]
"""

import argparse
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

BAR, SMALL, LARGE, MANY = 1.5, 1.0, 3.0, 2.0
TORCH = "import sys; from chidu.cli import main; assert main(sys.argv[1:]) == 0; sys.exit('torch' in sys.modules)"
ONE = ["--params", "1e11", "--tokens", "2e12"]


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=record.ROOT / "docs" / "example_runs.csv")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chidu-forecast-time-") as folder:
        here = Path(folder)
        small, large = make_table(here / "made_250.csv", 250), make_table(here / "made_5000.csv", 5000)
        many = ["--targets", str(make_targets(here / "targets.csv", 1000)), "--out", str(here / "out.csv")]
        cases = [(asked.table, 1, ONE), (small, 1, ONE), (small, 1000, many), (large, 1, ONE), (large, 1000, many)]
        rows = measure(cases, asked.times)
    line = ["forecast", str(asked.table), *ONE]
    torch = subprocess.run([sys.executable, "-c", TORCH, *line], stdout=subprocess.DEVNULL).returncode != 0
    print(f"torch loaded: {'yes' if torch else 'no'}")
    figures = {"median": rows[0]["median"], "times": asked.times, "torch": torch, "rows": rows}
    print(record.write("forecast_time", figures))
    return record.judge(missed(rows, torch), asked.check)


def make_table(path: Path, runs: int) -> Path:
    """Write runs of a known law, with a noise of 0.3 %."""
    rng = random.Random(runs)
    lines = ["run,params,tokens,loss"]
    for i in range(runs):
        params = 10 ** rng.uniform(7.0, 9.5)
        tokens = params * 10 ** rng.uniform(0.6, 2.2)
        loss = (1.8 + 400 / params**0.34 + 2000 / tokens**0.36) * math.exp(rng.gauss(0, 0.003))
        lines.append(f"r{i},{params:.0f},{tokens:.0f},{loss:.6f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_targets(path: Path, count: int) -> Path:
    """Write targets of 3e9 to 1e11 params at 20 tokens each."""
    sizes = [3e9 * (1e11 / 3e9) ** (i / (count - 1)) for i in range(count)]
    lines = ["params,tokens", *[f"{params:.0f},{20 * params:.0f}" for params in sizes]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measure(cases: list[tuple[Path, int, list[str]]], times: int) -> list[dict[str, Any]]:
    """Seconds of whole processes, the cases in turn so that a busy moment meets them all."""
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(times):
        for (table, _, words), spent in zip(cases, seconds, strict=True):
            started = time.perf_counter()
            subprocess.run([record.CHIDU, "forecast", str(table), *words], stdout=subprocess.DEVNULL, check=True)
            spent.append(time.perf_counter() - started)
    rows = []
    print(f"{'table':<24} {'runs':>5} {'targets':>8} {'median s':>9} {'fastest':>8} {'slowest':>8}")
    for (table, targets, _), spent in zip(cases, seconds, strict=True):
        runs = len(table.read_text(encoding="utf-8").splitlines()) - 1
        median = statistics.median(spent)
        rows.append({"table": table.name, "runs": runs, "targets": targets, "median": median, "seconds": spent})
        print(f"{table.name:<24} {runs:>5} {targets:>8} {median:>9.2f} {min(spent):>8.2f} {max(spent):>8.2f}")
    return rows


def missed(rows: list[dict[str, Any]], torch: bool) -> list[str]:
    """The bars that were missed."""
    asked, small, small_many, large, large_many = (row["median"] for row in rows)
    bars = ((rows[0]["table"], asked, BAR), ("250 runs", small, SMALL), ("5,000 runs", large, LARGE))
    out = [f"a median of {bar} s for {what}: it is {median:.2f} s" for what, median, bar in bars if median > bar]
    for what, one, many in (("250", small, small_many), ("5,000", large, large_many)):
        if many > MANY * one:
            out.append(f"1,000 targets in {MANY:.0f} times the time of one, of {what} runs: {many / one:.1f} times")
    return out + (["torch is not loaded"] if torch else [])


if __name__ == "__main__":
    sys.exit(main())
