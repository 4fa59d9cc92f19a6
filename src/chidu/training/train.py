"""The training loop: a TrainConfig and a data set in, a Run out; what is asked depends on the kind of model.

A run's folder holds `config.json`, `metrics.jsonl`, one `checkpoint-<step>/` and last, atomically, `run.json`, which
means done. Called again on the same folder it returns the finished run, or goes on from the checkpoint to bit-identical
numbers (same machine, same number of threads). `.lock` lets one process at a time work on it. A run that shares a trunk
with others starts from, or keeps for them, a branch point (`training/trunk.py`).
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from chidu.accounting import count_params, law_flops
from chidu.config import TrainConfig
from chidu.data.dataset import MIN_WINDOWS, Dataset
from chidu.data.loader import Loader, count_windows
from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.runs import Run
from chidu.store import hold, read_json, write_json
from chidu.training.average import Average
from chidu.training.checkpoint import save_checkpoint
from chidu.training.compiling import Compile, compile_blocks, wants_compiler
from chidu.training.evaluation import HeldOutLoss
from chidu.training.metrics import LOG_EVERY, Metrics
from chidu.training.optimizer import Optimizer, clipped_step, make_optimizer, set_rate
from chidu.training.passes import Passes, add_step_gradients, feed, make_passes
from chidu.training.pretraining import held_out_loss, special_ids
from chidu.training.schedule import rate_multiplier
from chidu.training.trunk import Shared, begin, keep_branch_point, shared_seconds

DATA_SEED = 0
"""Of the order of training windows: the same for all rungs of a ladder, so that it adds no noise between them."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a run is done; nothing here changes its config's hash."""

    device: str = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 20.0
    """Seconds between checkpoints; 0 writes one after each step."""
    tensorboard: bool = True
    compile: Compile = "auto"
    """Whether blocks run as compiled code; `auto`: where that was measured to pay."""


class Diverged(Exception):
    """The loss left the numbers or climbed above that of a uniform guess."""


def prepare_machine(machine: Machine) -> None:
    """Pin the threads and let float32 matrix products use the fast kernels (oneDNN on CPU, TF32 on CUDA)."""
    torch.set_num_threads(machine.threads)
    torch.set_float32_matmul_precision("medium" if machine.device == "cpu" else "high")
    # not use_deterministic_algorithms, which imports the compiler, and fills all new memory
    torch.set_deterministic_debug_mode("error" if machine.device == "cpu" else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def train(
    config: TrainConfig, data: Dataset, out: Path, machine: Machine = Machine(), shared: Shared = Shared()
) -> Run:
    """Train to the end of the budget, evaluate, and record the run; a divergence is recorded, not raised.

    Where another process is at work on the folder, as one whose launcher was killed, it waits for that one's end.

    Raises:
        InputError: the config was made for another data set or vocabulary, or the folder belongs to another run.
        CorruptError: the checkpoint to go on from is damaged.
    """
    check_run(config, data, out)
    if not (out / "run.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        with hold(out / ".lock"):
            check_run(config, data, out)
            if not (out / "run.json").exists():
                _train(config, data, out, machine, shared)
    return Run.from_json(read_json(out / "run.json"))


def _train(config: TrainConfig, data: Dataset, out: Path, machine: Machine, shared: Shared) -> None:
    """Start, or go on from the checkpoint or branch point, and write `run.json`."""
    prepare_machine(machine)
    write_json(out / "config.json", config.to_json())
    data.tokenizer.save(out / "tokenizer.json")
    model = Transformer(config.model, config.seed).to(machine.device)
    if wants_compiler(config, machine.device, machine.compile):
        compile_blocks(model)
    optimizer, average = make_optimizer(model, config), Average(config)
    step, spent = begin(config, out, shared, model, optimizer, average)
    started = time.monotonic() - spent
    with Metrics(out, step, tensorboard=machine.tensorboard) as metrics:
        try:
            _loop(config, data, out, machine, model, optimizer, average, shared.keep, step, metrics, started)
            average.put_in(model)
            run = evaluate_end(model.eval(), config, data)
        except Diverged as why:
            write_json(out / "diverged.json", {"reason": str(why)})
            run = make_run(config, data, "diverged", None, None)
    seconds = time.monotonic() - started
    if run.status == "done" and step < config.steps:
        save_checkpoint(out, config.steps, model, None, config, seconds)
    own = seconds - shared_seconds(out)
    write_json(out / "run.json", replace(run, extra={"seconds": f"{own:.1f}"}).to_json())


def check_run(config: TrainConfig, data: Dataset, out: Path) -> None:
    """Refuse what cannot be trained, before anything is written.

    Raises:
        InputError: the config was made for another data set or vocabulary, or the folder belongs to another run.
    """
    if config.data != data.id:
        raise InputError(f"the plan was made for data set {config.data}, but this is {data.id}; plan again with --data")
    special_ids(config.model, data.vocab_size, data.tokenizer.eot)
    data.windows("passages", config.model.context)
    if (out / "config.json").exists() and TrainConfig.from_json(read_json(out / "config.json")) != config:
        raise InputError(f"{out} belongs to another run; choose another --out or delete it")


def _loop(
    config: TrainConfig,
    data: Dataset,
    out: Path,
    machine: Machine,
    model: Transformer,
    optimizer: Optimizer,
    average: Average,
    keep: bool,
    first: int,
    metrics: Metrics,
    started: float,
) -> None:
    """Do the steps from `first` on, logging, averaging, evaluating and writing checkpoints on the way."""
    specials = special_ids(config.model, data.vocab_size, data.tokenizer.eot)
    loader = Loader(data.train, config.model.context, config.batch_tokens // config.model.context, DATA_SEED)
    batches = feed(loader, range(first, config.steps), machine.device)
    passes, saved = make_passes(config, model, specials), time.monotonic()
    for step in range(first, config.steps):
        if keep and step == config.branch_step:
            keep_branch_point(config, out, model, optimizer, time.monotonic() - started)
        set_rate(optimizer, rate_multiplier(config, step))
        loss, norm = train_step(config, model, optimizer, next(batches), specials, step, passes)
        finished = step + 1
        average.add(model, finished)
        if finished % LOG_EVERY == 0 or finished == config.steps:
            value = float(loss)
            metrics.write(
                finished,
                tokens=finished * config.batch_tokens,
                train_loss=value,
                gradient_norm=float(norm),
                learning_rate=optimizer.param_groups[0]["lr"],
                seconds=time.monotonic() - started,
            )
            check_divergence(config, finished, value)
        if config.eval_every and finished % config.eval_every == 0 and finished < config.steps:
            held_out = evaluate(model, config, data, "passages")
            metrics.write(finished, loss=held_out.loss, loss_se=held_out.loss_se)
        if finished < config.steps and time.monotonic() - saved >= machine.checkpoint_seconds:
            save_checkpoint(out, finished, model, optimizer, config, time.monotonic() - started, average)
            saved = time.monotonic()
    if keep and first < config.steps == config.branch_step:  # no decay: a longer run goes on from the end
        keep_branch_point(config, out, model, optimizer, time.monotonic() - started)


def train_step(
    config: TrainConfig,
    model: Transformer,
    optimizer: Optimizer,
    batch: Tensor,
    specials: Specials | None = None,
    step: int = 0,
    passes: Passes | None = None,
) -> tuple[Tensor, Tensor]:
    """One optimiser step on token ids [B, T+1]: the mean loss in nats and the gradient's norm before clipping."""
    loss = passes(batch, step) if passes else add_step_gradients(config, model, batch, specials, step)
    return loss, clipped_step(model, optimizer, config.clip_norm)


def check_divergence(config: TrainConfig, step: int, loss: float) -> None:
    """Stop a run that learns nothing any more.

    Raises:
        Diverged: the training loss, nats per token, is no number, or worse than a uniform guess.
    """
    uniform = math.log(config.model.vocab_size)
    if not math.isfinite(loss):
        raise Diverged(f"the loss was {loss} at step {step}")
    if loss > 1.2 * uniform and step > 2 * config.warmup_steps:  # however long the run is: its trunk is shared
        raise Diverged(f"the loss was {loss:.2f} at step {step}, above a uniform guess's {uniform:.2f}")


def evaluate_end(model: Transformer, config: TrainConfig, data: Dataset) -> Run:
    """Evaluate both held-out splits, the unseen one where it has windows enough.

    Raises:
        Diverged: the held-out loss is no number.
    """
    passages, unseen = evaluate(model, config, data, "passages"), None
    if not math.isfinite(passages.loss):
        raise Diverged(f"the held-out loss was {passages.loss} after the last step")
    if count_windows(len(data.unseen), config.model.context) >= MIN_WINDOWS:
        unseen = evaluate(model, config, data, "unseen")
    return make_run(config, data, "done", passages, unseen)


def evaluate(model: Transformer, config: TrainConfig, data: Dataset, split: str) -> HeldOutLoss:
    """The held-out loss of a split, whatever mode the model is in."""
    specials = special_ids(config.model, data.vocab_size, data.tokenizer.eot)
    training = model.training
    found = held_out_loss(model.eval(), data.windows(split, config.model.context), data.token_bytes, specials)
    model.train(training)
    return found


def make_run(
    config: TrainConfig, data: Dataset, status: str, passages: HeldOutLoss | None, unseen: HeldOutLoss | None
) -> Run:
    """Describe a finished training as a row of a run table."""
    params, tokens = count_params(config.model).total, config.steps * config.batch_tokens
    return Run(
        run=config.id,
        status=status,
        params=float(params),
        tokens=float(tokens),
        flops=law_flops(params, tokens),
        unique_tokens=float(min(tokens, data.train_tokens)),
        loss=passages.loss if passages else math.nan,
        loss_se=passages.loss_se if passages else None,
        bits_per_byte=passages.bits_per_byte if passages else None,
        unseen_loss=unseen.loss if unseen else None,
        unseen_bits_per_byte=unseen.bits_per_byte if unseen else None,
        batch_tokens=float(config.batch_tokens),
        learning_rate=config.hidden_learning_rate,
        d_model=float(config.model.d_model),
        n_layer=float(config.model.n_layer),
        seed=float(config.seed),
    )
