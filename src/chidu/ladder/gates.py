"""Gates: what must hold for a ladder to extrapolate, checked before it is paid for.

The coordinate check trains models of several widths and depths for a few steps. The probe trains the smallest and the
largest width of the cheapest budget at half and twice the recipe's rates; beside the rungs at the recipe's own rates,
that gives three points of a parabola in the log of the rate for each width.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chidu.ladder.climb import load_run
from chidu.ladder.coordinates import CoordinateCheck, Shapes, coordinate_jobs, read_coordinates
from chidu.ladder.launcher import Job
from chidu.ladder.plan import Plan
from chidu.ladder.rates import RateProbe, make_probe
from chidu.ladder.rung import Rung
from chidu.runs import Run

SHAPES = Shapes(widths=(64, 128, 256))
"""What the coordinate check of a ladder compares: seconds of work."""


@dataclass(frozen=True)
class GateReport:
    """What the gates found, and what a forecast must say about it."""

    probes: tuple[RateProbe, ...]
    """Empty where the budget left no room for them."""
    drift: float
    """Octaves by which the best rate of the largest width differs from the smallest's, beyond what transfer expects."""
    warnings: tuple[str, ...]
    coordinates: CoordinateCheck | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rates = {"probes": [asdict(probe) for probe in self.probes], "drift": self.drift}
        check = self.coordinates.to_json() if self.coordinates else None
        return {**rates, "warnings": list(self.warnings), "coordinates": check}

    def __str__(self) -> str:
        """Print the coordinate check, a line a width, and the verdict."""
        lines = [str(self.coordinates)] if self.coordinates else []
        if self.probes:
            lines += [str(probe) for probe in self.probes]
            lines.append(f"drift of the best rate between widths: {self.drift:+.1f} octaves")
        return "\n".join([*lines, *self.warnings])


def gate_rungs(plan: Plan) -> list[Rung]:
    """The probes of a plan and the rungs they are compared with."""
    probes = [rung for rung in plan.rungs if rung.role == "probe"]
    partners = {_cell(rung): rung for rung in plan.rungs if rung.role == "rung"}
    return [*probes, *{_cell(probe): partners[_cell(probe)] for probe in probes}.values()]


def gate_jobs(plan: Plan, lab: Path) -> list[Job]:
    """The coordinate check of a plan's recipe: seconds, on models smaller than most of its rungs."""
    return coordinate_jobs(
        plan.recipe, plan.rungs[0].config.model.vocab_size, plan.data, lab / "data", lab / "gates", SHAPES
    )


def read_gates(plan: Plan, lab: Path) -> GateReport:
    """Judge the trained probes of a lab, and its coordinate check where there is one."""
    groups: dict[int, list[Rung]] = {}
    for rung in gate_rungs(plan):
        groups.setdefault(rung.config.model.d_model, []).append(rung)
    probes = [_probe(plan, width, rungs, lab) for width, rungs in sorted(groups.items())]
    drift = math.log2(probes[-1].best_factor / probes[0].best_factor) if len(probes) > 1 else 0.0
    warnings = []
    for probe in probes:
        if probe.gain > 0.02:
            warnings.append(
                f"width {probe.width} would gain {probe.gain:.1%} at {probe.best_factor:.1f} times the recipe's rate: "
                "its runs are worse than they need to be"
            )
    if abs(drift) >= 1:
        warnings.append(
            f"the best learning rate drifts by {drift:+.1f} octaves from width {probes[0].width} to "
            f"{probes[-1].width}: the law may bend beyond the ladder"
        )
    jobs = gate_jobs(plan, lab)
    check = None
    if all(job.done.exists() for job in jobs):
        check = read_coordinates(plan.recipe, SHAPES, jobs)
        warnings += check.warnings
    return GateReport(tuple(probes), drift, tuple(warnings), check)


def _probe(plan: Plan, width: int, rungs: Sequence[Rung], lab: Path) -> RateProbe:
    base = plan.recipe.rates(width)[0]
    ordered = sorted(rungs, key=lambda rung: rung.config.learning_rate)
    runs: list[Run] = [load_run(rung.config, lab) for rung in ordered]
    losses = {
        rung.config.learning_rate / base: run.loss if run.status == "done" else None
        for rung, run in zip(ordered, runs, strict=True)
    }
    return make_probe(width, losses)


def _cell(rung: Rung) -> tuple[int, int]:
    return rung.config.model.d_model, rung.tokens
