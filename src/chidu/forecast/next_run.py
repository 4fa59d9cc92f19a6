"""Which run, or runs, to train next: the affordable ones that teach most about a target for their FLOPs.

Two criteria. `interval`: the target's interval is to narrow. `regret`: the split of the target's compute between params
and tokens is to be known better (`regret.py`). Several runs are chosen one after the other, each as if the ones before
it had been seen where they are expected to land.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chidu.errors import InputError, Refusal
from chidu.forecast.candidates import LEVEL, Candidate, Choice, Point, choose, rank, size
from chidu.forecast.cost import Cost, price
from chidu.forecast.regret import expected_regret
from chidu.laws.fit import Fit
from chidu.laws.laplace import Index
from chidu.stats import Interval

Criterion = Literal["interval", "regret"]
CRITERIA = ("interval", "regret")
RUNNERS_UP = 4
LEAST = 1e-3
"""A run that narrows the interval by less, or takes less than this part off the regret, is not proposed."""
MOST_RUNS = 100


@dataclass(frozen=True)
class NextRun:
    """The run to train next."""

    params: float | None
    tokens: float | None
    flops: float
    cost: Cost
    interval_before: Interval
    interval_after: Interval
    reason: str
    runners_up: tuple[Candidate, ...]

    def __str__(self) -> str:
        """The run, why, and what else was close."""
        lines = [f"next: {size(self.params, self.tokens)}, {self.flops:.3g} FLOPs", f"  {self.reason}"]
        lines += [f"  {self.cost}".replace("\n", "\n  ")]
        lines += [f"  or {candidate}" for candidate in self.runners_up]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "params": self.params,
            "tokens": self.tokens,
            "flops": self.flops,
            "cost": self.cost.to_json(),
            "interval_before": self.interval_before.to_json(),
            "interval_after": self.interval_after.to_json(),
            "reason": self.reason,
            "runners_up": [candidate.to_json() for candidate in self.runners_up],
        }


@dataclass(frozen=True)
class NextRuns:
    """Several runs to train, the most useful first; each `interval_after` is with all runs up to it."""

    runs: tuple[Candidate, ...]
    cost: Cost
    """Of all of them."""
    interval_before: Interval
    interval_after: Interval
    reason: str

    @property
    def flops(self) -> float:
        """Of all of them."""
        return sum(run.flops for run in self.runs)

    @property
    def narrowing(self) -> float:
        """1 - expected width after all / width before."""
        after, before = (ends.upper - ends.lower for ends in (self.interval_after, self.interval_before))
        return 1 - after / before

    def __str__(self) -> str:
        """A line a run, then what they cost together."""
        lines = [f"next {len(self.runs)} runs, {self.flops:.3g} FLOPs: {self.reason}"]
        lines += [f"  {i}. {run}" for i, run in enumerate(self.runs, 1)]
        return "\n".join([*lines, f"  {self.cost}".replace("\n", "\n  ")])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": [run.to_json() for run in self.runs],
            "flops": self.flops,
            "cost": self.cost.to_json(),
            "interval_before": self.interval_before.to_json(),
            "interval_after": self.interval_after.to_json(),
            "narrowing": self.narrowing,
            "reason": self.reason,
        }


def next_run(
    fit: Fit,
    *,
    target: Point,
    budget_flops: float | None = None,
    candidates: Sequence[Point] | None = None,
    hardware: str = "h100",
    criterion: Criterion = "interval",
) -> NextRun:
    """Choose the next run for a target.

    Args:
        fit: the runs so far.
        target: (params, tokens), or flops.
        budget_flops: the most that the next run may take; by default 3 times the largest fitted run, or what the
            candidates take.
        candidates: the runs to choose from, as targets are given; by default a grid of compute and tokens/param.
        hardware: the device that it is priced on (`hardware.yaml`).
        criterion: `interval`, or `regret` of the split of the target's compute.

    Raises:
        InputError: a target, a budget or a candidate that is not positive, or an unknown criterion.
        Refusal: the target itself is within the budget, or no candidate teaches anything; for `regret`, the runs do
            not tell params from tokens.
    """
    choice = choose(fit, target, budget_flops, candidates, hardware)
    parts = choice.remaining(choice.beliefs)
    order, why = _order(fit, choice, criterion)
    best, *others = [choice.candidate(int(i), float(parts[i])) for i in order[: RUNNERS_UP + 1]]
    return NextRun(
        params=best.params,
        tokens=best.tokens,
        flops=best.flops,
        cost=price(best.flops, hardware=hardware),
        interval_before=choice.before.interval,
        interval_after=best.interval_after,
        reason=f"expected to {why}: the most per FLOP and dollar of the {_crowd(choice)}",
        runners_up=tuple(others),
    )


def next_runs(
    fit: Fit,
    count: int,
    *,
    target: Point,
    budget_flops: float | None = None,
    candidates: Sequence[Point] | None = None,
    hardware: str = "h100",
) -> NextRuns:
    """Choose several runs that are trained together: greedily, each with the ones before it as if they were seen.

    Fewer are proposed where a further one would narrow the interval by less than 0.1 %. The same place may come up
    again: that is another seed. `budget_flops` is what one run may take; arguments and errors as of `next_run`.
    """
    if not 1 <= count <= MOST_RUNS:
        raise InputError(f"the number of runs lies between 1 and {MOST_RUNS}, not {count}")
    choice = choose(fit, target, budget_flops, candidates, hardware)
    beliefs, chosen, left = choice.beliefs, list[Candidate](), 1.0
    for _ in range(count):
        parts = choice.remaining(beliefs)
        gains = left - parts
        if gains.max() < LEAST:
            break
        pick = int(rank(gains, choice.flops)[0])
        left, beliefs = float(parts[pick]), beliefs.after(pick + 1)
        chosen.append(choice.candidate(pick, left))
    if not chosen:
        raise _nothing(choice)
    before, after = choice.before.interval, chosen[-1].interval_after
    reason = (
        f"expected to narrow the target's {LEVEL:.0%} interval from {before} to {after}, chosen from {_crowd(choice)}"
    )
    if len(chosen) < count:
        reason += f"; after {len(chosen)} another would narrow it by less than {LEAST:.1%}"
    cost = price(sum(run.flops for run in chosen), hardware=hardware)
    return NextRuns(tuple(chosen), cost, before, after, reason)


def _order(fit: Fit, choice: Choice, criterion: Criterion) -> tuple[Index, str]:
    """Candidates, best first, and what the best is expected to do."""
    if criterion == "regret":
        now, after = expected_regret(fit, choice.before.flops, choice.points)
        if now <= 0 or (now - after.min()) < LEAST * now:
            raise Refusal(
                f"the split of {choice.before.flops:.3g} FLOPs has an expected regret of {now:.3%} of the loss, and no "
                f"run of up to {choice.budget:.3g} FLOPs would lower it; take criterion interval"
            )
        order = rank(now - after, choice.flops)
        return (
            order,
            f"lower the expected regret of the target's split from {now:.3%} to {after[order[0]]:.3%} of the loss",
        )
    if criterion != "interval":
        raise InputError(f"there is no criterion {criterion!r}; there are {', '.join(CRITERIA)}")
    parts = choice.remaining(choice.beliefs)
    order = rank(1 - parts, choice.flops)
    if 1 - parts.min() < LEAST:
        raise _nothing(choice)
    best = choice.candidate(int(order[0]), float(parts[order[0]]))
    ends = f"from {choice.before.interval} to {best.interval_after} ({best.narrowing:.1%})"
    return order, f"narrow the target's {LEVEL:.0%} interval {ends}"


def _crowd(choice: Choice) -> str:
    return f"{len(choice.points)} candidates of up to {choice.budget:.3g} FLOPs that reach half of the greatest gain"


def _nothing(choice: Choice) -> Refusal:
    return Refusal(
        f"no run of up to {choice.budget:.3g} FLOPs would narrow the interval by {LEAST:.1%}; what is left is the "
        "floor and the noise of one run: raise the budget, or measure the noise with another seed"
    )
