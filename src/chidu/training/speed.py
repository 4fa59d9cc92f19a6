"""How fast this machine trains a model: measured, never guessed."""

import statistics
import time

import torch

from chidu.config import TrainConfig
from chidu.data.specials import Specials
from chidu.model.transformer import Transformer
from chidu.training.compiling import compile_blocks, wants_compiler
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.passes import make_passes
from chidu.training.train import Machine, prepare_machine, train_step

SKIPPED = 2
"""First steps, which allocate memory and are slower than the rest."""


def measure_seconds_per_token(config: TrainConfig, machine: Machine, seconds: float = 2.0) -> float:
    """Train on random tokens for about `seconds` and return the seconds per token of an undisturbed step.

    That is the lower quartile of the steps: other work on the machine comes and goes, and only ever slows a step.
    """
    prepare_machine(machine)
    model = Transformer(config.model, config.seed).to(machine.device)
    if wants_compiler(config, machine.device, machine.compile):
        compile_blocks(model)
    optimizer = make_optimizer(model, config)
    set_rate(optimizer, 1e-3)
    shape = (config.batch_tokens // config.model.context, config.model.context + 1)
    batch = torch.randint(config.model.vocab_size, shape, device=machine.device)
    specials = None
    if config.model.kind != "decoder":  # which ids are special makes no step faster or slower
        specials = Specials(config.model.vocab_size - Specials(1, 0).vocab_size, 0)
    passes = make_passes(config, model, specials)
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < SKIPPED + 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        loss, _ = train_step(config, model, optimizer, batch, specials, 0, passes)
        float(loss)
        times.append(time.perf_counter() - before)
    return statistics.quantiles(times[SKIPPED:], n=4)[0] / config.batch_tokens
