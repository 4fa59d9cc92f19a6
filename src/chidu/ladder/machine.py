"""What this machine can do: its workers, and how fast they train, measured on a spread of sizes."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chidu.accounting import train_flops
from chidu.errors import InputError
from chidu.ladder.launcher import Job, LocalLauncher
from chidu.ladder.plan import Speed
from chidu.ladder.recipe import Recipe
from chidu.stats import Array
from chidu.store import read_json

MEASURED = {
    "cpu": ((32, 512), (32, 2048), (64, 1024), (128, 2048)),
    "cuda": ((64, 8192), (64, 65_536), (256, 65_536), (608, 65_536)),
}
"""Widths, and about how many tokens a step, that are measured on each device."""
SECONDS = 1.5
"""Time of each measurement."""


def find_device() -> str:
    """`cuda` where torch sees a GPU, else `cpu`; asked in a process of its own, as torch is not loaded here.

    Raises:
        InputError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError("training needs PyTorch; install it with: pip install 'chidu[train]'")
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    question = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
    return subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True).stdout.strip()


def count_workers(device: str) -> int:
    """One worker a GPU that torch sees (CUDA_VISIBLE_DEVICES counts), or one a core that this process may use."""
    if device == "cuda":
        question = "import torch; print(torch.cuda.device_count())"
        return int(subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True).stdout)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure_speed(
    recipe: Recipe, vocab_size: int, device: str, workers: int, progress: Callable[[str, float], None]
) -> Speed:
    """Train a few sizes for a moment, on all workers at once as the ladder will, and fit seconds to size."""
    doing = "measuring this machine's speed"
    progress(doing, 0.0)
    configs = [recipe.batch_config(width, tokens, vocab_size) for width, tokens in MEASURED[device]]
    with tempfile.TemporaryDirectory(prefix="chidu-speed-") as folder:
        places = [(config, Path(folder) / f"{i}-{n}") for i, config in enumerate(configs) for n in range(workers)]
        jobs = [_job(place, config.to_json()) for config, place in places]
        launcher = LocalLauncher(workers, device, on_progress=lambda done: progress(doing, done.part))
        took = launcher.run(jobs)
        found = [read_json(job.done)["seconds_per_token"] for job in jobs]
    per_token_each = np.array(found).reshape(len(configs), workers).mean(axis=1)
    tokens_each = np.array([config.batch_tokens for config in configs])
    work = [(1.0, config.batch_tokens, train_flops(config.model, config.batch_tokens)) for config in configs]
    progress(doing, 1.0)
    per_step, per_token, per_flop = _fit_speed(np.array(work), per_token_each * tokens_each)
    overhead = max(0.0, took / len(configs) - SECONDS)  # a worker's start is shared by its jobs, in a ladder by more
    return Speed(per_step, per_token, per_flop, overhead, workers, device)


def _fit_speed(work: Array, seconds: Array) -> Array:
    """Non-negative prices of a step, a token and a FLOP, [3], by least squares of the relative error.

    A price that comes out negative is dropped and the others are fitted again.
    """
    prices, kept = np.zeros(work.shape[1]), list(range(work.shape[1]))
    while kept:
        found = np.linalg.lstsq(work[:, kept] / seconds[:, None], np.ones(len(seconds)), rcond=None)[0]
        if found.min() >= 0:
            prices[kept] = found
            break
        kept.pop(int(found.argmin()))
    return prices


def _job(stem: Path, config: dict[str, object]) -> Job:
    out = stem.with_suffix(".speed.json")
    spec = {"verb": "speed", "config": config, "out": str(out), "seconds": SECONDS}
    return Job(spec, stem.with_suffix(".job.json"), out, SECONDS)
