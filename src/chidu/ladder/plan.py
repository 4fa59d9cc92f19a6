"""The plan of a ladder: every run, what it will cost, and what the estimate stands on. JSON in and out."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from chidu.accounting import count_params, law_flops, train_flops
from chidu.config import TrainConfig
from chidu.errors import CorruptError
from chidu.ladder.recipe import Recipe
from chidu.store import read_json, write_json

Role = Literal["rung", "replicate", "probe"]


@dataclass(frozen=True)
class Speed:
    """Measured: a run takes overhead + steps * per_step + tokens * per_token + FLOPs * per_flop seconds."""

    per_step: float
    """Seconds an optimiser step, whatever its size: the price of launching many small operations."""
    per_token: float
    """Seconds a training token, whatever the model's size."""
    per_flop: float
    """Seconds a floating-point operation."""
    overhead: float
    """Seconds a run beside its steps: its share of the worker's start, loading, the last file."""
    workers: int
    """Runs side by side while it was measured, and in the ladder."""
    device: str

    def seconds(self, config: TrainConfig, evaluation_tokens: int = 0) -> float:
        """Predict the seconds of one run; evaluating a token costs a third of training on it."""
        tokens = config.steps * config.batch_tokens + evaluation_tokens // 3
        flops = train_flops(config.model, tokens)
        return self.overhead + config.steps * self.per_step + tokens * self.per_token + flops * self.per_flop


@dataclass(frozen=True)
class Rung:
    """One run of the plan."""

    config: TrainConfig
    seconds: float
    """Predicted, on one worker."""
    role: Role = "rung"
    """`rung`: for the law; `replicate`: another seed of a rung, for the noise; `probe`: another rate, for the gate."""

    @property
    def params(self) -> int:
        """Total parameters, tied head counted once."""
        return count_params(self.config.model).total

    @property
    def tokens(self) -> int:
        """Training tokens."""
        return self.config.steps * self.config.batch_tokens

    @property
    def flops(self) -> float:
        """6 * params * tokens."""
        return law_flops(self.params, self.tokens)

    def to_json(self) -> dict[str, Any]:
        """The config, and what a reader wants to see beside it."""
        seen = {"id": self.config.id, "params": self.params, "tokens": self.tokens, "flops": self.flops}
        return {"role": self.role, **seen, "seconds": self.seconds, "config": self.config.to_json()}


@dataclass(frozen=True)
class Plan:
    """A ladder before it is trained."""

    recipe: Recipe
    data: str
    """Id of the data set."""
    budget_seconds: float
    """Wall-clock time that was asked for."""
    seconds: float
    """Wall-clock time predicted for all runs on `speed.workers` workers."""
    speed: Speed
    rungs: tuple[Rung, ...]
    seed: int

    @property
    def law_runs(self) -> tuple[Rung, ...]:
        """The runs that the law is fitted on: all but the probes."""
        return tuple(rung for rung in self.rungs if rung.role != "probe")

    @property
    def largest_flops(self) -> float:
        """Compute of the largest rung."""
        return max(rung.flops for rung in self.law_runs)

    @property
    def flops(self) -> float:
        """Compute of the whole plan."""
        return sum(rung.flops for rung in self.rungs)

    def __str__(self) -> str:
        """Print a table of the runs and their price."""
        lines = [f"{'role':9} {'params':>11} {'tokens':>13} {'tok/par':>8} {'FLOPs':>9} {'batch':>7} {'seconds':>8}"]
        for rung in sorted(self.rungs, key=lambda rung: (rung.role, rung.flops, rung.params)):
            lines.append(
                f"{rung.role:9} {rung.params:11,} {rung.tokens:13,} {rung.tokens / rung.params:8.1f} {rung.flops:9.2e} "
                f"{rung.config.batch_tokens:7,} {rung.seconds:8.1f}"
            )
        lines.append(
            f"{len(self.rungs)} runs, {self.flops:.2e} FLOPs, about {self.seconds:.0f} s on {self.speed.workers} "
            f"workers ({self.speed.device}), of {self.budget_seconds:.0f} s asked for"
        )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recipe": self.recipe.to_json(),
            "data": self.data,
            "budget_seconds": self.budget_seconds,
            "seconds": self.seconds,
            "seed": self.seed,
            "speed": asdict(self.speed),
            "rungs": [rung.to_json() for rung in self.rungs],
        }

    def save(self, path: Path) -> None:
        """Write the plan, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan.

        Raises:
            InputError: no such file, or a config in it is not valid.
            CorruptError: it is not a plan.
        """
        value = read_json(path)
        try:
            rungs = [
                Rung(TrainConfig.from_json(rung["config"]), rung["seconds"], rung["role"]) for rung in value["rungs"]
            ]
            return cls(
                recipe=Recipe.from_json(value["recipe"]),
                data=value["data"],
                budget_seconds=value["budget_seconds"],
                seconds=value["seconds"],
                speed=Speed(**value["speed"]),
                rungs=tuple(rungs),
                seed=value["seed"],
            )
        except (KeyError, TypeError) as error:
            raise CorruptError(f"{path} is not a plan of chidu ({error}); write one with chidu plan") from None
