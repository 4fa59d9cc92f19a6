"""Other packages that fit such laws, each as its own documentation says, in an environment of its own.

The environments are made by pip in a cache folder (`CHIDU_BENCHMARK_CACHE`, or `~/.cache/chidu/benchmarks`) and kept.
What cannot be installed here is skipped, with a word.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECONDS = 1800
"""Longest fit that is waited for."""

CHINCHILLA = """
import csv, json, os, sys, tempfile, time
import numpy as np
from chinchilla import Chinchilla

table, points = sys.argv[1], int(sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    with open(table) as file, open(os.path.join(folder, "df.csv"), "w") as out:
        out.write("C,N,D,loss\\n")
        for row in csv.DictReader(file):
            n, d = float(row["params"]), float(row["tokens"])
            out.write(f"{6 * n * d!r},{round(n)},{round(d)},{row['loss']}\\n")
    grid = dict(
        E=np.linspace(1, 2, points),
        a=np.linspace(1, 10, points),
        b=np.linspace(1, 10, points),
        alpha=np.linspace(0.1, 0.7, points),
        beta=np.linspace(0.1, 0.7, points),
    )
    cc = Chinchilla(folder, param_grid=grid)
    started, before = time.perf_counter(), os.times()
    cc.fit()
    seconds, after = time.perf_counter() - started, os.times()
cpu = sum(after[:4]) - sum(before[:4])
with open(table) as file:
    predicted = [float(cc.predict_loss(float(row["params"]), float(row["tokens"]))) for row in csv.DictReader(file)]
print(json.dumps(dict(seconds=seconds, cpu_seconds=cpu, starts=points**5, parameters=cc.params, predicted=predicted)))
"""
"""Its README, "Fitting the scaling law on existing dataset": the grid of 5^5 starts, all cores."""

SIMPLE = """
import csv, json, os, sys, time
import polars as pl
from simple_scaling_laws import fit

with open(sys.argv[1]) as file:
    rows = list(csv.DictReader(file))
runs = pl.DataFrame(
    {
        "training_run_id": [str(i) for i in range(len(rows))],
        "test_set_id": ["a"] * len(rows),
        "model_size__n_params": [float(row["params"]) for row in rows],
        "dataset_size__n_tokens": [float(row["tokens"]) for row in rows],
        "test_loss__cross_entropy": [float(row["loss"]) for row in rows],
    }
)
started, before = time.perf_counter(), os.times()
model = fit(runs, law="separable-power", n_draws=int(sys.argv[2]), seed=0)
seconds, after = time.perf_counter() - started, os.times()
cpu = sum(after[:4]) - sum(before[:4])
points = runs.select(
    pl.col("training_run_id").alias("point_id"), "model_size__n_params", "dataset_size__n_tokens"
)
predicted = model.predict(points, quantiles=[0.5])["test_loss__cross_entropy__median"].to_list()
exponents = dict(model.exponents("test_loss__cross_entropy"))
draws = int(sys.argv[2])
print(json.dumps(dict(seconds=seconds, cpu_seconds=cpu, draws=draws, parameters=exponents, predicted=predicted)))
"""
"""Its README, "Quick start": the separable power law, 200 draws of its bootstrap."""


def cache() -> Path:
    """Where the environments are kept."""
    return Path(os.environ.get("CHIDU_BENCHMARK_CACHE") or Path.home() / ".cache" / "chidu" / "benchmarks")


def find_python(least: tuple[int, int]) -> str | None:
    """An interpreter of that version or a later one: this one, those on the path, those of pyenv."""
    names = [f"python3.{minor}" for minor in range(least[1], least[1] + 4)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: list[str] = [sys.executable, *filter(None, map(shutil.which, names))]
    found += [str(path) for path in sorted(pyenv.glob("3.*/bin/python"))]
    test = f"import sys, venv; sys.exit(sys.version_info[:2] < {least!r})"
    for path in found:
        if subprocess.run([path, "-c", test], capture_output=True).returncode == 0:
            return path
    return None


def environment(name: str, requirement: str, least: tuple[int, int]) -> tuple[str | None, str]:
    """The interpreter of an environment that holds a package, or None and why there is none."""
    folder = cache() / requirement.replace("==", "-")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (folder / "done").exists() and python.exists():
        return str(python), ""
    base = find_python(least)
    if base is None:
        return None, f"no Python {least[0]}.{least[1]} or later is here"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lines: Sequence[list[str]] = (
        [base, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    )
    for line in lines:
        print(f"{name}: {' '.join(line[1:])}", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None, f"its installation took more than {SECONDS} s"
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            return None, f"it could not be installed ({last})"
    (folder / "done").write_text(requirement)
    return str(python), ""


def run(name: str, requirement: str, least: tuple[int, int], script: str, words: Sequence[object]) -> dict[str, Any]:
    """What a script prints as its last line in the environment of a package, or why it was skipped."""
    python, why = environment(name, requirement, least)
    if python is None:
        return {"package": requirement, "skipped": why}
    variables = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ""}
    line = [python, "-W", "ignore", "-c", script, *map(str, words)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, env=os.environ | variables)
    except subprocess.TimeoutExpired:
        return {"package": requirement, "skipped": f"it took more than {SECONDS} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {"package": requirement, "skipped": f"it failed ({last})"}
    return {"package": requirement, **json.loads(done.stdout.strip().splitlines()[-1])}


def run_all(table: Path, quick: bool) -> list[dict[str, Any]]:
    """Every package on a table of params, tokens, loss."""
    return [
        run("chinchilla", "chinchilla==0.2.0", (3, 9), CHINCHILLA, [table, 2 if quick else 5]),
        run("simple-scaling-laws", "simple-scaling-laws==0.2.0", (3, 12), SIMPLE, [table, 200]),
    ]
