"""The launcher with workers that are small scripts; tests/ladder/test_climb.py has it with real ones."""

import json
import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chidu.errors import InputError, TrainingError
from chidu.ladder import launcher as room
from chidu.ladder.launcher import Job, LocalLauncher, Progress

WORKER = """\
#!{python} -IS
import json, os, signal, sys, time
assert sys.argv[1:] == ["-m", "chidu.training", "-"], sys.argv
for line in sys.stdin:
    job_file = json.loads(line)
    job = json.load(open(job_file))
    with open(job["log"], "a") as log:
        log.write(json.dumps(dict(name=job["name"], start=time.time(), machine=job["machine"], pid=os.getpid(),
                                  threads=os.environ["OMP_NUM_THREADS"])) + "\\n")
    time.sleep(job.get("sleep", 0))
    tries = sum(json.loads(line)["name"] == job["name"] for line in open(job["log"]))
    if tries <= job.get("bad_tries", 0):
        print(job.get("words", "gone"), file=open(job_file.removesuffix(".json") + ".stderr", "a"))
        if job["code"] < 0:
            os.kill(os.getpid(), -job["code"])
        sys.exit(job["code"])
    open(job["out"], "w").close()
    if job.get("last"):
        break
"""


@pytest.fixture(autouse=True)
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the launcher start the script instead of the interpreter."""
    script = tmp_path / "worker"
    script.write_text(WORKER.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(room.sys, "executable", str(script))
    monkeypatch.setattr(room, "POLL_SECONDS", 0.01)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    def make(name: str, weight: float = 1.0, **spec: Any) -> Job:
        out, log = tmp_path / name / "run.json", tmp_path / "log"
        spec = {"name": name, "log": str(log), "out": str(out), "machine": {"more": 1}, **spec}
        return Job(spec, tmp_path / name / "job.json", out, weight)

    return make


def starts(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_jobs_are_done_longest_first(make_job, tmp_path: Path):
    jobs = [make_job(name, weight) for name, weight in (("b", 2), ("a", 3), ("c", 1))]
    assert LocalLauncher(1).run(jobs) > 0
    assert [start["name"] for start in starts(tmp_path)] == ["a", "b", "c"]
    assert all(job.done.exists() for job in jobs)


def test_what_is_done_is_skipped(make_job, tmp_path: Path):
    jobs = [make_job("a"), make_job("b")]
    jobs[0].done.parent.mkdir()
    jobs[0].done.touch()
    LocalLauncher(2).run(jobs)
    LocalLauncher(2).run(jobs)
    assert [start["name"] for start in starts(tmp_path)] == ["b"]


def test_a_worker_does_one_job_after_another(make_job, tmp_path: Path):
    """Also after one has died, and where one ended of itself with its job done."""
    jobs = [make_job("a", 5), make_job("b", 4, bad_tries=1, code=-9), make_job("c", 3, last=True), make_job("d", 2)]
    LocalLauncher(1).run(jobs)
    pids = {}
    for start in starts(tmp_path):
        pids.setdefault(start["name"], []).append(start["pid"])
    assert pids["a"][0] == pids["b"][0]
    assert pids["b"][1] == pids["c"][0]
    assert pids["d"][-1] not in {*pids["a"], *pids["c"]}
    assert all(job.done.exists() for job in jobs)
    assert_gone(starts(tmp_path))


def test_workers_run_side_by_side_with_their_threads(make_job, tmp_path: Path):
    took = LocalLauncher(3, threads=2).run([make_job(name, sleep=0.4) for name in "abc"])
    assert took < 1.1
    for start in starts(tmp_path):
        assert start["threads"] == "2"
        assert start["machine"] == {"device": "cpu", "threads": 2, "more": 1}


def test_a_job_waits_for_the_file_that_another_writes(make_job, tmp_path: Path):
    """The second is the longest, but needs the third's file; the first has nothing to wait for."""
    jobs = [make_job("a", 1.0), make_job("b", 3.0), make_job("c", 2.0, sleep=0.3)]
    jobs[1] = replace(jobs[1], needs=jobs[2].done)
    LocalLauncher(2).run(jobs)
    ran = {start["name"]: start["start"] for start in starts(tmp_path)}
    assert [start["name"] for start in starts(tmp_path)][-1] == "b"
    assert abs(ran["a"] - ran["c"]) < 0.25 < ran["b"] - ran["c"]


@pytest.mark.parametrize("done", [True, False])
def test_a_job_does_not_wait_for_what_nobody_writes(make_job, tmp_path: Path, done: bool):
    """The other job ends without that file, or had ended before."""
    jobs = [make_job("a", 1.0), make_job("b", 3.0)]
    jobs[1] = replace(jobs[1], needs=tmp_path / "a" / "branch-5" / "state.json")
    if done:
        jobs[0].done.parent.mkdir()
        jobs[0].done.touch()
    LocalLauncher(2).run(jobs)
    assert [start["name"] for start in starts(tmp_path)] == (["b"] if done else ["a", "b"])


def test_the_longest_chain_is_begun_first(make_job, tmp_path: Path):
    jobs = [make_job("a", 3.0), make_job("b", 1.0), make_job("c", 3.0)]
    jobs[1] = replace(jobs[1], urgency=4.0)
    jobs[2] = replace(jobs[2], needs=jobs[1].done)
    LocalLauncher(1).run(jobs)
    assert [start["name"] for start in starts(tmp_path)] == ["b", "a", "c"]


def test_each_worker_has_a_gpu_of_its_own(make_job, tmp_path: Path):
    LocalLauncher(2, "cuda").run([make_job(name, sleep=0.1) for name in "abcd"])
    assert sorted(start["machine"]["device"] for start in starts(tmp_path)) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]


def test_a_killed_worker_is_started_again(make_job, tmp_path: Path):
    jobs = [make_job("a", bad_tries=2, code=-9), make_job("b")]
    LocalLauncher(1).run(jobs)
    assert sorted(start["name"] for start in starts(tmp_path)) == ["a", "a", "a", "b"]
    assert all(job.done.exists() for job in jobs)


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "was killed by signal 9"), (1, "ended with status 1"), (0, "ended with status 0")]
)
def test_it_gives_up_after_three_times(make_job, tmp_path: Path, code: int, words: str):
    jobs = [make_job("a", 2, bad_tries=9, code=code, words="one\nout of memory\n"), make_job("b", sleep=60)]
    with pytest.raises(TrainingError, match=rf"worker of .*a {words} 3 times: out of memory"):
        LocalLauncher(2).run(jobs)
    assert [start["name"] for start in starts(tmp_path)].count("a") == 3
    assert_gone(starts(tmp_path))


def test_a_fault_of_the_input_is_passed_on_at_once(make_job, tmp_path: Path):
    jobs = [make_job("a", 2, bad_tries=9, code=2, words="x.json is damaged; delete it"), make_job("b", sleep=60)]
    with pytest.raises(InputError, match=r"^x\.json is damaged; delete it$"):
        LocalLauncher(2).run(jobs)
    assert [start["name"] for start in starts(tmp_path)].count("a") == 1
    assert_gone(starts(tmp_path))


def assert_gone(workers: list[dict[str, Any]]) -> None:
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker["pid"], 0)


def test_progress_counts_what_was_there_and_what_is_under_way(make_job, tmp_path: Path):
    seen: list[Progress] = []
    jobs = [make_job("a", 6.0), make_job("b", 3.0, sleep=0.3), make_job("c", 1.0)]
    jobs[0].done.parent.mkdir()
    jobs[0].done.touch()
    under_way = Job({**jobs[1].spec, "out": str(tmp_path / "b")}, jobs[1].file, jobs[1].done, 3.0, steps=100)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "metrics.jsonl").write_text('{"step": 20, "loss": 1}\n{"step": 40, "lo')
    jobs[1] = Job({**under_way.spec, "out": str(jobs[1].done)}, under_way.file, under_way.done, 3.0)
    LocalLauncher(1, on_progress=seen.append).run(jobs)
    assert [progress.total for progress in seen] == [3] * len(seen)
    assert seen[0].done == 1
    assert seen[0].part == pytest.approx(0.6)
    assert (seen[-1].done, seen[-1].part, seen[-1].seconds_left) == (3, 1.0, 0.0)
    assert [progress.part for progress in seen] == sorted(progress.part for progress in seen)
    assert 0.3 < seen[-1].device_seconds < seen[-1].seconds + 0.1
    assert room._part(under_way) == 0.2
    assert room._part(replace(under_way, first=10)) == pytest.approx(1 / 9)
    assert room._part(replace(under_way, first=50)) == 0.0


def test_progress_of_nothing(tmp_path: Path):
    seen: list[Progress] = []
    assert LocalLauncher(2, on_progress=seen.append).run([]) < 1
    assert seen == []
    assert room._part(Job({"out": str(tmp_path)}, tmp_path / "j", tmp_path / "r", 1.0, steps=5)) == 0.0


def test_an_interrupted_launcher_leaves_no_worker(make_job, tmp_path: Path):
    def interrupt(progress: Progress) -> None:
        if (tmp_path / "log").exists():
            raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        LocalLauncher(1, on_progress=interrupt).run([make_job("a", sleep=60)])
    assert time.monotonic() - before < 20
    assert_gone(starts(tmp_path))
