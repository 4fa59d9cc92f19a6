"""Gates: what must hold for a ladder to extrapolate, checked on its cheapest runs.

A rate that is best at one size and wrong at another bends the law and the forecast with it (2406.19146; 2203.03466).
The probe trains the smallest and the largest width of the cheapest budget at half and twice the recipe's rates; beside
the rungs at the recipe's own rates, that gives three points of a parabola in the log of the rate for each width.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chidu.ladder.climb import load_run
from chidu.ladder.plan import Plan, Rung
from chidu.runs import Run


@dataclass(frozen=True)
class RateProbe:
    """Losses of one width at several multiples of the recipe's rates."""

    width: int
    factors: tuple[float, ...]
    losses: tuple[float | None, ...]
    """Nats per token; None where the run diverged."""
    best_factor: float
    """Where the parabola through the points has its lowest loss, within the range tried."""
    gain: float
    """How much lower than at the recipe's rate, as a fraction of the loss."""


@dataclass(frozen=True)
class GateReport:
    """What the probe found, and what a forecast must say about it."""

    probes: tuple[RateProbe, ...]
    drift: float
    """Octaves by which the best rate of the largest width differs from the smallest's, beyond what transfer expects."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """Print a line a width, and the verdict."""
        lines = [
            f"width {probe.width}: best rate {probe.best_factor:.2f} x the recipe's, worth {probe.gain:.2%} of the loss"
            for probe in self.probes
        ]
        lines.append(f"drift of the best rate between widths: {self.drift:+.1f} octaves")
        return "\n".join([*lines, *self.warnings])


def gate_rungs(plan: Plan) -> list[Rung]:
    """The probes of a plan and the rungs they are compared with."""
    probes = [rung for rung in plan.rungs if rung.role == "probe"]
    partners = {_cell(rung): rung for rung in plan.rungs if rung.role == "rung"}
    return [*probes, *{_cell(probe): partners[_cell(probe)] for probe in probes}.values()]


def read_gates(plan: Plan, lab: Path) -> GateReport:
    """Judge the trained probes of a lab."""
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
    return GateReport(tuple(probes), drift, tuple(warnings))


def _probe(plan: Plan, width: int, rungs: Sequence[Rung], lab: Path) -> RateProbe:
    base = plan.recipe.embedding_rate
    ordered = sorted(rungs, key=lambda rung: rung.config.learning_rate)
    factors = [rung.config.learning_rate / base for rung in ordered]
    runs: list[Run] = [load_run(rung.config, lab) for rung in ordered]
    losses = [run.loss if run.status == "done" else None for run in runs]
    best, lowest = _lowest(factors, losses)
    own = losses[min(range(len(factors)), key=lambda i: abs(math.log(factors[i])))]
    gain = (own - lowest) / own if own is not None else 1.0
    return RateProbe(width, tuple(factors), tuple(losses), best, gain)


def _lowest(factors: Sequence[float], losses: Sequence[float | None]) -> tuple[float, float]:
    """Lowest point of the parabola through the loss over log2 of the rate, kept within the range tried."""
    points = [(math.log2(factor), loss) for factor, loss in zip(factors, losses, strict=True) if loss is not None]
    if not points:
        return 1.0, math.inf
    where, loss = min(points, key=lambda point: point[1])
    if len(points) >= 3:
        x, y = np.array(points).T
        curve = np.polyfit(x, y, 2)
        vertex = -curve[1] / (2 * curve[0]) if curve[0] > 0 else where
        if x.min() <= vertex <= x.max():
            where, loss = float(vertex), float(np.polyval(curve, vertex))
    return 2**where, min(loss, min(point[1] for point in points))


def _cell(rung: Rung) -> tuple[int, int]:
    return rung.config.model.d_model, rung.tokens
