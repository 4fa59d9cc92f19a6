"""The passes of a step, forward and backward: the way that is fastest for a model on its device.

On a CPU plain float32 decoders are written out (`gradients.py`), the others go by autograd. On a GPU small models,
whose kernels take less time than their launch, are recorded once as a CUDA graph and replayed.
"""

import contextlib
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread

import torch
from torch import Tensor

from chidu.accounting import count_params
from chidu.config import TrainConfig
from chidu.data.loader import Loader
from chidu.data.specials import Specials
from chidu.model.transformer import Transformer
from chidu.training.gradients import add_gradients, can_write_out
from chidu.training.pretraining import mean_loss

Passes = Callable[[Tensor, int], Tensor]
"""Token ids [B, T+1] and the number of the step -> the mean loss; the gradient is added to every weight's `grad`."""
Recorder = Callable[[Callable[[Tensor], Tensor], Tensor], Callable[[Tensor], Tensor]]
SMALL = 50_000_000
"""Params up to which a GPU's step is recorded."""
AHEAD = 2
"""Batches that are ready before a GPU asks for them."""


def make_passes(config: TrainConfig, model: Transformer, specials: Specials | None = None) -> Passes:
    """The passes of a step over its micro-batches."""

    def passes(batch: Tensor, step: int) -> Tensor:
        return add_step_gradients(config, model, batch, specials, step)

    # what an encoder hides is drawn on the CPU: no graph can hold it
    if model.device.type == "cuda" and specials is None and count_params(config.model).total <= SMALL:
        return recorded(passes, model, record_graph)
    return passes


def add_step_gradients(
    config: TrainConfig, model: Transformer, batch: Tensor, specials: Specials | None, step: int
) -> Tensor:
    """Add the gradient of the mean loss of a batch, [B, T+1], and return that loss."""
    device, share = batch.device.type, 1 / config.accumulate
    mixed = torch.autocast(device, torch.bfloat16) if config.dtype == "bfloat16" else contextlib.nullcontext()
    written_out = device == "cpu" and config.dtype == "float32" and can_write_out(model)
    total = torch.zeros((), device=batch.device)
    for number, part in enumerate(batch.chunk(config.accumulate)):
        if written_out:
            total += share * add_gradients(model, part, share)
            continue
        with mixed:
            loss = share * mean_loss(model, part, specials, step * config.accumulate + number)
        loss.backward()
        total += loss.detach()
    return total


def recorded(passes: Passes, model: Transformer, record: Recorder) -> Passes:
    """Passes that are recorded at their first call, with gradients of zero, and replayed from then on."""
    replay: list[Callable[[Tensor], Tensor]] = []

    def again(batch: Tensor, step: int) -> Tensor:
        if not replay:
            replay.append(record(lambda static: passes(static, 0), batch))
            for weight in model.parameters():
                if weight.grad is not None:
                    weight.grad.zero_()
        return replay[0](batch)

    return again


def record_graph(passes: Callable[[Tensor], Tensor], batch: Tensor) -> Callable[[Tensor], Tensor]:
    """Record what passes launch on the GPU as a CUDA graph; the result replays it on another batch.

    Weights and gradients stay where they are, views of the optimizer's vectors. Recording leaves its own gradients
    behind.
    """
    static, side = batch.clone(), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what the first calls allocate and choose stays outside
        for _ in range(3):
            passes(static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = passes(static)

    def replay(batch: Tensor) -> Tensor:
        static.copy_(batch)
        graph.replay()
        return loss.clone()

    return replay


def feed(loader: Loader, steps: range, device: str) -> Iterator[Tensor]:
    """The batches of steps, [B, T+1] each, on their device; a GPU's are read ahead by a thread, from pinned memory."""
    if not device.startswith("cuda"):
        for step in steps:
            yield torch.from_numpy(loader.batch(step)).to(device)
        return
    for batch in read_ahead(loader, steps):
        yield batch.to(device, non_blocking=True)


def read_ahead(loader: Loader, steps: range, *, pin: bool = True) -> Iterator[Tensor]:
    """The batches of steps, in order, taken by a thread; its errors are raised here."""
    ready: Queue[Tensor | BaseException | None] = Queue(AHEAD)

    def read() -> None:
        try:
            for step in steps:
                batch = torch.from_numpy(loader.batch(step))
                ready.put(batch.pin_memory() if pin else batch)
        except BaseException as error:
            ready.put(error)
        ready.put(None)

    Thread(target=read, daemon=True).start()
    while (batch := ready.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        yield batch
