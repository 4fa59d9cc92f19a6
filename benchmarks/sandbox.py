"""The sandbox: every reference solution passes its tests in it, and every hostile program is contained and reported.

Bars: all of HumanEval's 164 and MBPP's 974 solutions pass, none of the twenty programs of tests/tasks/hostile.py gets
what it wants, and nothing is left running.

    python benchmarks/sandbox.py [--data FOLDER] [--check]
"""

import argparse
import sys
import time
from pathlib import Path

import record
from chidu.tasks import Coding
from chidu.tasks.coding import count_passed
from chidu.tasks.example import Prediction
from chidu.tasks.sandbox import Limits, find_jail, run_program

sys.path.insert(0, str(record.ROOT / "tests" / "tasks"))
from hostile import HOSTILE

DATA = record.ROOT.parent / "shared" / "data"
FILES = ("humaneval.test", "mbpp.prompt", "mbpp.test", "mbpp.valid", "mbpp.train")
SHORT = Limits(wall_seconds=4.0, cpu_seconds=2, memory_bytes=256 << 20)


def main() -> int:
    """Run, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    jail = find_jail().name
    print(f"jail: {jail}\n{'file':<16} {'solutions':>9} {'passed':>7} {'seconds':>8}  failed")
    missed, rows = [], []
    for name in FILES:
        started = time.monotonic()
        examples = Coding().examples(asked.data / f"{name}.jsonl.gz")
        passed = count_passed(examples, [Prediction(text=example.targets[0]) for example in examples], Limits())
        failed = [example.name for example, one in zip(examples, passed, strict=True) if not one]
        seconds = time.monotonic() - started
        print(f"{name:<16} {len(examples):>9} {sum(passed):>7} {seconds:>8.1f}  {' '.join(failed)}", flush=True)
        rows.append({"file": name, "solutions": len(examples), "passed": sum(passed), "seconds": seconds})
        missed += [f"{name}: {one} fails" for one in failed]
    print(f"\n{'hostile program':<36} {'ended by':<8} {'seconds':>7}  contained")
    contained = []
    for name, hostile in HOSTILE.items():
        program = hostile.program.replace("{secret}", "/etc/hostname").replace("{port}", "22")
        outcome = run_program(program.replace("{{", "{").replace("}}", "}"), SHORT)
        held = "ESCAPED" not in outcome.output and outcome.status in hostile.ends
        print(f"{name:<36} {outcome.status:<8} {outcome.seconds:>7.2f}  {'yes' if held else 'NO'}", flush=True)
        contained.append({"program": name, "status": outcome.status, "seconds": outcome.seconds, "contained": held})
        missed += [] if held else [f"{name} is contained"]
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"/program.py" in _read(path)]
    missed += [f"nothing is left running: {len(left)} processes are"] if left else []
    print(record.write("sandbox", {"jail": jail, "solutions": rows, "hostile": contained, "left": len(left)}))
    return record.judge(missed, asked.check)


def _read(path: Path) -> bytes:
    try:
        line = path.read_bytes()
    except OSError:
        return b""
    return line if b"-I\0-S\0-B\0" in line else b""


if __name__ == "__main__":
    sys.exit(main())
