"""One run over several processes: each holds a part of every weight (FSDP2, 2304.11277) and reads a part of each batch.

    torchrun --nproc_per_node=2 -m chidu.training JOB.json

The processes talk by NCCL, one a GPU, or by gloo, one a core. The run's folder is that of one process, but for the
checkpoints on the way: `shards-<step>/`, in the format of `torch.distributed.checkpoint`, written while the run goes
on. They hold tensors alone, and their index is checked before torch opens it (`shard_index.py`).
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.loader import Loader
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.runs import Run
from chidu.store import hold, read_json, write_json
from chidu.training import train as one
from chidu.training.average import Average
from chidu.training.checkpoint import save_checkpoint
from chidu.training.metrics import LOG_EVERY, Metrics
from chidu.training.optimizer import make_sharded_optimizer, set_rate
from chidu.training.schedule import rate_multiplier
from chidu.training.shard_index import check_index


def count_processes() -> int:
    """Processes that torchrun started for this job; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def train_sharded(config: TrainConfig, data: Dataset, out: Path, machine: one.Machine) -> Run:
    """What `train` does, by all processes that torchrun started; each calls it, the first one writes.

    Raises:
        InputError: as of `train`; or the model is no decoder, or a micro-batch cannot be shared out evenly.
    """
    rank, count = int(os.environ["RANK"]), count_processes()
    check_shares(config, count)
    one.check_run(config, data, out)
    with _group(machine) as device, contextlib.ExitStack() as held:
        if rank == 0 and not (out / "run.json").exists():
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(hold(out / ".lock"))
        dist.barrier()
        if not (out / "run.json").exists():
            _train(config, data, out, replace(machine, device=device), rank, count)
        dist.barrier()
    return Run.from_json(read_json(out / "run.json"))


def check_shares(config: TrainConfig, count: int) -> None:
    """Refuse what cannot be shared out among so many processes.

    Raises:
        InputError: see `train_sharded`.
    """
    sequences = config.batch_tokens // config.model.context // config.accumulate
    if config.model.kind != "decoder":
        raise InputError(f"several processes train decoders; a model of kind {config.model.kind} needs one process")
    if sequences % count:
        raise InputError(
            f"{sequences} sequences of a micro-batch cannot be shared out among {count} processes; "
            "change their number, or batch_tokens"
        )


@contextlib.contextmanager
def _group(machine: one.Machine) -> Iterator[str]:
    """Join the processes, by what torchrun has put in the environment; the device of this one."""
    cuda = machine.device.startswith("cuda")
    device = f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("cuda:nccl,cpu:gloo" if cuda else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


@dataclass
class _Shards:
    """The checkpoints on the way: one is written while the next steps are done."""

    out: Path
    model: Transformer
    optimizer: torch.optim.AdamW
    average: Average
    writers: dist.ProcessGroup
    """A group of its own for the thread that writes: in one group, its messages and those of the next step could cross,
    and every process would wait for ever."""
    under_way: tuple[int, "Future[Any]"] | None = None
    state: dict[str, Any] = field(default_factory=dict)
    saved: float = field(default_factory=time.monotonic)

    def newest(self) -> Path | None:
        """The last one that is whole."""
        found = [path for path in self.out.glob("shards-*") if (path / "state.json").exists()]
        return max(found, key=_number, default=None)

    def restore(self) -> tuple[int, float]:
        """Put the newest in place; the next step and the seconds spent."""
        folder = self.newest()
        if folder is None:
            return 0, 0.0
        check_index(folder)
        held, settings = self._state()
        state = read_json(folder / "state.json")
        if state["averaged"]:
            held["average"] = {name: torch.zeros_like(weight) for name, weight in held["model"].items()}
        dcp.load(held, checkpoint_id=folder)
        self.average.load(self.model, held.get("average", {}))
        moments = {"state": held["moments"], "param_groups": settings}
        set_state_dict(self.model, self.optimizer, model_state_dict=held["model"], optim_state_dict=moments)
        return int(state["step"]), float(state["seconds"])

    def save(self, step: int, seconds: float) -> None:
        """Begin to write, once the one before is finished."""
        self.finish()
        held, _ = self._state()
        if mean := self.average.to_tensors(self.model):
            held["average"] = mean
        future = dcp.async_save(held, checkpoint_id=self.out / f"shards-{step}", process_group=self.writers)
        self.state = {"step": step, "seconds": seconds, "averaged": bool(mean)}
        self.under_way, self.saved = (step, cast("Future[Any]", future)), time.monotonic()

    def finish(self) -> None:
        """Wait for what is under way; then it counts and the older ones go."""
        if self.under_way is None:
            return
        step, future = self.under_way
        future.result()
        dist.barrier()
        if dist.get_rank() == 0:
            write_json(self.out / f"shards-{step}" / "state.json", self.state)
            self.delete(but=step)
        self.under_way = None

    def delete(self, but: int | None = None) -> None:
        """Remove all checkpoints but one."""
        for path in self.out.glob("shards-*"):
            if _number(path) != but:
                shutil.rmtree(path)

    def _state(self) -> tuple[dict[str, Any], Any]:
        """Weights and moments, tensors all; and the optimizer's settings, which the config gives too."""
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "moments": optimizer["state"]}, optimizer["param_groups"]


def _train(config: TrainConfig, data: Dataset, out: Path, machine: one.Machine, rank: int, count: int) -> None:
    """Start, or go on from the shards, and write `run.json`."""
    one.prepare_machine(machine)
    model = Transformer(config.model, config.seed).to(machine.device)
    for block in model.all_blocks:
        fully_shard(block)
    fully_shard(model)
    optimizer = make_sharded_optimizer(model, config)
    shards = _Shards(out, model, optimizer, Average(config), cast(dist.ProcessGroup, dist.new_group(backend="gloo")))
    step, spent = shards.restore()
    started = time.monotonic() - spent
    if rank == 0:
        write_json(out / "config.json", config.to_json())
        data.tokenizer.save(out / "tokenizer.json")
    dist.barrier()
    with Metrics(out, step, tensorboard=machine.tensorboard) if rank == 0 else contextlib.nullcontext() as metrics:
        try:
            _loop(config, data, machine, shards, step, metrics, started, (rank, count))
            shards.average.put_in(model)
            run = one.evaluate_end(model.eval(), config, data)
        except one.Diverged as why:
            run = one.make_run(config, data, "diverged", None, None)
            if rank == 0:
                write_json(out / "diverged.json", {"reason": str(why)})
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if rank == 0:
        seconds = time.monotonic() - started
        if run.status == "done":
            whole = Transformer(config.model)
            whole.load_state_dict(weights)
            save_checkpoint(out, config.steps, whole, None, config, seconds)
        write_json(out / "run.json", replace(run, extra={"seconds": f"{seconds:.1f}"}).to_json())
        shards.delete()


def _loop(
    config: TrainConfig,
    data: Dataset,
    machine: one.Machine,
    shards: _Shards,
    first: int,
    metrics: Metrics | None,
    started: float,
    place: tuple[int, int],
) -> None:
    """The steps from `first` on: losses and norms are those of the whole batch, on every process."""
    model, optimizer = shards.model, shards.optimizer
    loader = Loader(data.train, config.model.context, config.batch_tokens // config.model.context, one.DATA_SEED)
    for step in range(first, config.steps):
        set_rate(optimizer, rate_multiplier(config, step))
        batch = own_share(torch.from_numpy(loader.batch(step)), config.accumulate, *place).to(machine.device)
        loss, norm = one.train_step(config, model, optimizer, batch)
        finished = step + 1
        shards.average.add(model, finished)
        if finished % LOG_EVERY == 0 or finished == config.steps:
            dist.all_reduce(loss)
            value, size = float(loss) / place[1], float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
            if metrics is not None:
                metrics.write(
                    finished,
                    tokens=finished * config.batch_tokens,
                    train_loss=value,
                    gradient_norm=size,
                    learning_rate=optimizer.param_groups[0]["lr"],
                    seconds=time.monotonic() - started,
                )
            one.check_divergence(config, finished, value)
        if config.eval_every and finished % config.eval_every == 0 and finished < config.steps:
            held_out = one.evaluate(model, config, data, "passages")
            if metrics is not None:
                metrics.write(finished, loss=held_out.loss, loss_se=held_out.loss_se)
        if finished < config.steps and _agree(time.monotonic() - shards.saved >= machine.checkpoint_seconds):
            shards.save(finished, time.monotonic() - started)
    shards.finish()


def own_share(batch: Tensor, accumulate: int, rank: int, count: int) -> Tensor:
    """The rows of a batch, [B, T+1], that one process reads: its share of each micro-batch, [B / count, T+1]."""
    return torch.cat([part.chunk(count)[rank] for part in batch.chunk(accumulate)])


def _agree(wish: bool) -> bool:
    """What the first process wishes: clocks differ."""
    told = torch.tensor([wish], dtype=torch.uint8)
    dist.broadcast(told, 0)
    return bool(told.item())


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
