"""One trunk, many budgets: runs that differ in length alone share their stable stretch (2405.18392, section 4).

Such runs are the same run, bit for bit, up to the first step of the shorter one's decay (`TrainConfig.trunk`). So the
shortest is trained first and keeps a checkpoint at its branch point; the next longer one starts there, keeps one at its
own, and so on up to the longest, the stem. Every step of the trunk is done once, and the cheap runs, which the gates
judge, come first. Nothing of this changes a number: each run ends as a lone run of its config would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chidu.config import TrainConfig
from chidu.ladder.rung import Rung


@dataclass(frozen=True)
class Trunk:
    """Runs that differ in length alone: one stable stretch, a branch each; a lone run is a trunk of one."""

    rungs: tuple[Rung, ...]
    """By branch point, the last to leave the trunk at the end."""

    @property
    def stem(self) -> Rung:
        """The run that leaves the trunk last."""
        return self.rungs[-1]

    @property
    def steps(self) -> int:
        """Optimiser steps of all its runs together: the stem's, and the decay of each other."""
        return sum(self.own_steps(rung) for rung in self.rungs)

    @property
    def lone_steps(self) -> int:
        """Optimiser steps that its runs would need without sharing."""
        return sum(rung.config.steps for rung in self.rungs)

    def before(self, rung: Rung) -> Rung | None:
        """The run that one of its runs starts from: the next shorter one, if any leaves the trunk after its start."""
        place = self.rungs.index(rung)
        return self.rungs[place - 1] if place and self.rungs[place - 1].config.branch_step else None

    def after(self, rung: Rung) -> Rung | None:
        """The run that starts from one of its runs: the next longer one."""
        place = self.rungs.index(rung)
        return self.rungs[place + 1] if place + 1 < len(self.rungs) and rung.config.branch_step else None

    def shared_steps(self, rung: Rung) -> int:
        """Optimiser steps that shorter runs have done for one of its runs."""
        before = self.before(rung)
        return before.config.branch_step if before else 0

    def own_steps(self, rung: Rung) -> int:
        """Optimiser steps that one of its runs does itself."""
        return rung.config.steps - self.shared_steps(rung)

    @property
    def flops(self) -> float:
        """FLOPs, 6 * params * tokens, of all its runs; what they share counts once."""
        return sum(rung.flops * self.own_steps(rung) / rung.config.steps for rung in self.rungs)


def trunk_name(config: TrainConfig) -> str:
    """What runs of one trunk have in common; evaluations on the way change no number, but stand in the log."""
    return f"{config.trunk}-{config.eval_every}"


def find_trunks(rungs: Sequence[Rung]) -> list[Trunk]:
    """Group runs by their trunk, in the order of the first of each."""
    groups: dict[str, list[Rung]] = {}
    for rung in rungs:
        group = groups.setdefault(trunk_name(rung.config), [])
        if rung not in group:
            group.append(rung)
    return [
        Trunk(tuple(sorted(group, key=lambda rung: (rung.config.branch_step, rung.config.steps))))
        for group in groups.values()
    ]


def trunks_by_run(rungs: Sequence[Rung]) -> dict[str, Trunk]:
    """The trunk of each run, by the run's id."""
    return {rung.config.id: trunk for trunk in find_trunks(rungs) for rung in trunk.rungs}


def with_shorter(chosen: Sequence[Rung], rungs: Sequence[Rung]) -> list[Rung]:
    """Chosen runs of a plan, each after the shorter runs of its trunk, which it starts from."""
    trunks, found = trunks_by_run(rungs), list[Rung]()
    for rung in chosen:
        trunk = trunks[rung.config.id]
        place = [other.config.id for other in trunk.rungs].index(rung.config.id)
        found += [other for other in trunk.rungs[: place + 1] if other not in found]
    return found
