"""The plan of a ladder: every run, what it will cost, and what the estimate stands on. JSON in and out."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chidu.accounting import train_flops
from chidu.config import TrainConfig
from chidu.errors import CorruptError
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import find_trunks
from chidu.store import read_json, write_json


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

    def seconds(self, config: TrainConfig, evaluation_tokens: int = 0, steps: int | None = None) -> float:
        """Predict the seconds of one run, or of so many of its steps: a branch does only those after its branch point.

        Evaluating a token costs a third of training on it.
        """
        own = config.steps if steps is None else steps
        tokens = own * config.batch_tokens + evaluation_tokens // 3
        flops = train_flops(config.model, tokens)
        return self.overhead + own * self.per_step + tokens * self.per_token + flops * self.per_flop


@dataclass(frozen=True)
class Offer:
    """A design for a budget: what its forecast of the target would be worth, and what it would cost."""

    design: str
    runs: int
    largest_flops: float
    """Compute of its largest rung."""
    target_flops: float
    """Compute of its target."""
    half_width: float
    """Expected half-width of the target's 90 % interval, of one new run, as a part of the loss."""
    common_half_width: float
    """The same for a target that all designs are compared at."""
    seconds: float
    """Wall-clock time predicted."""
    flops: float
    """6 * params * tokens of all runs, what they share counted once."""
    share: float
    """Seconds of all workers over those that the target would take on one."""

    def __str__(self) -> str:
        """A line of `OFFERS_HEAD`'s table."""
        return (
            f"{self.design:9} {self.runs:5} {self.largest_flops:9.2e} {self.target_flops:9.2e} "
            f"{f'±{self.half_width:.1%}':>9} {f'±{self.common_half_width:.1%}':>10} {self.seconds:8.0f} "
            f"{self.flops:9.2e} {self.share:8.0%}"
        )


OFFERS_HEAD = (
    f"{'design':9} {'runs':>5} {'largest':>9} {'target':>9} {'expected':>9} {'at common':>10} {'seconds':>8} "
    f"{'FLOPs':>9} {'of target':>8}"
)


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
    design: str = "isoflop"
    """Its shape: `isoflop`, `grid`, `trunk` or `optimal`."""
    asked: str = ""
    """The design that was asked for, `auto` perhaps; empty in plans from before there was a choice."""
    target: str = ""
    """What it was designed to forecast, as it was asked for: `10x`, or FLOPs."""
    offers: tuple[Offer, ...] = ()
    """The designs that were compared, each at its price; the one that was taken first."""
    spare: float = 0.0
    """Part of the interval's expected width that may be given up for runs that are then left out; 0: none is."""

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
        return sum(trunk.flops for trunk in find_trunks(self.rungs))

    def without(self, ids: Collection[str]) -> "Plan":
        """The plan less some of its runs."""
        return replace(self, rungs=tuple(rung for rung in self.rungs if rung.config.id not in ids))

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
        if self.spare:
            lines.append(
                f"runs are left out on the way if the interval is expected to be at most {self.spare:.1%} wider for it"
            )
        return "\n".join([*lines, *self._say_offers()])

    def _say_offers(self) -> list[str]:
        """The designs that were compared."""
        if not self.offers:
            return []
        common = self.offers[0]
        return [
            "",
            OFFERS_HEAD,
            *map(str, self.offers),
            f"design {self.design}: expected half-width of the 90 % interval ±{common.half_width:.1%} of the loss at "
            f"{common.target_flops:.2e} FLOPs, {common.target_flops / common.largest_flops:.3g} times the largest rung",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recipe": self.recipe.to_json(),
            "data": self.data,
            "budget_seconds": self.budget_seconds,
            "seconds": self.seconds,
            "seed": self.seed,
            "design": self.design,
            "asked": self.asked,
            "target": self.target,
            "offers": [asdict(offer) for offer in self.offers],
            "spare": self.spare,
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
                design=value.get("design", "isoflop"),
                asked=value.get("asked", ""),
                target=value.get("target", ""),
                offers=tuple(Offer(**offer) for offer in value.get("offers", ())),
                spare=value.get("spare", 0.0),
            )
        except (KeyError, TypeError) as error:
            raise CorruptError(f"{path} is not a plan of chidu ({error}); write one with chidu plan") from None
