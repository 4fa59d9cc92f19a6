"""Fine-tuning on a task file: full or low-rank, early stopping on the validation split, resumable, the best kept.

A tuning's folder holds `config.json`, `metrics.jsonl`, `state-<step>/` and `best-<step>.safetensors` while it goes on,
and at its end the model in `model/` and, last, `tuning.json`, which means done. Called again on the same folder it
returns the finished tuning, or goes on; with a budget in epochs to the same numbers, with one in minutes to the rest of
the minutes.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from chidu.errors import InputError, TrainingError
from chidu.model.transformer import Transformer
from chidu.store import ID_LENGTH, hash_json, read_json, write_json
from chidu.tasks.example import Example
from chidu.tasks.lessons import Lesson, batch_number, make_guesses, make_lesson
from chidu.tasks.lora import adapt, merge
from chidu.tasks.task import Task
from chidu.tasks.tuned import MODEL, Head, Tuned
from chidu.tasks.tuning_config import TuneConfig, Tuning
from chidu.tasks.tuning_state import (
    drop_older_best,
    load_best,
    make_optimizer,
    newest_state,
    restore_state,
    save_best,
    save_state,
)
from chidu.training.metrics import Metrics
from chidu.training.optimizer import set_rate

DONE, CONFIG = "tuning.json", "config.json"
LONGEST = 512
"""Tokens of a row of a model with a longer context, unless another length is asked for."""
KEPT = ("step", "best_step", "worse", "evaluated", "total", "weight", "history")
"""Of a job, what its state holds beside the best loss and the seconds."""
Tell = Callable[[str, float], None]
"""Told what is being done and which part of it, 0 to 1."""


def tune(
    tuned: Tuned,
    task: Task,
    train: Sequence[Example],
    valid: Sequence[Example],
    config: TuneConfig,
    out: Path,
    tell: Tell = lambda doing, part: None,
    *,
    masked: bool = False,
) -> Tuning:
    """Fine-tune a model in place and record it in a folder; `Tuned.load(out / "model")` reads it back.

    Args:
        tuned: the model to start from, with its head; at the end it has the best weights.
        task: says what is prompt and what answer.
        train: what is learnt.
        valid: what stopping is judged on.
        config: how.
        out: the folder.
        tell: is told the progress.
        masked: learn no answers but masked tokens of the texts (1810.04805), with the head left as it is: what an
            encoder does before it is tuned, where that helps.

    Raises:
        InputError: the folder belongs to another tuning, or no example can be used.
        CorruptError: the state to go on from is damaged.
        TrainingError: the loss left the numbers.
    """
    tuned = replace(tuned, head=tuned.body) if masked else tuned
    asked = {
        "tuning": config.to_json(),
        "task": task.to_json(),
        "way": "masked" if masked else tuned.way,
        "model": tuned.body.config.to_json(),
        "start": _hash_start(tuned.body),
        "train": _hash_examples(train),
        "valid": _hash_examples(valid),
    }
    if (out / CONFIG).exists() and read_json(out / CONFIG) != asked:
        raise InputError(f"{out} belongs to another tuning; choose another --out or delete it")
    if (out / DONE).exists():
        tuned.head.load_state_dict(Tuned.load(out / MODEL).head.state_dict())
        return Tuning.from_json(read_json(out / DONE))
    write_json(out / CONFIG, asked)
    if config.lora:
        adapt(tuned.body, config.lora, seed=config.seed)
    _set_dropout(tuned.body, config.dropout)
    lessons = [_make_lesson(tuned, task, part, config, masked) for part in (train, valid)]
    with Metrics(out, _resumed_step(out), tensorboard=False) as metrics:
        job = _Job(tuned.head, lessons[0], lessons[1], config, out, metrics, tell)
        result = job.run()
    load_best(out, tuned.head)
    merge(tuned.body)
    tuned.head.eval()
    tuned.save(out / MODEL, task)
    write_json(out / DONE, result.to_json())
    for left in [*out.glob("best-*.safetensors")]:
        left.unlink()
    return result


def _hash_examples(examples: Sequence[Example]) -> str:
    """What is learnt from."""
    return hash_json([[e.source, *e.targets, e.context or ""] for e in examples])


def _hash_start(body: Transformer) -> str:
    """What is started from, told by its embedding."""
    return hashlib.sha256(body.embedding.weight.detach().float().cpu().numpy().tobytes()).hexdigest()[:ID_LENGTH]


def _make_lesson(tuned: Tuned, task: Task, examples: Sequence[Example], config: TuneConfig, masked: bool) -> Lesson:
    """One split as batches."""
    context = tuned.body.config.context
    if config.length > context:
        raise InputError(f"--length {config.length}: the model's context is {context}")
    length = config.length or min(context, LONGEST)
    if masked:
        return make_guesses(tuned, examples, batch_tokens=config.batch_tokens, length=length, seed=config.seed)
    return make_lesson(tuned, task, examples, batch_tokens=config.batch_tokens, length=length, dense=config.compiled)


def _set_dropout(body: Transformer, dropout: float) -> None:
    """The rate belongs to the tuning, whatever the model was pre-trained with."""
    body.config = replace(body.config, dropout=dropout)
    for block in body.all_blocks:
        block.dropout = dropout  # type: ignore[assignment]


def _resumed_step(out: Path) -> int:
    newest = newest_state(out)
    return int(newest.name.rpartition("-")[2]) if newest else 0


@dataclass
class _Job:
    """One tuning at work."""

    head: Head
    train: Lesson
    valid: Lesson
    config: TuneConfig
    out: Path
    metrics: Metrics
    tell: Tell
    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    worse: int = 0
    """Evaluations since the best."""
    evaluated: int = 0
    total: float = 0.0
    """Sum of the training losses since the last evaluation, and of their weights."""
    weight: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def run(self) -> Tuning:
        """Train to the end of the budget or of the patience."""
        optimizer = make_optimizer(self.head, self.config)
        state = newest_state(self.out)
        spent = self._restore(state, optimizer) if state else 0.0
        started = saved = time.monotonic()
        lesson_losses = self._compiled() if self.config.compiled else self.train.losses
        while not self._tired() and (part := self._part(spent + time.monotonic() - started)) < 1:
            self.head.train()
            set_rate(optimizer, self._rate(part))
            torch.manual_seed(self.config.seed * 1_000_003 + self.step)
            loss, count = self._step(lesson_losses, optimizer)
            self.total, self.weight = self.total + loss, self.weight + count
            self.step += 1
            self.tell("tuning", part)
            if self._due(spent + time.monotonic() - started):
                seconds = spent + time.monotonic() - started
                self._evaluate(self.total / max(self.weight, 1e-9), seconds)
                self.total = self.weight = 0.0
                save_state(self.out, self.step, self.head, optimizer, self._state(seconds))
                drop_older_best(self.out, self.best_step)
                saved = time.monotonic()
            elif time.monotonic() - saved > self.config.checkpoint_seconds:
                save_state(self.out, self.step, self.head, optimizer, self._state(spent + time.monotonic() - started))
                saved = time.monotonic()
        seconds = spent + time.monotonic() - started
        return self._finish("patience" if self._tired() else "budget", seconds)

    def _tired(self) -> bool:
        return bool(self.config.patience) and self.worse >= self.config.patience

    def _step(self, lesson_losses: Any, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
        """One optimiser step; the sum of losses and of weights."""
        number = batch_number(self.train, self.config.seed, self.step)
        with self._mixed():
            loss, count = lesson_losses(self.head, number, self.config.smoothing)
        (loss / count.clamp(min=1)).backward()
        torch.nn.utils.clip_grad_norm_([w for w in self.head.parameters() if w.requires_grad], self.config.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss was {value} at step {self.step}; lower --rate")
        return value, float(count)

    def _mixed(self) -> Any:
        if self.config.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(next(self.head.parameters()).device.type, torch.bfloat16)

    def _compiled(self) -> Any:
        """The same losses with the model compiled; batches are of one shape."""
        compiled = torch.compile(self.head.hidden)  # type: ignore[union-attr,arg-type]

        def lesson_losses(head: Head, number: int, smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
            plain = head.hidden
            head.hidden = compiled  # type: ignore[method-assign,union-attr,assignment]
            try:
                return self.train.losses(head, number, smoothing)
            finally:
                head.hidden = plain  # type: ignore[method-assign,union-attr,assignment]

        return lesson_losses

    def _part(self, seconds: float) -> float:
        """Part of the budget that is spent, by whichever of epochs and minutes is further."""
        config = self.config
        by_steps = self.step / max(1, round(config.epochs * self.train.steps)) if config.epochs else 0.0
        by_time = seconds / (60 * config.minutes) if config.minutes else 0.0
        return max(by_steps, by_time)

    def _rate(self, part: float) -> float:
        """Linear warm-up, then half a cosine down to `final_rate` of the peak (1608.03983)."""
        warm = self.config.warmup_fraction
        if part < warm:
            return max(part / warm, 1e-3)
        turn = (part - warm) / (1 - warm)
        low = self.config.final_rate
        return low + (1 - low) * (1 + math.cos(math.pi * min(1.0, turn))) / 2

    def _due(self, seconds: float) -> bool:
        part = self._part(seconds)
        return part >= 1 or part >= (self.evaluated + 1) / self.config.evaluations

    def _evaluate(self, train_loss: float, seconds: float) -> None:
        """Judge on the validation split, keep the weights if they are the best so far."""
        loss = evaluate(self.head, self.valid, self._mixed, self.config.valid_batches)
        self.evaluated = max(self.evaluated + 1, int(self._part(seconds) * self.config.evaluations))
        self.metrics.write(self.step, train_loss=train_loss, valid_loss=loss, seconds=seconds)
        self.history.append({"step": self.step, "train_loss": train_loss, "valid_loss": loss})
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss was {loss} at step {self.step}; lower --rate")
        if loss < self.best_loss or self.config.keep_last:
            self.best_loss, self.best_step, self.worse = loss, self.step, 0
            save_best(self.out, self.step, self.head)
        else:
            self.worse += 1

    def _state(self, seconds: float) -> dict[str, Any]:
        best = None if math.isinf(self.best_loss) else self.best_loss
        return {**{name: getattr(self, name) for name in KEPT}, "best_loss": best, "seconds": seconds}

    def _restore(self, folder: Path, optimizer: torch.optim.Optimizer) -> float:
        """Take a state up again; returns the seconds that were spent."""
        state = restore_state(folder, self.head, optimizer)
        drop_older_best(self.out, int(state["best_step"]))
        for name in KEPT:
            setattr(self, name, state[name])
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        return float(state["seconds"])

    def _finish(self, stopped: str, seconds: float) -> Tuning:
        """Compare the best weights on both splits, without dropout."""
        load_best(self.out, self.head)
        train_loss = evaluate(
            self.head, self.train, self._mixed, min(self.valid.steps, self.config.valid_batches or 10**9)
        )
        return Tuning(
            steps=self.step,
            epochs=self.step / self.train.steps,
            seconds=seconds,
            best_step=self.best_step,
            valid_loss=self.best_loss,
            train_loss=train_loss,
            stopped=stopped,
            trained_params=sum(weight.numel() for weight in self.head.parameters() if weight.requires_grad),
            params=sum(weight.numel() for weight in self.head.parameters()),
            dropped=self.train.dropped,
            history=tuple(self.history),
        )


@torch.no_grad()
def evaluate(head: Head, lesson: Lesson, mixed: Callable[[], Any] = contextlib.nullcontext, most: int = 0) -> float:
    """Mean loss of a split in nats, without dropout; of `most` batches spread over it, or of all."""
    head.eval()
    numbers = range(lesson.steps)
    if most and most < lesson.steps:
        numbers = [i * lesson.steps // most for i in range(most)]  # type: ignore[assignment]
    total = weight = 0.0
    for number in numbers:
        with mixed():
            loss, count = lesson.losses(head, number)
        total, weight = total + float(loss), weight + float(count)
    return total / max(weight, 1e-9)
