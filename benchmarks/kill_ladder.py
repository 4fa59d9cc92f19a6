"""Kill a ladder at ten random moments, start it again each time, and compare its table with an undisturbed one's.

The whole process group, workers too, gets SIGKILL. Bar: ten kills, and `runs.csv` is the same, byte for byte.

    python benchmarks/kill_ladder.py [--budget 90s] [--kills 10] [--source builtin] [--seed 0] [--check]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record

CHECKPOINT_SECONDS = 2.0
"""Often, so that runs go on from checkpoints and do not only begin anew."""
START_SECONDS = 2.0
"""Least time before a kill: about what a worker needs to get to its first step."""


def main() -> int:
    """Run, kill, compare, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="90s")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--source", default="builtin")
    parser.add_argument("--vocab-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chidu-kill-") as folder:
        here = Path(folder)
        data, plan = here / "data", here / "plan.json"
        chidu("data", asked.source, "--out", data, "--vocab-size", asked.vocab_size)
        chidu("plan", "--data", data, "--budget", asked.budget, "--out", plan, "--seed", asked.seed)
        started = time.monotonic()
        chidu(*ladder(plan, data, here / "undisturbed"))
        undisturbed = time.monotonic() - started
        waits = kill_again_and_again(ladder(plan, data, here / "killed"), undisturbed, asked.kills, asked.seed)
        started = time.monotonic()
        chidu(*ladder(plan, data, here / "killed"))
        rest = time.monotonic() - started
        table = (here / "undisturbed" / "runs.csv").read_bytes()
        same = table == (here / "killed" / "runs.csv").read_bytes()
    runs = len(table.splitlines()) - 1
    print(f"{'runs':>5} {'undisturbed s':>14} {'kills':>6} {'killed s':>9}  same table")
    print(f"{runs:>5} {undisturbed:>14.0f} {len(waits):>6} {sum(waits) + rest:>9.0f}  {'yes' if same else 'no'}")
    figures = {
        "source": asked.source,
        "budget": asked.budget,
        "seed": asked.seed,
        "runs": runs,
        "kills": len(waits),
        "same": same,
        "seconds_undisturbed": undisturbed,
        "seconds_before_kills": waits,
        "seconds_of_the_rest": rest,
    }
    print(record.write("kill_ladder", figures))
    missed = [] if same else ["the table after the kills is the undisturbed one's"]
    missed += [f"{asked.kills} kills: the ladder was done after {len(waits)}"] if len(waits) < asked.kills else []
    return record.judge(missed, asked.check)


def ladder(plan: Path, data: Path, out: Path) -> list[object]:
    """The command, the same each time."""
    return ["ladder", plan, "--data", data, "--out", out, "--checkpoint-seconds", CHECKPOINT_SECONDS]


def chidu(*words: object) -> None:
    """Run the command line to its end."""
    subprocess.run([record.CHIDU, *map(str, words)], stdout=subprocess.DEVNULL, check=True)


def kill_again_and_again(words: list[object], undisturbed: float, kills: int, seed: int) -> list[float]:
    """Start and kill; the seconds before each kill, fewer than asked for where the ladder was done before."""
    rng = random.Random(seed)
    waits: list[float] = []
    for number in range(kills):
        wait = rng.uniform(START_SECONDS, max(2 * START_SECONDS, undisturbed / kills))
        line = [record.CHIDU, *map(str, words)]
        process = subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=os.name == "posix"
        )
        try:
            code = process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            waits.append(wait)
            print(f"kill {number + 1} after {wait:.1f} s", file=sys.stderr)
            continue
        if code != 0:
            raise subprocess.CalledProcessError(code, line)
        break
    return waits


if __name__ == "__main__":
    sys.exit(main())
