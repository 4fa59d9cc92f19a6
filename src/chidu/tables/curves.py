"""Curves that a run logged while it trained -> the one row that it counts as: its last evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chidu.tables.columns import find_loss
from chidu.tables.spelling import recognise

Curve = Sequence[tuple[float, float]]
"""(step, value), in the order in which they were logged."""

LOWER = 0.005
"""How much lower an earlier loss must be to be spoken of."""


@dataclass
class Ends:
    """What the last values of many runs have in common, gathered for the notes."""

    runs: int = 0
    lower: list[float] = field(default_factory=list)
    """Of the runs whose loss rose at the end, by how much."""

    def notes(self) -> tuple[str, ...]:
        """In words."""
        if not self.runs:
            return ()
        text = "the loss of a run is that of its last evaluation, other values are those of the same step"
        if self.lower:
            text += (
                f"; in {len(self.lower)} of {self.runs} runs an earlier evaluation was lower, "
                f"by up to {max(self.lower):.1%}"
            )
        return (text,)


def last_values(curves: Mapping[str, Curve], ends: Ends, given: str | None = None) -> dict[str, float]:
    """A run's values at its last evaluation, [name] -> value, and the `step` of it where steps were counted.

    A learning rate is the largest of its curve: at the end of a schedule it says nothing.

    Args:
        curves: the run's, by name; empty ones are left out.
        ends: gathers what is said of all runs.
        given: the name of the loss, if the user gave it.
    """
    curves = {name: sorted(curve, key=lambda point: point[0]) for name, curve in curves.items() if curve}
    loss = find_loss(curves, given)
    end = curves[loss][-1][0] if loss else max((curve[-1][0] for curve in curves.values()), default=0.0)
    values = {}
    for name, curve in curves.items():
        before = [value for step, value in curve if step <= end] or [curve[0][1]]
        match = recognise(name)
        values[name] = max(before) if match and match.ours == "learning_rate" else before[-1]
    if loss:
        ends.runs += 1
        best = min((value for _, value in curves[loss] if not math.isnan(value)), default=math.nan)
        if values[loss] > 0 and best < values[loss] * (1 - LOWER):
            ends.lower.append(1 - best / values[loss])
    if end > 0 and not any((match := recognise(name)) and match.ours == "step" for name in values):
        values["step"] = end
    return values
