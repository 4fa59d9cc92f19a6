"""What a ladder takes in seconds before it is trained: runs of one trunk pay for their common steps once.

The order is that of `trunks.py`: the shortest run of a trunk first, each longer one from the branch point of the one
before it. So a run costs its own steps, and starting a worker and evaluating the result are paid by every run.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chidu.ladder.plan import Speed
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import trunk_name


@dataclass(frozen=True)
class Job:
    """What the price of a run stands on."""

    trunk: str
    """Runs of one trunk share their steps up to the branch point."""
    steps: int
    branch_step: int
    seconds: float
    """Of the run if it is trained alone."""
    per_step: float
    """Seconds."""


@dataclass(frozen=True)
class Link:
    """A job at its place in its trunk."""

    seconds: float
    """That it takes itself."""
    urgency: float
    """From its start to the end of its trunk, however many workers there are."""
    needs: int | None
    """The job that it starts from."""
    until_branch: float
    """Seconds from its start to its branch point."""


def price_job(rung: Rung, speed: Speed, evaluation_tokens: int = 0, trunk: str = "") -> Job:
    """The job of a rung, whose seconds are predicted anew; its trunk is looked up unless it is given."""
    config = rung.config
    seconds = speed.seconds(config, evaluation_tokens)
    per_step = (seconds - speed.seconds(config, evaluation_tokens, steps=0)) / config.steps
    trunk = trunk or trunk_name(config)
    return Job(trunk, config.steps, config.branch_step, seconds, per_step)


def price_jobs(rungs: Sequence[Rung], speed: Speed, evaluation_tokens: int = 0) -> list[Job]:
    """The jobs of some rungs; the trunk is worked out, which takes a hash, only where two could have the same."""
    alike = [
        (c.model.d_model, c.batch_tokens, c.warmup_steps, c.learning_rate, c.seed)
        for c in (rung.config for rung in rungs)
    ]
    crowd = Counter(alike)
    return [
        price_job(rung, speed, evaluation_tokens, trunk=f"lone {i}" if crowd[key] == 1 else "")
        for i, (rung, key) in enumerate(zip(rungs, alike, strict=True))
    ]


def link_jobs(jobs: Sequence[Job]) -> list[Link]:
    """The jobs in their trunks, in the order given."""
    trunks: dict[str, list[int]] = {}
    for i, job in enumerate(jobs):
        trunks.setdefault(job.trunk, []).append(i)
    links: dict[int, Link] = {}
    for trunk in trunks.values():
        chain = sorted(trunk, key=lambda i: (jobs[i].branch_step, jobs[i].steps))
        urgency = 0.0
        for place in range(len(chain) - 1, -1, -1):
            job, before = jobs[chain[place]], chain[place - 1] if place else None
            shared = jobs[before].branch_step if before is not None else 0
            seconds = job.seconds - shared * job.per_step
            until_branch = seconds - (job.steps - job.branch_step) * job.per_step
            urgency = max(seconds, until_branch + urgency)
            links[chain[place]] = Link(seconds, urgency, before if shared else None, until_branch)
    return [links[i] for i in range(len(jobs))]


def planned_jobs(rungs: Sequence[Rung]) -> list[Job]:
    """The jobs of a plan's runs, from the seconds that the plan gives them."""
    pairs = [(rung.config, rung.seconds) for rung in rungs]
    return [Job(trunk_name(c), c.steps, c.branch_step, seconds, seconds / c.steps) for c, seconds in pairs]


def link_runs(rungs: Sequence[Rung]) -> dict[str, Link]:
    """Each run of a plan in its trunk, by its id."""
    links = link_jobs(planned_jobs(rungs))
    return {rung.config.id: link for rung, link in zip(rungs, links, strict=True)}


def work_seconds(jobs: Sequence[Job]) -> float:
    """Seconds of all workers together."""
    return sum(link.seconds for link in link_jobs(jobs))


def ladder_seconds(jobs: Sequence[Job], workers: int) -> float:
    """Wall-clock seconds of jobs given to workers as the launcher does: the most urgent that may start goes first.

    For runs that share nothing that is longest first (Graham 1969).
    """
    links = link_jobs(jobs)
    waiting = sorted(range(len(jobs)), key=lambda i: -links[i].urgency)
    free, ready, end = [0.0] * workers, dict[int, float](), 0.0
    while waiting:
        now = heapq.heappop(free)
        times = {i: _ready(links[i], ready) for i in waiting}
        pick = next((i for i in waiting if times[i] <= now), None)
        if pick is None:
            heapq.heappush(free, min(times.values()))
            continue
        waiting.remove(pick)
        ready[pick] = now + links[pick].until_branch
        heapq.heappush(free, now + links[pick].seconds)
        end = max(end, now + links[pick].seconds)
    return end


def _ready(link: Link, branch_points: dict[int, float]) -> float:
    """When a job may start."""
    return 0.0 if link.needs is None else branch_points.get(link.needs, float("inf"))
