"""Which runs of a ladder are left out while it is climbed, because the forecast hardly needs them any more.

After each round of a ladder (`ladder/climb.py`) the law is inferred from the runs that are done. The linear beliefs of
`beliefs.py` then say how wide the target's interval is expected to be after any set of the others. With w that width,
R all runs that are still to be trained and X those that are left out, X grows run by run, the one first that saves most
seconds for what it adds to w(R - X), as long as

    w(R - X) <= (1 + spare) w(R).

So `spare` bounds what all left-out runs together would still have narrowed, not each of them. A run that saves hardly
anything stays, and so does what a ladder is judged by (`Strength`). Nothing is lost for good before the last round:
what was spared is asked about again after every round, and comes back where new runs show more noise or another law.

The decisions are a function of the finished runs and are kept in the lab, so that a ladder that was killed goes on with
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chidu.errors import CorruptError, InputError, Refusal
from chidu.forecast.beliefs import believe
from chidu.forecast.candidates import forecast_target, run_noise, size
from chidu.forecast.holdout import budgets
from chidu.forecast.optimal_design import SPREAD, half_width
from chidu.ladder.climb import Spare, Verdict, load_run
from chidu.ladder.gates import gate_rungs
from chidu.ladder.plan import Plan
from chidu.ladder.price import planned_jobs, work_seconds
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import with_shorter
from chidu.laws.diagnose import FEW
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable
from chidu.store import hash_json, read_json, write_json

FILE = "spared.json"
MOST = 0.5
"""Largest `spare` that is taken: nobody leaves runs out to have twice the interval."""
SAVES = 0.01
"""Part of the whole ladder's seconds that a run must save to be left out. Assumption."""
HARDLY = 1e-6
"""A run that widens by less counts as one that widens by so much."""
SHOWN = 5e-5
"""Less is said in a word."""


@dataclass(frozen=True, kw_only=True)
class Strength:
    """What a ladder is judged by beside the width of its interval; by default, the least that is left of one.

    Points as for a fit's warning of few runs, ratios as for designs (2605.08541); of sizes and amounts of compute three
    show a bend, two none.
    """

    points: float = FEW
    """Different sizes and lengths; the law has five parameters."""
    sizes: float = 3
    """Of models."""
    budgets: float = 3
    """Amounts of compute."""
    largest: float = 2
    """Runs of the largest amount of compute."""
    ratios: float = SPREAD
    """Factor between the largest and the smallest tokens/param."""
    freedom: float = 2
    """Further seeds of its runs: degrees of freedom with which the noise is measured."""

    def reaches(self, least: "Strength") -> bool:
        """Whether it is in nothing below another."""
        return all(has >= bar for has, bar in zip(astuple(self), astuple(least), strict=True))

    def at_most(self, other: "Strength") -> "Strength":
        """The lesser of the two in everything."""
        pairs = zip(asdict(self).items(), astuple(other), strict=True)
        return Strength(**{name: min(bar, has) for (name, bar), has in pairs})


@dataclass(frozen=True)
class Spared:
    """A run that is left out, and what that costs."""

    run: str
    params: float
    tokens: float
    flops: float
    widening: float
    """What it adds to the expected width, as a part of the width with all runs, after the ones listed before it."""
    seconds: float
    """Of one worker, that it saves."""

    def __str__(self) -> str:
        """One line."""
        worth = f"by {self.widening:.2%}" if self.widening >= SHOWN else "hardly"
        return (
            f"{size(self.params, self.tokens)} ({self.flops:.3g} FLOPs): expected to narrow the interval {worth}, for "
            f"{self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class Decision:
    """What a round has decided."""

    after: tuple[str, ...]
    """Ids of the runs that it stands on."""
    left: int
    """Runs that were still to be trained."""
    spared: tuple[Spared, ...] = ()
    half_width_all: float | None = None
    """Expected half-width of the target's 90 % interval with all runs of the plan, a part of the loss."""
    half_width: float | None = None
    """The same without those that are left out."""
    settled: bool = False
    """No other run could be left out."""
    why: str = ""
    """Why nothing could be decided; empty where it could."""

    @property
    def verdict(self) -> Verdict:
        """For the ladder."""
        return Verdict(frozenset(spared.run for spared in self.spared), self.settled)

    @property
    def widening(self) -> float:
        """What all left-out runs together add to the expected width, a part of it."""
        return sum(spared.widening for spared in self.spared)

    @property
    def seconds(self) -> float:
        """Of one worker, that are saved."""
        return sum(spared.seconds for spared in self.spared)

    def __str__(self) -> str:
        """What is left out, a line a run."""
        head = f"after {len(self.after)} runs"
        if self.why:
            return f"{head}: whether others are needed is not known yet ({self.why})"
        if not self.spared:
            return f"{head}: the other {self.left} are still needed" if self.left else f"{head}: none was left out"
        words = (
            f"{head}: {len(self.spared)} of {self.left} others left out, {self.seconds:.0f} s of work; expected "
            f"half-width of the target's 90 % interval ±{self.half_width:.2%} of the loss, with them "
            f"±{self.half_width_all:.2%}"
        )
        return "\n".join([words, *[f"  left out: {spared}" for spared in self.spared]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Decision":
        """Read what `to_json` wrote."""
        spared = tuple(Spared(**each) for each in value["spared"])
        return cls(**{**value, "after": tuple(value["after"]), "spared": spared})


def check_spare(spare: float) -> None:
    """Refuse what is no part of a width.

    Raises:
        InputError: below 0 or above `MOST`.
    """
    if not 0 <= spare <= MOST:
        raise InputError(
            f"--spare {spare}: the part of the interval's width to give up lies between 0 and {MOST}, such as 0.02"
        )


def strength(rungs: Sequence[Rung]) -> Strength:
    """What some runs are judged by."""
    ratios = [rung.tokens / rung.params for rung in rungs]
    amounts = budgets(np.array([rung.flops for rung in rungs]))
    cells = {(rung.params, rung.tokens) for rung in rungs}
    return Strength(
        points=len(cells),
        sizes=len({rung.params for rung in rungs}),
        budgets=len(amounts),
        largest=len(amounts[-1]),
        ratios=max(ratios) / min(ratios),
        freedom=len(rungs) - len(cells),
    )


def decide(plan: Plan, finished: Mapping[str, Run], target_flops: float) -> Decision:
    """Decide which runs of a plan are left out.

    Args:
        plan: all runs; `plan.spare` is the part of the width that may be given up.
        finished: the runs that are trained, by id; probes do not matter.
        target_flops: compute of the target, which is split as the runs so far say.
    """
    after, room = tuple(finished), _Room(plan, finished)
    left = list(room.left)
    if not room.possible(left):
        return Decision(after, len(left), settled=True)
    try:
        search = _Search(room, finished, target_flops)
    except (InputError, Refusal) as why:
        return Decision(after, len(left), why=str(why))
    spared, kept = list[Spared](), left
    while best := search.next(kept):
        spared.append(best)
        kept = [name for name in kept if name != best.run]
    widths = search.width(left), search.width(kept)
    return Decision(after, len(left), tuple(spared), *widths, settled=not room.possible(kept))


class _Room:
    """Which runs may be left out, whatever they teach, and what that saves. Runs by their ids, looked up once."""

    def __init__(self, plan: Plan, finished: Mapping[str, Run]) -> None:
        self.plan = plan
        rungs = {rung.config.id: rung for rung in plan.rungs}
        self.jobs = dict(zip(rungs, planned_jobs(plan.rungs), strict=True))
        self.alive = {
            name: rung
            for name, rung in rungs.items()
            if rung.role != "probe" and (name not in finished or finished[name].status == "done")
        }
        self.left = {name: rung for name, rung in self.alive.items() if name not in finished}
        largest = max(plan.law_runs, key=lambda rung: rung.flops)
        self.fixed = {rung.config.id for rung in (largest, *with_shorter(gate_rungs(plan), plan.rungs))}
        self.least = Strength().at_most(strength(list(self.alive.values())))
        self.seconds = self._seconds(set())

    def possible(self, kept: Sequence[str]) -> dict[str, float]:
        """Those of the runs kept that may still be left out, each with the seconds that it would save."""
        gone = set(self.left) - set(kept)
        now = self._seconds(gone)
        saved = {name: now - self._seconds({*gone, name}) for name in kept if name not in self.fixed}
        return {
            name: seconds
            for name, seconds in saved.items()
            if seconds >= SAVES * self.seconds and self._enough({*gone, name})
        }

    def _enough(self, gone: set[str]) -> bool:
        return strength([rung for name, rung in self.alive.items() if name not in gone]).reaches(self.least)

    def _seconds(self, gone: set[str]) -> float:
        """Of all workers, for the plan without some runs; what runs of a trunk share is counted once."""
        return work_seconds([job for name, job in self.jobs.items() if name not in gone])


class _Search:
    """What the runs that are left would teach."""

    def __init__(self, room: _Room, finished: Mapping[str, Run], target_flops: float) -> None:
        known = [finished[name] for name in room.alive if name in finished]
        law = fit(RunTable(tuple(known)), seed=room.plan.seed)
        aim = forecast_target(law, target_flops)
        points = [[rung.params, rung.tokens] for rung in room.left.values()]
        self.room, self.noise = room, run_noise(law)
        self.beliefs = believe(law, np.concatenate([law.target(aim.params, aim.tokens, aim.flops), points]))
        self.places = {name: place for place, name in enumerate(room.left, 1)}
        self.least = self.width(list(room.left))

    def width(self, kept: Sequence[str]) -> float:
        """Expected half-width of the target's interval after some of the runs."""
        beliefs = self.beliefs.after_all([self.places[name] for name in kept])
        return half_width(float(beliefs.variances()[0]) + self.noise)

    def next(self, kept: Sequence[str]) -> Spared | None:
        """The run that saves most for what it adds to the width, if any may still be left out of those kept."""
        now, found = self.width(kept), list[Spared]()
        for name, saved in self.room.possible(kept).items():
            rung, then = self.room.left[name], self.width([other for other in kept if other != name])
            if then <= (1 + self.room.plan.spare) * self.least:
                about = (name, float(rung.params), float(rung.tokens), rung.flops)
                found.append(Spared(*about, widening=(then - now) / self.least, seconds=saved))
        return max(found, key=lambda spared: spared.seconds / max(spared.widening, HARDLY), default=None)


def keep_decisions(plan: Plan, lab: Path, target_flops: float, tell: Callable[[Decision], None]) -> Spare:
    """For the ladder of a lab: decide after each round, tell somebody, and write the decisions into the lab.

    What is written there for the same rounds of the same plan is taken from there.
    """
    made = _read(plan, lab)

    def ask(done: Sequence[Rung]) -> Verdict:
        nonlocal made
        finished = {rung.config.id: load_run(rung.config, lab) for rung in done if rung.role != "probe"}
        place = next((i for i, decision in enumerate(made) if decision.after == tuple(finished)), None)
        if place is None:
            made = [*_before(made, tuple(finished)), decide(plan, finished, target_flops)]
            value = {"question": _question(plan), "spare": plan.spare, "target_flops": target_flops}
            write_json(lab / FILE, {**value, "decisions": [decision.to_json() for decision in made]})
            place = len(made) - 1
        tell(made[place])
        return made[place].verdict

    return ask


def read_sparing(plan: Plan, lab: Path) -> Decision | None:
    """What was decided last about the runs of a plan in its lab; None where nothing was."""
    made = _read(plan, lab)
    return made[-1] if made else None


def _read(plan: Plan, lab: Path) -> list[Decision]:
    """The decisions of a lab; none where they are of another plan.

    Raises:
        CorruptError: the file holds something else.
    """
    path = lab / FILE
    if not plan.spare or not path.exists():
        return []
    value = read_json(path)
    try:
        return [Decision.from_json(each) for each in value["decisions"] if value["question"] == _question(plan)]
    except (KeyError, TypeError) as error:
        raise CorruptError(f"{path} holds no decisions of chidu ({error}); delete it and rerun") from None


def _before(made: Sequence[Decision], after: tuple[str, ...]) -> list[Decision]:
    """The decisions of earlier rounds: those that stand on the first of the runs."""
    return [decision for decision in made if decision.after == after[: len(decision.after)]]


def _question(plan: Plan) -> str:
    """What the decisions are about: another plan, target or part to give up asks another question."""
    return hash_json([plan.target, plan.spare, *[rung.config.id for rung in plan.rungs]])
