import contextlib
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chidu.data.dataset import Dataset
from chidu.errors import InputError, Refusal
from chidu.ladder.climb import Verdict, check_data, climb, load_run, trained, training_job, training_jobs
from chidu.ladder.gates import gate_rungs
from chidu.ladder.launcher import Job, LocalLauncher, Progress
from chidu.ladder.plan import Plan
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import with_shorter
from chidu.store import read_json
from chidu.tables.read import read_runs

CLIMB = """
import sys
from pathlib import Path
from chidu.ladder.climb import climb
from chidu.ladder.launcher import LocalLauncher
from chidu.ladder.plan import Plan
lab = Path(sys.argv[1])
climb(Plan.load(lab / "plan.json"), Path(sys.argv[2]), lab, LocalLauncher(2), checkpoint_seconds=0)
"""


class Idle(LocalLauncher):
    """Has every run done already; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__(1)
        object.__setattr__(self, "rounds", [])

    def run(self, jobs: list[Job]) -> float:
        self.rounds.append([job.done.parent.name for job in jobs])
        return 0.0


def test_a_tiny_ladder_from_end_to_end(undisturbed: Path, tiny_plan: Plan):
    table = read_runs(undisturbed / "runs.csv")
    assert [run.run for run in table] == [rung.config.id for rung in tiny_plan.rungs]
    for run, rung in zip(table, tiny_plan.rungs, strict=True):
        assert (run.params, run.tokens, run.flops) == (rung.params, rung.tokens, rung.flops)
        assert (run.d_model, run.seed) == (rung.config.model.d_model, rung.config.seed)
        assert 0.5 < run.loss < math.log(300) - 1
        recorded = load_run(rung.config, undisturbed)
        assert (recorded.loss, recorded.loss_se) == (run.loss, run.loss_se)
    assert trained(tiny_plan.rungs, undisturbed) == list(tiny_plan.rungs)
    assert not list(undisturbed.rglob("*.tmp"))


def test_a_rerun_trains_nothing_and_writes_the_same_table(undisturbed: Path, tiny_plan: Plan, dataset: Dataset):
    before = (undisturbed / "runs.csv").read_bytes()
    (undisturbed / "runs.csv").unlink()
    seen: list[Progress] = []
    table = climb(tiny_plan, dataset.folder, undisturbed, LocalLauncher(2, on_progress=seen.append))
    assert (undisturbed / "runs.csv").read_bytes() == before
    assert seen == []
    assert (len(table), table.set_aside) == (2, ())


def test_a_job_says_all_that_a_worker_needs(tiny_plan: Plan, tmp_path: Path):
    rung = tiny_plan.rungs[0]
    job = training_job(rung, tmp_path / "data", tmp_path, 5.0)
    assert job.spec == {
        "verb": "train",
        "config": rung.config.to_json(),
        "data": str(tmp_path / "data"),
        "out": str(tmp_path / "runs" / rung.config.id),
        "machine": {"checkpoint_seconds": 5.0},
    }
    assert (job.weight, job.steps) == (rung.seconds, rung.config.steps)


def test_diverged_runs_are_set_aside_and_probes_left_out(plan: Plan, write_run, tmp_path: Path):
    for place, rung in enumerate(plan.rungs):
        write_run(rung, None if place in (1, 3) else 4.0 - 0.01 * place)
    table = climb(plan, tmp_path / "data", tmp_path, Idle())
    assert [aside.run for aside in table.set_aside] == [plan.rungs[1].config.id, plan.rungs[3].config.id]
    assert [aside.row for aside in table.set_aside] == [3, 5]
    assert len(table) == len(plan.law_runs) - 2
    again = read_runs(tmp_path / "runs.csv")
    assert again.runs == tuple(run.with_flops() for run in table.runs)
    assert [(aside.row, aside.run) for aside in again.set_aside] == [(a.row, a.run) for a in table.set_aside]


def test_every_run_diverged(plan: Plan, write_run, tmp_path: Path):
    for rung in plan.rungs:
        write_run(rung, None)
    with pytest.raises(Refusal, match="every run of the ladder diverged"):
        climb(plan, tmp_path / "data", tmp_path, Idle())
    assert (tmp_path / "runs.csv").exists()


def test_rounds_go_from_cheap_to_dear_and_leave_out_what_they_are_told(plan: Plan, write_run, tmp_path: Path):
    """One run is left out for good, one comes back after the second round, and the rest of the plan is one round."""
    for rung in plan.rungs:
        write_run(rung, 4.0)
    amounts = sorted({round(math.log2(rung.flops / plan.largest_flops)) for rung in plan.rungs})
    cheap, middle, dear = (
        [r for r in plan.rungs if round(math.log2(r.flops / plan.largest_flops)) == a] for a in amounts
    )
    gone, back = middle[0].config.id, middle[1].config.id
    verdicts = [Verdict(frozenset({gone, back})), Verdict(frozenset({gone}), settled=True), Verdict(frozenset({gone}))]
    launcher, asked = Idle(), list[list[str]]()

    def spare(done: list[Rung]) -> Verdict:
        asked.append([rung.config.id for rung in done])
        return verdicts[len(asked) - 1]

    table = climb(plan, tmp_path / "data", tmp_path, launcher, spare=spare)
    rounds = [set(cheap), set(middle[2:]), {middle[1], *dear}]
    wanted = [{rung.config.id for part in rounds[: i + 1] for rung in part} for i in range(3)]
    assert [set(names) for names in launcher.rounds] == [set(names) for names in asked] == wanted
    assert [run.run for run in table] == [rung.config.id for rung in plan.law_runs if rung.config.id != gone]


def test_other_data(tiny_plan: Plan, dataset: Dataset):
    check_data(tiny_plan, dataset.id)
    with pytest.raises(InputError, match="the plan was made for data set"):
        check_data(tiny_plan, "0123456789ab")


@pytest.fixture
def lab(undisturbed: Path, tiny_plan: Plan, tmp_path: Path) -> Path:
    """A lab with a plan and nothing trained."""
    tiny_plan.save(tmp_path / "lab" / "plan.json")
    return tmp_path / "lab"


def start(lab: Path, data: Path) -> subprocess.Popen[str]:
    """Start a ladder in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CLIMB, str(lab), str(data)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_change(lab: Path, pattern: str, process: subprocess.Popen[str], seconds: float = 300) -> None:
    """Wait until other files of that pattern are in the lab than now, or for the end of the process."""
    now, until = set(lab.glob(pattern)), time.monotonic() + seconds
    while set(lab.glob(pattern)) == now and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def test_killed_at_random_it_ends_with_the_same_table(lab: Path, undisturbed: Path, dataset: Dataset):
    """Twice the launcher and its workers, at random moments of training; between them the launcher alone."""
    kill_and_finish(lab, dataset)
    assert (lab / "runs.csv").read_bytes() == (undisturbed / "runs.csv").read_bytes()
    assert_same_runs(lab, undisturbed)


def kill_and_finish(lab: Path, dataset: Dataset) -> None:
    moments, groups = random.Random(4), []
    for kill in (os.killpg, os.kill, os.killpg):
        process = start(lab, dataset.folder)
        groups.append(process.pid)
        wait_for_change(lab, "runs/*/checkpoint-*", process)
        time.sleep(moments.uniform(0, 0.4))
        with contextlib.suppress(ProcessLookupError):  # it may have come to its end
            kill(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(lab, dataset.folder)
    _, words = last.communicate(timeout=600)
    assert (last.returncode, words) == (0, "")
    for group in groups:  # an orphan may still be on its way out
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def assert_same_runs(lab: Path, undisturbed: Path) -> None:
    """The same files with the same weights and records, but for the times."""
    for mine, theirs in zip(sorted(lab.glob("runs/*")), sorted(undisturbed.glob("runs/*")), strict=True):
        assert mine.name == theirs.name
        names = {re.sub(r"tfevents.*", "", str(path.relative_to(mine))) for path in mine.rglob("*")}
        assert names == {re.sub(r"tfevents.*", "", str(path.relative_to(theirs))) for path in theirs.rglob("*")}
        weights = [next(run.glob("checkpoint-*/model.safetensors")).read_bytes() for run in (mine, theirs)]
        assert weights[0] == weights[1]
        records = [{**read_json(run / "run.json"), "extra": None} for run in (mine, theirs)]
        assert records[0] == records[1]


@pytest.fixture(scope="session")
def trunk_plan(tiny_plan: Plan, dataset: Dataset) -> Plan:
    """Three lengths of a width, with an average at the end, and a probe of the middle one."""
    short = tiny_plan.recipe.config(16, 3000, dataset.vocab_size, dataset.id)
    short = replace(short, warmup_tokens=2 * short.batch_tokens, average=0.1, decay_fraction=0.3)
    configs = [replace(short, tokens=short.tokens * times) for times in (4, 1, 2)]
    rungs = [Rung(config, config.tokens * 1e-4) for config in configs]
    probe = Rung(replace(configs[2], learning_rate=2 * short.learning_rate), 1.0, "probe")
    return replace(tiny_plan, rungs=(*rungs, probe))


@pytest.fixture(scope="session")
def grown(trunk_plan: Plan, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab of the trunk, the gate's runs first: the probe, and its partner after the shorter run."""
    lab = tmp_path_factory.mktemp("trunk")
    chosen = with_shorter(gate_rungs(trunk_plan), trunk_plan.rungs)
    LocalLauncher(2).run(training_jobs(trunk_plan, chosen, dataset.folder, lab, 0))
    assert trained(trunk_plan.rungs, lab) == list(trunk_plan.rungs[1:])
    assert len(list(lab.glob("runs/*/branch-*"))) == 2
    climb(trunk_plan, dataset.folder, lab, LocalLauncher(2), checkpoint_seconds=0)
    return lab


def test_a_trunk_ends_as_its_lone_runs(trunk_plan: Plan, grown: Path, dataset: Dataset, tmp_path: Path):
    began = [grown / "runs" / rung.config.id / "branch.json" for rung in trunk_plan.rungs]
    longest, shortest, middle, _ = trunk_plan.rungs
    assert [file.exists() for file in began] == [True, False, True, False]
    assert read_json(began[0])["from"] == middle.config.id
    assert read_json(began[2])["from"] == shortest.config.id
    assert not list(grown.glob("runs/*/branch-*"))
    LocalLauncher(2).run([training_job(rung, dataset.folder, tmp_path) for rung in (longest, middle)])
    for rung in (longest, middle):
        ours, alone = load_run(rung.config, grown), load_run(rung.config, tmp_path)
        assert replace(ours, extra={}) == replace(alone, extra={})


def test_a_killed_trunk_ends_with_the_same_table(trunk_plan: Plan, grown: Path, dataset: Dataset, tmp_path: Path):
    lab = tmp_path / "lab"
    trunk_plan.save(lab / "plan.json")
    kill_and_finish(lab, dataset)
    assert (lab / "runs.csv").read_bytes() == (grown / "runs.csv").read_bytes()
    assert_same_runs(lab, grown)


def test_jobs_of_a_trunk_know_their_place(trunk_plan: Plan, tmp_path: Path):
    longest, shortest, middle, probe = training_jobs(trunk_plan, trunk_plan.rungs, tmp_path / "data", tmp_path)
    assert "shared" not in probe.spec
    assert (shortest.spec["shared"], shortest.needs, shortest.first) == ({"keep": True}, None, 0)
    for job, before, keep in ((middle, shortest, True), (longest, middle, False)):
        branch = max(0, *(int(step) for step in re.findall(r"branch-(\d+)", job.spec["shared"]["start"])))
        assert job.needs == before.done.parent / f"branch-{branch}" / "state.json"
        assert job.spec["shared"] == {"keep": keep, "start": str(before.done.parent / f"branch-{branch}")}
        assert job.first == branch
        assert job.weight == pytest.approx(
            job.steps * (trunk_plan.rungs[0].seconds / longest.steps) * (1 - branch / job.steps)
        )
    assert shortest.urgency > middle.urgency > longest.urgency == longest.weight


def test_a_trunk_without_its_middle(trunk_plan: Plan, tmp_path: Path):
    """What is left out keeps no branch point: the next longer run starts from the next shorter one."""
    _, shortest, middle, _ = trunk_plan.rungs
    less = trunk_plan.without({middle.config.id})
    longest, short, _ = training_jobs(less, less.rungs, tmp_path / "data", tmp_path)
    assert longest.needs is not None
    assert shortest.config.id in longest.needs.parts
    assert longest.first == shortest.config.branch_step
    assert short.spec["shared"] == {"keep": True}


def test_a_damaged_checkpoint_ends_the_ladder_with_its_sentence(
    lab: Path, undisturbed: Path, tiny_plan: Plan, dataset: Dataset
):
    """Through worker and launcher; the other runs are there already."""
    shutil.copytree(undisturbed, lab, dirs_exist_ok=True)
    out = lab / "runs" / tiny_plan.rungs[0].config.id
    (out / "run.json").unlink()
    weights = next(out.glob("checkpoint-*/model.safetensors"))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors is damaged .* delete .* and rerun$") as caught:
        climb(tiny_plan, dataset.folder, lab, LocalLauncher(2))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
