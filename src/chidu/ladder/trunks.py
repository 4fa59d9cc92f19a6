"""One trunk, many budgets: runs that differ in length alone share their stable stretch (2405.18392, section 4).

Such runs are the same run, bit for bit, up to the first step of the shorter one's decay (`TrainConfig.trunk`). So the
stretch is trained once, by the longest run, the stem; every other run starts from a checkpoint of it at its own branch
point and does the rest alone. Nothing of this changes a number: a branch ends as the lone run of its config would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chidu.ladder.plan import Rung


@dataclass(frozen=True)
class Trunk:
    """Runs that differ in length alone: one stable stretch, a branch each; a lone run is a trunk of one."""

    rungs: tuple[Rung, ...]
    """By branch point, the last to leave the trunk at the end."""

    @property
    def stem(self) -> Rung:
        """The run that trains the trunk: the one that leaves it last."""
        return self.rungs[-1]

    @property
    def branches(self) -> tuple[Rung, ...]:
        """The runs that start from the stem; those that decay from their first step on share nothing."""
        return tuple(rung for rung in self.rungs[:-1] if rung.config.branch_step)

    @property
    def steps(self) -> int:
        """Optimiser steps of all its runs together."""
        return sum(self.own_steps(rung) for rung in self.rungs)

    @property
    def lone_steps(self) -> int:
        """Optimiser steps that its runs would need without sharing."""
        return sum(rung.config.steps for rung in self.rungs)

    def own_steps(self, rung: Rung) -> int:
        """Optimiser steps that one of its runs does itself: all of the stem's, a branch's after its branch point."""
        return rung.config.steps - self.shared_steps(rung)

    def shared_steps(self, rung: Rung) -> int:
        """Optimiser steps that the stem does for one of its runs."""
        return 0 if rung.config == self.stem.config else rung.config.branch_step

    def own_seconds(self, rung: Rung) -> float:
        """Seconds that one of its runs takes itself; `Rung.seconds` is what it would take alone."""
        return rung.seconds * self.own_steps(rung) / rung.config.steps

    def own_flops(self, rung: Rung) -> float:
        """FLOPs, 6 * params * tokens, that are spent on one of its runs itself."""
        return rung.flops * self.own_steps(rung) / rung.config.steps


def find_trunks(rungs: Sequence[Rung]) -> list[Trunk]:
    """Group runs by their trunk, in the order of the first of each."""
    groups: dict[tuple[str, int], list[Rung]] = {}
    for rung in rungs:
        groups.setdefault((rung.config.trunk, rung.config.eval_every), []).append(rung)
    return [
        Trunk(tuple(sorted(group, key=lambda rung: (rung.config.branch_step, rung.config.steps))))
        for group in groups.values()
    ]


def trunks_by_run(rungs: Sequence[Rung]) -> dict[str, Trunk]:
    """The trunk of each run, by the run's id."""
    return {rung.config.id: trunk for trunk in find_trunks(rungs) for rung in trunk.rungs}
