"""What every benchmark has in common: where its result goes, and on what it was measured."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHIDU = str(Path(sys.executable).with_name("chidu"))
"""The command line of this environment."""
PACKAGES = ("chidu", "numpy", "scipy", "torch", "tokenizers")


def use_one_thread() -> None:
    """Begin again with one thread: BLAS asks how many when numpy is loaded."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if any(os.environ.get(name) != "1" for name in one):
        sys.exit(subprocess.run([sys.executable, *sys.orig_argv[1:]], env=os.environ | one).returncode)


def machine() -> dict[str, Any]:
    """The CPU's model and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": model, "cores": cores, "system": platform.system()}


def versions() -> dict[str, str]:
    """Of Python and what does the work."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """The commit of the checkout, with a + where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write `results/<name>.json`: the figures, the machine, versions and commit."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    value = {**figures, "machine": machine(), "versions": versions(), "commit": commit()}
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def judge(missed: Sequence[str], check: bool) -> int:
    """Name the bars that were missed; the exit status: 1 where one was and `--check` asked."""
    for bar in missed:
        print(f"missed: {bar}")
    if not missed:
        print("every bar is met")
    return int(check and bool(missed))
