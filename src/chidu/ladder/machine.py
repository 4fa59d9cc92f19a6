"""What this machine can do: its workers, and how fast they train, measured on a spread of sizes."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chidu.accounting import train_flops
from chidu.errors import InputError
from chidu.ladder.launcher import Job, LocalLauncher
from chidu.ladder.plan import Speed
from chidu.ladder.recipe import Recipe
from chidu.store import read_json

MEASURED_WIDTHS = {"cpu": (32, 64, 128), "cuda": (64, 256, 608)}
MEASURED_TOKENS = 2048
"""Batch of the measurement, about that of a short run."""
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
    """Train three sizes for a moment, on all workers at once as the ladder will, and fit seconds to size."""
    flops, seconds, overheads = [], [], []
    with tempfile.TemporaryDirectory(prefix="chidu-speed-") as folder:
        for done, width in enumerate(MEASURED_WIDTHS[device]):
            progress("measuring this machine's speed", done / len(MEASURED_WIDTHS[device]))
            config = recipe.config(width, MEASURED_TOKENS, vocab_size, data="none")
            started = time.monotonic()
            jobs = [_job(Path(folder) / f"{width}-{worker}", config.to_json()) for worker in range(workers)]
            LocalLauncher(workers, device).run(jobs)
            overheads.append(time.monotonic() - started - SECONDS)
            seconds.append(float(np.mean([read_json(job.done)["seconds_per_token"] for job in jobs])))
            flops.append(train_flops(config.model, config.model.context) / config.model.context)
    progress("measuring this machine's speed", 1.0)
    per_flop, per_token = np.polyfit(flops, seconds, 1, w=1 / np.array(seconds))
    if per_token < 0:  # a machine so slow that launching an operation costs nothing beside doing it
        per_token, per_flop = 0.0, float(np.mean(np.array(seconds) / np.array(flops)))
    return Speed(float(per_token), float(per_flop), max(0.0, min(overheads)), workers, device)


def _job(stem: Path, config: dict[str, object]) -> Job:
    out = stem.with_suffix(".speed.json")
    spec = {"verb": "speed", "config": config, "out": str(out), "seconds": SECONDS}
    return Job(spec, stem.with_suffix(".job.json"), out, SECONDS)
