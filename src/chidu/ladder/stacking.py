"""Training jobs of one shape joined to one: a GPU trains the small models of a sweep side by side, as one graph.

On a CPU a stack takes longer than its runs one by one (docs/LOG.md), so that only a GPU's launcher joins jobs.
"""

from collections.abc import Sequence
from dataclasses import replace

from chidu.accounting import count_params
from chidu.config import TrainConfig
from chidu.ladder.launcher import Job
from chidu.store import hash_json

OWN = ("seed", "learning_rate", "hidden_learning_rate", "weight_decay", "clip_norm")
"""What the runs of a stack may differ in."""
MOST = 8
"""Runs of a stack. Assumption."""
SMALL = 20_000_000
"""Params above which a run keeps a GPU busy by itself. Assumption."""


def suit(jobs: Sequence[Job], device: str) -> list[Job]:
    """The jobs as a device does them best: stacked on a GPU."""
    return stack(jobs) if device == "cuda" else list(jobs)


def stack(jobs: Sequence[Job]) -> list[Job]:
    """Join the training jobs that are to be done and differ in seed and rates alone; the others stay as they are.

    A run that shares its trunk stays alone.
    """
    alike: dict[str, list[Job]] = {}
    out = []
    for job in jobs:
        if key := _shape(job):
            alike.setdefault(key, []).append(job)
        else:
            out.append(job)
    for group in alike.values():
        for first in range(0, len(group), MOST):
            part = group[first : first + MOST]
            out.append(_join(part) if len(part) > 1 else part[0])
    return out


def _shape(job: Job) -> str | None:
    """What the runs of a stack have in common; None of a job that is in no stack."""
    if job.spec.get("verb") != "train" or "shared" in job.spec or job.done.exists():
        return None
    config = TrainConfig.from_json(job.spec["config"])
    large = count_params(config.model).total > SMALL
    if large or config.model.kind != "decoder" or config.model.dropout:
        return None
    rest = {name: value for name, value in job.spec.items() if name not in ("config", "out")}
    return hash_json({**rest, "config": {**config.to_json(), **dict.fromkeys(OWN)}})


def _join(jobs: Sequence[Job]) -> Job:
    """One job of several; its last file is there when those of all are."""
    outs, first = [job.spec["out"] for job in jobs], jobs[0]
    name = f"stack-{hash_json(outs)}"
    done = first.file.with_name(f"{name}.done.json")
    done.unlink(missing_ok=True)  # of a stack one of whose runs was deleted since
    spec = {
        **{name: value for name, value in first.spec.items() if name != "config"},
        "verb": "stack",
        "configs": [job.spec["config"] for job in jobs],
        "outs": outs,
        "done": str(done),
    }
    weight = sum(job.weight for job in jobs)
    return replace(first, spec=spec, file=first.file.with_name(f"{name}.json"), done=done, weight=weight)
