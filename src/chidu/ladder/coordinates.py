"""The coordinate check: whether a step of training moves a wide or deep model as far as a small one.

Where each activation's change over a few steps is as large at every width and depth, rates that are right for the small
model can be right for the large one (2203.03466, appendix D.1; 2505.01618, section 4.1). It costs seconds, and a recipe
that fails it needs no sweep to be refused. Every model trains on one fixed batch at its full rates, as in the reference
check of the mup package: then updates soon point in common directions, in which sizes differ by the recipe alone.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chidu.ladder.launcher import Job
from chidu.ladder.recipe import Recipe
from chidu.store import hash_json, read_json

QUANTITIES = {
    "embedding": "embedding",
    "attention_logits": "attention logits",
    "attention_output": "attention output",
    "feed_forward": "feed-forward",
    "stream": "residual stream",
    "head_logits": "head logits",
}
"""Key of what a worker measures -> its name."""
FLAT = 0.1
"""Most that the logarithm of a change may rise or fall for each doubling, counted in doublings."""
JUDGED = 0.5
"""Last part of the steps that the verdict is about: in the first ones the updates of small models hardly align."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What is compared: several widths at one depth, several depths at one width."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 4, 8)
    layers: int = 3
    """Depth of the widths."""
    width: int = 64
    """Width of the depths."""
    steps: int = 12
    seeds: int = 2
    windows: int = 2
    """Windows of text in the batch; of many, few share a direction, and small models then look noisy."""

    @property
    def all(self) -> list[tuple[int, int]]:
        """Every (width, layers) once."""
        return list(
            dict.fromkeys(
                [*((width, self.layers) for width in self.widths), *((self.width, depth) for depth in self.depths)]
            )
        )


@dataclass(frozen=True)
class Line:
    """One quantity over one dial; geometric means over seeds, None where a run left the numbers."""

    quantity: str
    dial: Literal["width", "depth"]
    values: tuple[int, ...]
    """Of the dial, [n]."""
    sizes: tuple[tuple[float | None, ...], ...]
    """Mean absolute activation before the first step and after each, [n][steps + 1]."""
    changes: tuple[tuple[float | None, ...], ...]
    """Mean absolute difference from before the first step, likewise."""

    @property
    def slopes(self) -> tuple[float | None, ...]:
        """Slope of log change against log dial after each step, [steps + 1]; none before the first."""
        return tuple(_slope(self.values, [change[step] for change in self.changes]) for step in range(self.steps + 1))

    @property
    def judged(self) -> tuple[float | None, ...]:
        """The change at each value of the dial that is judged: geometric mean over the last steps, [n]."""
        first = self.steps + 1 - max(1, math.floor(JUDGED * self.steps))
        return tuple(_geometric(change[first:]) for change in self.changes)

    @property
    def slope(self) -> float | None:
        """Slope of what is judged; None where something did not move or left the numbers."""
        return _slope(self.values, self.judged)

    @property
    def start(self) -> float | None:
        """Slope of the size before the first step; None of what starts at zero."""
        return _slope(self.values, [size[0] for size in self.sizes])

    @property
    def flat(self) -> bool:
        """The verdict."""
        return self.slope is not None and abs(self.slope) <= FLAT

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return len(self.changes[0]) - 1

    def to_json(self) -> dict[str, Any]:
        """The measurements and what follows from them."""
        found = {"slope": self.slope, "flat": self.flat, "slopes": list(self.slopes), "slope_at_start": self.start}
        return {**asdict(self), **found}


@dataclass(frozen=True)
class CoordinateCheck:
    """What the check found."""

    recipe: str
    parametrisation: str
    shapes: Shapes
    lines: tuple[Line, ...]
    """One for each quantity over widths, then over depths."""

    @property
    def flat(self) -> bool:
        """Whether every change is."""
        return all(line.flat for line in self.lines)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each quantity that is not flat."""
        return tuple(_warn(line) for line in self.lines if not line.flat)

    def __str__(self) -> str:
        """Print a line for each quantity, and the verdict."""
        shapes = self.shapes
        wide, deep = (f"{dial} {_range(each)}" for dial, each in (("width", shapes.widths), ("depth", shapes.depths)))
        lines = [
            f"coordinate check of {self.recipe} ({self.parametrisation}), {shapes.steps} steps, {shapes.seeds} seeds: "
            "slope of each change in log-log",
            f"{'':17} {wide:>18} {deep:>16}   size at the start",
        ]
        for key, name in QUANTITIES.items():
            over_width, over_depth = (
                next((line for line in self.lines if (line.quantity, line.dial) == (key, dial)), None)
                for dial in ("width", "depth")
            )
            start = _number(over_width.start) if over_width else ""
            lines.append(f"{name:17} {_cell(over_width):>18} {_cell(over_depth):>16}   {start}")
        verdict = f"flat within {FLAT}" if self.flat else f"NOT flat within {FLAT}"
        return "\n".join([*lines, f"{verdict}; * marks what is not"])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recipe": self.recipe,
            "parametrisation": self.parametrisation,
            "shapes": asdict(self.shapes),
            "flat": self.flat,
            "warnings": list(self.warnings),
            "lines": [line.to_json() for line in self.lines],
        }


def coordinate_jobs(
    recipe: Recipe, vocab_size: int, data_id: str, data: Path, out: Path, shapes: Shapes = Shapes()
) -> list[Job]:
    """The launcher's jobs, one a seed; each is named by what it measures, so that a rerun does nothing."""
    jobs = []
    for seed in range(shapes.seeds):
        configs = []
        for width, layers in shapes.all:
            params = recipe.params(width, vocab_size)
            config = recipe.config(width, 20 * params, vocab_size, data_id, seed, layers=layers)
            batch = shapes.windows * recipe.context
            length = batch * shapes.steps
            short = replace(config, batch_tokens=batch, tokens=length, warmup_tokens=0, accumulate=1)
            configs.append(short.to_json())
        spec = {"verb": "coordinates", "configs": configs, "steps": shapes.steps}
        done = out / f"coordinates-{hash_json(spec)}.json"
        spec |= {"data": str(data), "out": str(done)}
        jobs.append(Job(spec, done.with_suffix(".job"), done, 1.0))
    return jobs


def read_coordinates(recipe: Recipe, shapes: Shapes, jobs: Sequence[Job]) -> CoordinateCheck:
    """Judge what the workers measured."""
    seeds = [dict(zip(shapes.all, read_json(job.done), strict=True)) for job in jobs]

    def line(quantity: str, dial: Literal["width", "depth"], values: Sequence[int]) -> Line:
        there = [(value, shapes.layers) if dial == "width" else (shapes.width, value) for value in values]

        def mean(kind: str) -> tuple[tuple[float | None, ...], ...]:
            by_seed = [[seed[shape][quantity][kind] for seed in seeds] for shape in there]
            return tuple(tuple(_geometric(each) for each in zip(*steps, strict=True)) for steps in by_seed)

        return Line(quantity, dial, tuple(values), mean("size"), mean("change"))

    lines = [line(key, "width", shapes.widths) for key in QUANTITIES if len(shapes.widths) > 1]
    lines += [line(key, "depth", shapes.depths) for key in QUANTITIES if len(shapes.depths) > 1]
    return CoordinateCheck(recipe.name, recipe.parametrisation, shapes, tuple(lines))


def _geometric(values: Sequence[float | None]) -> float | None:
    """Geometric mean; 0 where one is 0, None where one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return math.exp(sum(math.log(value) for value in known) / len(known)) if min(known) > 0 else 0.0


def _slope(values: Sequence[int], sizes: Sequence[float | None]) -> float | None:
    """Slope of a line through the points in log-log; None where a size is zero or missing."""
    known = [size for size in sizes if size]
    if len(known) < len(values):
        return None
    return float(np.polyfit(np.log(values), np.log(known), 1)[0])


def _warn(line: Line) -> str:
    name, many = QUANTITIES[line.quantity], _range(line.values)
    if line.slope is None:
        return f"coordinate check: the {name} did not move, or left the numbers, over {line.dial} {many}"
    return (
        f"coordinate check: the change of the {name} goes as {line.dial}^{line.slope:+.2f} over {line.dial} {many}, "
        f"which is not flat: rates may not transfer"
    )


def _range(values: Sequence[int]) -> str:
    return f"{values[0]} to {values[-1]}" if len(values) > 1 else "(one)"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    return f"{_number(line.slope)} {' ' if line.flat else '*'}"
