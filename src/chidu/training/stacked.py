"""Several runs of one shape as one batched graph, for sweeps of rates and seeds on a GPU that one of them leaves idle.

The weights of M models lie in the rows of one matrix, and `torch.func.vmap` turns the forward of one into that of all.
Each model keeps its own optimizer, schedule and folder, and is equal to its lone twin step by step, to rounding. On a
CPU, which a single model keeps busy, that is slower (docs/LOG.md): the launcher stacks on GPUs alone.

Shapes: M models, P places of the flat vectors, B sequences, T tokens.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.loader import Loader
from chidu.errors import InputError
from chidu.model.transformer import Transformer, next_token_losses
from chidu.runs import Run
from chidu.store import hash_json, hold, read_json, write_json
from chidu.training import train as one
from chidu.training.average import Average
from chidu.training.checkpoint import latest_checkpoint, restore, save_checkpoint
from chidu.training.metrics import LOG_EVERY, Metrics
from chidu.training.optimizer import FlatAdamW, make_optimizer, set_rate
from chidu.training.passes import feed
from chidu.training.schedule import rate_multiplier

OWN = ("seed", "learning_rate", "hidden_learning_rate", "weight_decay", "clip_norm")
"""What the runs of a stack may differ in."""


def train_stacked(
    configs: Sequence[TrainConfig], data: Dataset, outs: Sequence[Path], machine: one.Machine = one.Machine()
) -> list[Run]:
    """What `train` does for each config and folder, side by side in one graph.

    Runs that are done stay as they are; the others go on together from their checkpoints, those of one step at a time.

    Raises:
        InputError: as of `train`; or the runs cannot be stacked.
        CorruptError: a checkpoint to go on from is damaged.
    """
    check_alike(configs)
    for config, out in zip(configs, outs, strict=True):
        one.check_run(config, data, out)
        out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        for out in sorted(outs):
            held.enter_context(hold(out / ".lock"))
        by_step: dict[int, list[tuple[TrainConfig, Path]]] = {}
        for config, out in zip(configs, outs, strict=True):
            if not (out / "run.json").exists():
                found = latest_checkpoint(out)
                by_step.setdefault(int(found.name.rpartition("-")[2]) if found else 0, []).append((config, out))
        for _, runs in sorted(by_step.items()):
            _train(runs, data, machine)
    return [Run.from_json(read_json(out / "run.json")) for out in outs]


def check_alike(configs: Sequence[TrainConfig]) -> None:
    """Check that runs can be stacked: decoders without dropout that differ in seed and rates alone.

    Raises:
        InputError: they cannot.
    """
    if len({hash_json({**config.to_json(), **dict.fromkeys(OWN)}) for config in configs}) > 1:
        raise InputError(f"stacked runs may differ in {', '.join(OWN)} alone; train the others by themselves")
    if configs[0].model.kind != "decoder" or configs[0].model.dropout:
        raise InputError("only decoders without dropout are stacked; train the others by themselves")


@dataclass
class _Twin:
    """One model of a stack."""

    config: TrainConfig
    out: Path
    model: Transformer
    optimizer: FlatAdamW
    average: Average
    metrics: Metrics
    started: float
    diverged: bool = False


class Stack:
    """M models and their optimizers, whose weights become rows of one matrix, [M, P]."""

    def __init__(self, models: Sequence[Transformer], optimizers: Sequence[FlatAdamW]) -> None:
        """Move the weights and gradients."""
        self.model, self.optimizers = models[0], list(optimizers)
        first = self.optimizers[0]
        weights_MP, self.gradient_MP = (
            torch.zeros(len(models), len(first.weights), device=first.weights.device) for _ in range(2)
        )
        for optimizer, weights, gradient in zip(self.optimizers, weights_MP, self.gradient_MP, strict=True):
            optimizer.move(weights, gradient)
        self.weights, self.gradients = {}, []
        for name, weight in self.model.named_parameters():
            weights, gradient = (rows[:, first.places[weight]] for rows in (weights_MP, self.gradient_MP))
            self.weights[name] = weights.unflatten(1, weight.shape).requires_grad_()
            self.gradients.append(gradient.unflatten(1, weight.shape))

    def losses(self, windows_BT: Tensor) -> Tensor:
        """Mean loss of each model on the same windows, [B, T+1] -> [M]."""

        fused = windows_BT.device.type == "cuda"  # the kernel of the CPU cannot be batched

        def loss(weights: dict[str, Tensor], windows_BT: Tensor) -> Tensor:
            logits = functional_call(self.model, weights, (windows_BT[:, :-1], fused))
            return next_token_losses(logits, windows_BT[:, 1:]).mean()

        return vmap(loss, in_dims=(0, None))(self.weights, windows_BT)

    def step(self, configs: Sequence[TrainConfig], batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        """One optimiser step of every model on token ids [B, T+1]: losses, [M], and the gradients' norms."""
        config, share = configs[0], 1 / configs[0].accumulate
        half = config.dtype == "bfloat16"
        mixed = torch.autocast(batch.device.type, torch.bfloat16) if half else contextlib.nullcontext()
        total = torch.zeros(len(self.optimizers), device=batch.device)
        for part in batch.chunk(config.accumulate):
            with mixed:
                losses = share * self.losses(part)
            found = torch.autograd.grad(losses.sum(), list(self.weights.values()))
            torch._foreach_add_(self.gradients, found)
            total += losses.detach()
        norms = [o.step(c.clip_norm) for o, c in zip(self.optimizers, configs, strict=True)]
        self.gradient_MP.zero_()
        return total, norms


def _train(runs: Sequence[tuple[TrainConfig, Path]], data: Dataset, machine: one.Machine) -> None:
    """Start the runs, or go on from their checkpoints, which are of one step, and write each `run.json`."""
    one.prepare_machine(machine)
    twins, step = [], 0
    with contextlib.ExitStack() as logs:
        for config, out in runs:
            write_json(out / "config.json", config.to_json())
            data.tokenizer.save(out / "tokenizer.json")
            model = Transformer(config.model, config.seed).to(machine.device)
            optimizer, checkpoint = make_optimizer(model, config), latest_checkpoint(out)
            average = Average(config)
            step, spent = restore(checkpoint, model, optimizer, average) if checkpoint else (0, 0.0)
            metrics = logs.enter_context(Metrics(out, step, tensorboard=machine.tensorboard))
            twins.append(_Twin(config, out, model, optimizer, average, metrics, time.monotonic() - spent))
        _loop(twins, data, machine, step)
        for twin in twins:
            _finish(twin, data, save=step < twin.config.steps)


def _loop(twins: Sequence[_Twin], data: Dataset, machine: one.Machine, first: int) -> None:
    """Do the steps from `first` on; a model that diverges stays in the stack and is recorded at the end."""
    stack = Stack([twin.model for twin in twins], [twin.optimizer for twin in twins])
    configs, config, saved = [twin.config for twin in twins], twins[0].config, time.monotonic()
    loader = Loader(data.train, config.model.context, config.batch_tokens // config.model.context, one.DATA_SEED)
    batches = feed(loader, range(first, config.steps), machine.device)
    for step in range(first, config.steps):
        for twin in twins:
            set_rate(twin.optimizer, rate_multiplier(twin.config, step))
        losses, norms = stack.step(configs, next(batches))
        finished = step + 1
        for twin in twins:
            twin.average.add(twin.model, finished)
        if finished % LOG_EVERY == 0 or finished == config.steps:
            for twin, loss, norm in zip(twins, losses.tolist(), norms, strict=True):
                _log(twin, finished, loss, float(norm))
        if config.eval_every and finished % config.eval_every == 0 and finished < config.steps:
            for twin in twins:
                held_out = one.evaluate(twin.model, twin.config, data, "passages")
                twin.metrics.write(finished, loss=held_out.loss, loss_se=held_out.loss_se)
        if finished < config.steps and time.monotonic() - saved >= machine.checkpoint_seconds:
            for twin in twins:
                spent = (time.monotonic() - twin.started) / len(twins)
                save_checkpoint(twin.out, finished, twin.model, twin.optimizer, twin.config, spent, twin.average)
            saved = time.monotonic()


def _log(twin: _Twin, step: int, loss: float, norm: float) -> None:
    if twin.diverged:
        return
    twin.metrics.write(
        step,
        tokens=step * twin.config.batch_tokens,
        train_loss=loss,
        gradient_norm=norm,
        learning_rate=twin.optimizer.param_groups[0]["lr"],
        seconds=time.monotonic() - twin.started,
    )
    try:
        one.check_divergence(twin.config, step, loss)
    except one.Diverged as why:
        twin.diverged = True
        write_json(twin.out / "diverged.json", {"reason": str(why)})


def _finish(twin: _Twin, data: Dataset, *, save: bool) -> None:
    """Evaluate a model and write its last files."""
    run = one.make_run(twin.config, data, "diverged", None, None)
    if not twin.diverged:
        twin.average.put_in(twin.model)
        try:
            run = one.evaluate_end(twin.model.eval(), twin.config, data)
        except one.Diverged as why:
            write_json(twin.out / "diverged.json", {"reason": str(why)})
    seconds = time.monotonic() - twin.started
    if run.status == "done" and save:
        save_checkpoint(twin.out, twin.config.steps, twin.model, None, twin.config, seconds)
    write_json(twin.out / "run.json", replace(run, extra={"seconds": f"{seconds:.1f}"}).to_json())
