"""The coordinate check's measurement: how large activations are, and how far a few optimiser steps move them.

Shapes: B sequences, H heads, T queries, S keys.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.loader import Loader
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.model.watch import Watch
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.train import DATA_SEED, Machine, prepare_machine, train_step

PROBE_WINDOWS = 16
"""Held-out windows on which activations are read."""

Activations = dict[str, list[Tensor]]


def measure_coordinates(
    configs: Sequence[TrainConfig], data: Dataset, steps: int, machine: Machine
) -> list[dict[str, Any]]:
    """Train each model for a few steps at its full rates, without warm-up, and read its activations before and after.

    Returns for each config a mapping of quantity -> {"size": mean absolute value, "change": mean absolute difference
    from before the first step}, each a list over steps 0 to `steps`, averaged over layers where there is one a layer;
    None where it left the numbers.

    Raises:
        InputError: a model is no decoder.
    """
    prepare_machine(machine)
    return [_measure(config, data, steps, machine) for config in configs]


def _measure(config: TrainConfig, data: Dataset, steps: int, machine: Machine) -> dict[str, Any]:
    if config.model.kind != "decoder":
        raise InputError(f"the coordinate check reads decoders, not a model of kind {config.model.kind}")
    context = config.model.context
    loader = Loader(data.train, context, config.batch_tokens // context, DATA_SEED)
    batch = torch.from_numpy(loader.batch(0)).to(machine.device)
    probe = batch[:, :-1]
    model = Transformer(config.model, config.seed).to(machine.device)
    optimizer = make_optimizer(model, config)
    set_rate(optimizer, 1.0)
    first = read_activations(model, probe)
    out: dict[str, Any] = {name: {"size": [_mean(each)], "change": [0.0]} for name, each in first.items()}
    for step in range(steps):
        train_step(config, model, optimizer, batch, step=step)
        for name, each in read_activations(model, probe).items():
            out[name]["size"].append(_mean(each))
            out[name]["change"].append(_mean([now - then for now, then in zip(each, first[name], strict=True)]))
    return out


@torch.no_grad()
def read_activations(model: Transformer, tokens_BT: Tensor) -> Activations:
    """The activations of a decoder on some tokens, by quantity; one tensor a layer where there is one a layer."""
    found: Activations = {"embedding": [], "attention_output": [], "feed_forward": [], "stream": []}
    blocks = list(model.blocks)
    places = [("embedding", model.embedding), ("stream", blocks[-1])]
    places += [("attention_output", block.get_submodule("attention")) for block in blocks]
    places += [("feed_forward", block.get_submodule("feed_forward")) for block in blocks]
    handles = [place.register_forward_hook(_keep(found[name])) for name, place in places]
    watch = Watch()
    try:
        logits = model(tokens_BT, watch=watch)
    finally:
        for handle in handles:
            handle.remove()
    return {**found, "attention_logits": [centred_scores(each) for each in watch.maps.own], "head_logits": [logits]}


def centred_scores(weights_BHTS: Tensor) -> Tensor:
    """Attention logits less their mean over the keys that a query sees: all that the softmax lets through.

    Read back from the weights of causal attention; the first query, which sees one key, is left out. [B, H, places].
    """
    length = weights_BHTS.shape[-1]
    seen = torch.ones(length, length, dtype=torch.bool, device=weights_BHTS.device).tril()
    logs = weights_BHTS.clamp(min=torch.finfo(weights_BHTS.dtype).tiny).log().where(seen, 0.0)
    centred = logs - logs.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True)
    seen[0] = False
    return centred[..., seen]


def _keep(found: list[Tensor]) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        found.append(output)

    return hook


def _mean(each: Sequence[Tensor]) -> float | None:
    """Mean absolute value over all tensors, which are of one size; None where it is no number."""
    value = float(torch.stack([part.abs().mean() for part in each]).mean())
    return value if math.isfinite(value) else None
