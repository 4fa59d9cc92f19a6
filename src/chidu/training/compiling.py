"""Blocks as compiled code, where that pays: the compiler takes 15 to 40 s a shape, and 4 s again from its cache."""

import os
import sys
from pathlib import Path
from typing import Literal

from chidu.accounting import train_flops
from chidu.config import TrainConfig
from chidu.model.transformer import Transformer

Compile = Literal["auto", "on", "off"]
LONG = {"cpu": 1e14, "cuda": 1e16}
"""FLOPs of a run from which the compiler's time is small beside it: a quarter of an hour or more."""


def wants_compiler(config: TrainConfig, device: str, wish: Compile) -> bool:
    """Whether a run's blocks are compiled: as wished, else where the run is long and compiled code gains most.

    On a CPU that is bfloat16; in float32 it gains little more than being written out (docs/LOG.md).
    """
    if wish != "auto":
        return wish == "on"
    kind = device.partition(":")[0]
    if kind == "cpu" and config.dtype == "float32":
        return False
    return train_flops(config.model, config.steps * config.batch_tokens) >= LONG[kind]


def compile_blocks(model: Transformer, backend: str = "inductor") -> None:
    """Let every block run as compiled code; all blocks, and all runs of a shape, share it by the compiler's cache."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder()))
    for block in model.all_blocks:
        block.compile(backend=backend, dynamic=False)
    model.compiled = True


def cache_folder() -> Path:
    """Where compiled code is kept between processes: the user's cache folder."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "chidu" / "inductor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chidu" / "inductor"
