"""Workers on this machine: one process a run, pinned threads, longest first.

The interface of a launcher is files: it writes a job, starts `python -m chidu.training JOB.json` anywhere, and waits
for the job's last file. This one starts a worker a slot, which is told the name of the next job when the last one's
file is there, so that torch is loaded once. A worker that is killed is started again and goes on from its checkpoint.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from chidu.errors import InputError, TrainingError
from chidu.store import write_json

TRIES = 3
"""Times that a job is started before it is given up."""
POLL_SECONDS = 0.1
PROGRESS_SECONDS = 1.0
"""Time between looks at how far the jobs are."""


@dataclass(frozen=True)
class Job:
    """One worker's work."""

    spec: dict[str, Any]
    """What `chidu.training.__main__` reads."""
    file: Path
    """Where the spec is written; the worker's stderr goes beside it."""
    done: Path
    """The last file that the job writes."""
    weight: float
    """Expected seconds: the longest job starts first, and progress is measured by it."""
    steps: int = 0
    """Optimiser steps, to read progress from the job's metrics."""
    first: int = 0
    """Of those, the ones that another job does for it."""
    needs: Path | None = None
    """A file of another job's that must be there first; where no job is left that could write it, it starts without."""
    urgency: float = 0.0
    """Expected seconds from its start to the end of all jobs that wait for it, itself included."""

    @property
    def order(self) -> float:
        """The most urgent job starts first: the longest, or the one that the longest chain waits for."""
        return -max(self.weight, self.urgency)


@dataclass(frozen=True)
class Progress:
    """How far a set of jobs is."""

    done: int
    total: int
    part: float
    """Of the expected work, 0 to 1."""
    seconds: float
    """Since the start."""
    seconds_left: float
    device_seconds: float
    """Seconds of all workers together: what the work has cost so far."""


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    started: float
    tries: int


KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""How glibc's malloc serves a worker: freed memory is kept, and large pages are asked for.

By default every tensor of some megabytes is mapped anew and faulted in page by page: small rungs on the CPU took 1.1 to
1.5 times as long (docs/LOG.md). Other C libraries ignore this, and what the user has set wins."""


@dataclass(frozen=True)
class LocalLauncher:
    """One process a core or GPU of this machine."""

    workers: int
    device: str = "cpu"
    threads: int = 1
    """Threads of each worker; on the CPU, several workers of one thread beat one worker of several."""
    on_progress: Callable[[Progress], None] = field(default=lambda progress: None)

    def run(self, jobs: Sequence[Job]) -> float:
        """Do every job whose last file is missing; return the wall-clock seconds it took.

        Raises:
            InputError: a worker says that its input is at fault.
            TrainingError: a worker ended without its file `TRIES` times.
        """
        waiting = sorted((job for job in jobs if not job.done.exists()), key=lambda job: job.order)
        before = [job for job in jobs if job.done.exists()]
        started, spent, looked = time.monotonic(), 0.0, 0.0
        running: dict[int, _Running] = {}
        idle: dict[int, subprocess.Popen[bytes]] = {}
        try:
            while waiting or running:
                for slot in range(self.workers):
                    under_way = [worker.job for worker in running.values()]
                    if slot not in running and (job := _next(waiting, under_way)):
                        waiting.remove(job)
                        running[slot] = self._start(job, slot, 1, idle.pop(slot, None))
                time.sleep(POLL_SECONDS)
                for slot, worker in list(running.items()):
                    ended = worker.process.poll() is not None
                    if ended or worker.job.done.exists():
                        spent += time.monotonic() - worker.started
                        del running[slot]
                        if ended:
                            _end(worker.process)
                        if not worker.job.done.exists():
                            running[slot] = self._again(worker, slot)
                        elif not ended:
                            idle[slot] = worker.process
                now = time.monotonic()
                if now - looked < PROGRESS_SECONDS and running:
                    continue
                looked = now
                busy = spent + sum(now - worker.started for worker in running.values())
                self.on_progress(_progress(jobs, before, waiting, running, now - started, busy, self.workers))
        finally:
            for process in [*idle.values(), *(worker.process for worker in running.values())]:
                _end(process)
        return time.monotonic() - started

    def _start(self, job: Job, slot: int, tries: int, worker: subprocess.Popen[bytes] | None = None) -> _Running:
        """Give a job to a worker that waits, or to a new one."""
        device = f"cuda:{slot}" if self.device == "cuda" else self.device
        machine = {"device": device, "threads": self.threads, **job.spec.get("machine", {})}
        write_json(job.file, {**job.spec, "machine": machine})
        with job.file.with_suffix(".stderr").open("wb") as log:
            if worker is not None and worker.poll() is not None:
                _end(worker)
                worker = None
            worker = worker or self._new_worker(log)
        with contextlib.suppress(BrokenPipeError):  # it has just died: found out in a moment
            _pipe(worker).write(json.dumps(str(job.file)).encode() + b"\n")
            _pipe(worker).flush()
        return _Running(job, worker, time.monotonic(), tries)

    def _new_worker(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        # Threads that wait must sleep: spinning, they hold up each other as soon as the machine has other work.
        threads = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        environment = {**KEPT_MEMORY, **os.environ, "OMP_WAIT_POLICY": "PASSIVE", **threads}
        return subprocess.Popen(
            [sys.executable, "-m", "chidu.training", "-"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )

    def _again(self, worker: _Running, slot: int) -> _Running:
        """Start a job anew that ended without its file, unless that would be in vain."""
        code = worker.process.returncode
        words = worker.job.file.with_suffix(".stderr").read_text(errors="replace").strip().splitlines()
        last = words[-1] if words else "it said nothing"
        if code == InputError.exit_code:
            raise InputError(last)
        if worker.tries >= TRIES:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise TrainingError(f"the worker of {worker.job.done.parent} {how} {TRIES} times: {last}")
        return self._start(worker.job, slot, worker.tries + 1)


def _pipe(worker: subprocess.Popen[bytes]) -> IO[bytes]:
    """Where a worker reads the names of its jobs."""
    assert worker.stdin is not None
    return worker.stdin


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    with contextlib.suppress(BrokenPipeError):
        _pipe(worker).close()


def _next(waiting: Sequence[Job], under_way: Sequence[Job]) -> Job | None:
    """The first waiting job that has what it needs, or will never have it."""
    for job in waiting:
        if job.needs is None or job.needs.exists():
            return job
        if not any(other.done.parent in job.needs.parents for other in [*waiting, *under_way]):
            return job
    return None


def _progress(
    jobs: Sequence[Job],
    before: Sequence[Job],
    waiting: Sequence[Job],
    running: dict[int, _Running],
    seconds: float,
    busy: float,
    workers: int,
) -> Progress:
    """Weigh jobs by their expected seconds; time left is what remains at the pace so far."""
    total = sum(job.weight for job in jobs) or 1.0
    under_way = sum(worker.job.weight * (1 - _part(worker.job)) for worker in running.values())
    left = sum(job.weight for job in waiting) + under_way
    had = sum(job.weight for job in before)
    pace = (total - had - left) / seconds if seconds > 0 and total - had - left > 0 else float(workers)
    finished = len(jobs) - len(waiting) - len(running)
    return Progress(finished, len(jobs), 1 - left / total, seconds, left / pace, busy)


def _part(job: Job) -> float:
    """Part of a training job's steps that its metrics tell of."""
    if not job.steps:
        return 0.0
    last = next(_last_steps(Path(job.spec["out"]) / "metrics.jsonl"), 0)
    return min(1.0, max(0.0, (last - job.first) / (job.steps - job.first)))


def _last_steps(metrics: Path) -> Iterator[int]:
    """The steps of the last whole line of a metrics file, if there is one."""
    with contextlib.suppress(OSError, ValueError), metrics.open("rb") as file:
        file.seek(max(0, metrics.stat().st_size - 600))
        for line in reversed(file.read().splitlines()):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                yield int(json.loads(line)["step"])
