"""The learning rate as a multiple of its peak: warm-up, stable, decay (2405.18392), or warm-up and a cosine."""

import math

from chidu.config import TrainConfig

COSINE_END = 0.1
"""Multiple of the peak at which a cosine ends (2203.15556, section 3)."""


def rate_multiplier(config: TrainConfig, step: int) -> float:
    """Multiple of the peak rate for `step`, counted from 0: in (0, 1].

    Warm-up and decay are linear, with 1 between them; a cosine falls to `COSINE_END` at the last step.
    """
    rising = (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "cosine":
        part = max(0.0, (step + 1 - config.warmup_steps) / max(1, config.decay_steps))
        return min(rising, 1.0) * (COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * part)) / 2)
    falling = (config.steps - step) / (config.decay_steps + 1)
    return min(rising, falling, 1.0)
