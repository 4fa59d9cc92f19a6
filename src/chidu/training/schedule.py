"""Warm-up, stable, decay: the learning rate as a multiple of its peak (2405.18392)."""

from chidu.config import TrainConfig


def rate_multiplier(config: TrainConfig, step: int) -> float:
    """Multiple of the peak rate for `step`, counted from 0: in (0, 1], linear in both ramps, 1 between them."""
    warmup = round(config.warmup_fraction * config.steps)
    decay = round(config.decay_fraction * config.steps)
    rising = (step + 1) / (warmup + 1)
    falling = (config.steps - step) / (decay + 1)
    return min(rising, falling, 1.0)
