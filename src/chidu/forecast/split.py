"""One budget, every answer to how to split it: compute-optimal, the three approaches, served, short of data, priced."""

from dataclasses import dataclass
from typing import Any

from chidu.forecast.allocation import Allocation, compute_optimal
from chidu.forecast.approaches import Approaches, compare_approaches
from chidu.forecast.cost import Cost, price
from chidu.forecast.data_limit import LimitedAllocation, data_limited
from chidu.forecast.ownership import SERVE_UTILISATION
from chidu.forecast.serving import ServedAllocation, Unit, serving_optimal
from chidu.laws.fit import Fit


@dataclass(frozen=True)
class Split:
    """A budget's splits."""

    optimal: Allocation
    cost: Cost
    """Of the budget."""
    approaches: Approaches
    served: ServedAllocation | None
    """The model of the same loss that is cheapest over its life."""
    limited: LimitedAllocation | None
    """The best split over the text that there is."""

    def __str__(self) -> str:
        """Everything, a paragraph each."""
        parts = [f"compute-optimal, {self.optimal}\n  {self.cost}".replace("\n    ", "\n  "), str(self.approaches)]
        parts += [str(variant) for variant in (self.served, self.limited) if variant is not None]
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "optimal": self.optimal.to_json(),
            "cost": self.cost.to_json(),
            "approaches": self.approaches.to_json(),
            "served": self.served.to_json() if self.served else None,
            "limited": self.limited.to_json() if self.limited else None,
        }


def split_budget(
    fit: Fit,
    *,
    flops: float,
    serve_tokens: float | None = None,
    unique_tokens: float | None = None,
    minimise: Unit = "flops",
    hardware: str = "h100",
    serve_utilisation: float = SERVE_UTILISATION,
    repeat_tokens: float | None = None,
    repeat_params: float | None = None,
    level: float = 0.9,
) -> Split:
    """Answer every question about the split of training FLOPs that was asked.

    Args:
        fit: the runs.
        flops: of training.
        serve_tokens: that the model serves over its life: adds the cheapest model of the compute-optimal one's loss.
        unique_tokens: that there are to train on: adds the best split over them.
        minimise: what is cheapest counted in, `flops` or `dollars`.
        hardware: the device that everything is priced on (`hardware.yaml`).
        serve_utilisation: part of its peak that serving reaches.
        repeat_tokens: r_D of `data_limit.py`.
        repeat_params: r_N.
        level: of the intervals.

    Raises:
        InputError: a number out of range, or an unknown device.
        Refusal: the runs cannot tell params from tokens.
    """
    optimal = compute_optimal(fit, flops=flops, level=level)
    served = limited = None
    if serve_tokens is not None:
        served = serving_optimal(
            fit,
            serve_tokens=serve_tokens,
            loss=optimal.loss,
            minimise=minimise,
            hardware=hardware,
            serve_utilisation=serve_utilisation,
            level=level,
        )
    if unique_tokens is not None:
        limited = data_limited(
            fit,
            flops=flops,
            unique_tokens=unique_tokens,
            repeat_tokens=repeat_tokens,
            repeat_params=repeat_params,
            level=level,
        )
    approaches = compare_approaches(fit, flops=flops, level=level)
    return Split(optimal, price(flops, hardware=hardware), approaches, served, limited)
