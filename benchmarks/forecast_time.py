"""How long `chidu forecast TABLE --params .. --tokens ..` takes, from the start of the process to its end.

Bars: a median of 1.5 s at most, and torch is not loaded.

    python benchmarks/forecast_time.py [--table docs/example_runs.csv] [--times 7] [--check]
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import record

BAR = 1.5
TORCH = "import sys; from chidu.cli import main; assert main(sys.argv[1:]) == 0; sys.exit('torch' in sys.modules)"


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=record.ROOT / "docs" / "example_runs.csv")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    line = ["forecast", str(asked.table), "--params", "1e9", "--tokens", "20e9"]
    seconds = [measure(line) for _ in range(asked.times)]
    median = statistics.median(seconds)
    torch = subprocess.run([sys.executable, "-c", TORCH, *line], stdout=subprocess.DEVNULL).returncode != 0
    print(f"{'table':<24} {'runs':>5} {'median s':>9} {'fastest':>8} {'slowest':>8}  torch loaded")
    runs = len(asked.table.read_text(encoding="utf-8").splitlines()) - 1
    name = asked.table.name
    print(f"{name:<24} {runs:>5} {median:>9.2f} {min(seconds):>8.2f} {max(seconds):>8.2f}  {'yes' if torch else 'no'}")
    figures = {"table": name, "runs": runs, "times": asked.times, "median": median, "seconds": seconds, "torch": torch}
    print(record.write("forecast_time", figures))
    missed = [f"a median of {BAR} s: it is {median:.2f} s"] if median > BAR else []
    missed += ["torch is not loaded"] if torch else []
    return record.judge(missed, asked.check)


def measure(line: list[str]) -> float:
    """Seconds of one whole process."""
    started = time.perf_counter()
    subprocess.run([record.CHIDU, *line], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
