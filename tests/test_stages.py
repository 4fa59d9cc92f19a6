"""What a verb finds, and what it refuses to touch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import chidu.cli
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError, Refusal
from chidu.forecast.sparing import read_sparing
from chidu.ladder.coordinates import Shapes
from chidu.ladder.design import Corpus, design
from chidu.ladder.gates import read_gates
from chidu.ladder.launcher import Progress
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.recipe import Recipe
from chidu.runs import Run
from chidu.stages import (
    confirm_stage,
    export_stage,
    gate_stage,
    ladder_stage,
    plan_stage,
    train_stage,
)
from chidu.store import read_json, write_json

SPEED = Speed(per_step=0.0, per_token=1e-5, per_flop=1e-10, overhead=0.1, workers=2, device="cpu")


class Nobody:
    """Looks on and remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def share(self, what: str) -> Callable[[str, float], None]:
        return lambda doing, part: None

    def work(self, what: str) -> Callable[[Progress], None]:
        return lambda progress: None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    lines = (f"line {i} of {i * i % 97} made of {i % 13} and {i * 7 % 31}\n" for i in range(20_000))
    (folder / "text.txt").write_text("".join(lines), encoding="utf-8")
    return prepare([str(folder / "text.txt")], folder / "set", vocab_size=257)


def plan_of(data: Dataset) -> Plan:
    """The smallest ladder, with probes."""
    corpus = Corpus(data.id, data.vocab_size, 10**9, 10_000)
    return design(200.0, corpus, SPEED)


def finish(lab: Path, name: str, flops: float, status: str = "done") -> Path:
    """A run's folder that looks finished."""
    run = Run(run=name, loss=3.0, params=1e6, tokens=flops / 6e6, flops=flops, status=status)
    write_json(lab / "runs" / name / "run.json", run.to_json())
    return lab / "runs" / name


def test_an_export_spares_other_files(tmp_path: Path) -> None:
    run = finish(tmp_path, "one", 1e12)
    (run / "checkpoint-5").mkdir()
    Tokenizer().save(run / "tokenizer.json")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="holds other files"):
        export_stage(run, tmp_path / "mine")
    with pytest.raises(InputError, match="holds other files"):
        export_stage(run, run)  # a run's folder has a config.json too
    assert (run / "run.json").exists()


def test_a_plan_answers_one_question(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chidu.stages.measure_speed", lambda *arguments: pytest.fail("measured again"))
    plan = plan_of(data)
    plan.save(tmp_path / "plan.json")
    watch = Nobody()
    assert plan_stage(tmp_path / "plan.json", data, 200.0, watch, seed=0) == plan
    assert watch.said == []
    for budget, seed, spare in ((300.0, 0, 0.0), (200.0, 1, 0.0), (200.0, 0, 0.02)):
        with pytest.raises(InputError, match="was made for"):
            plan_stage(tmp_path / "plan.json", data, budget, watch, seed=seed, spare=spare)
    with pytest.raises(InputError, match="--spare 2"):
        plan_stage(tmp_path / "plan.json", data, 200.0, watch, spare=2.0)


def test_a_ladder_says_what_it_leaves_out(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal while it is climbed, and at its end; here every run is trained already."""
    plan = replace(design(400.0, Corpus(data.id, data.vocab_size, 10**9, 10_000), SPEED), target="10x", spare=0.3)
    plan.save(tmp_path / "plan.json")
    for i, rung in enumerate(plan.rungs):
        loss = (1.8 + 30 / rung.params**0.3 + 60 / rung.tokens**0.3) * (1 + 0.001 * (i % 3))
        run = Run(run=rung.config.id, loss=loss, params=float(rung.params), tokens=float(rung.tokens), seed=i)
        write_json(tmp_path / "runs" / rung.config.id / "run.json", run.to_json())
    line = ["ladder", tmp_path / "plan.json", "--data", data.folder, "--out", tmp_path]
    assert chidu.cli.main([str(word) for word in line]) == 0
    out, err = capsys.readouterr()
    sparing = read_sparing(plan, tmp_path)
    assert sparing is not None
    assert sparing.spared
    kept = len(plan.law_runs) - len(sparing.spared)
    assert out == f"{kept} runs in {tmp_path / 'runs.csv'}, {len(sparing.spared)} left out\n"
    assert str(sparing) in err


def test_a_ladder_is_of_its_own_data(data: Dataset, tmp_path: Path) -> None:
    plan = replace(plan_of(data), data="another")
    with pytest.raises(InputError, match="the plan was made for data set another"):
        ladder_stage(plan, data.folder, tmp_path / "lab", Nobody())
    assert not (tmp_path / "lab").exists()


def put_data(data: Dataset, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set in its lab, and a coordinate check of few and small models."""
    (lab / "data").symlink_to(data.folder)
    monkeypatch.setattr("chidu.ladder.gates.SHAPES", Shapes(widths=(16, 32), depths=(2, 4), width=16, steps=2, seeds=1))


def test_without_probes_coordinates_are_checked(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_data(data, tmp_path, monkeypatch)
    plan = plan_of(data)
    bare = replace(plan, rungs=tuple(rung for rung in plan.rungs if rung.role != "probe"))
    gates = gate_stage(bare, tmp_path, Nobody())
    assert (gates.probes, gates.drift) == ((), 0)
    assert gates.coordinates is not None
    assert set(gates.coordinates.warnings) <= set(gates.warnings)
    assert not (tmp_path / "runs").exists()
    assert read_json(tmp_path / "gates.json")["coordinates"]["recipe"] == plan.recipe.name
    assert read_gates(bare, tmp_path) == gates


def test_trained_probes_are_only_read(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_data(data, tmp_path, monkeypatch)
    plan, watch = plan_of(data), Nobody()
    assert any(rung.role == "probe" for rung in plan.rungs)
    for rung in plan.rungs:
        loss = 3.0 + 0.01 * abs(rung.config.learning_rate - plan.recipe.embedding_rate)
        run = Run(run=rung.config.id, loss=loss, params=float(rung.params), tokens=float(rung.tokens))
        write_json(tmp_path / "runs" / rung.config.id / "run.json", run.to_json())
    gates = gate_stage(plan, tmp_path, watch)
    assert gates.drift == pytest.approx(0, abs=0.1)
    assert (tmp_path / "gates.json").exists()
    assert watch.said == [str(gates)]


def test_a_target_that_diverged_cannot_be_scored(data: Dataset, tmp_path: Path) -> None:
    plan = plan_of(data)
    target = plan.rungs[0].config
    run = Run(run=target.id, loss=float("nan"), status="diverged")
    write_json(tmp_path / "runs" / target.id / "run.json", run.to_json())
    with pytest.raises(Refusal, match="diverged"):
        confirm_stage(target, plan, tmp_path, Nobody())


@pytest.mark.parametrize(
    ("width", "config", "words"),
    [(33, None, "--width 33: the recipe has widths such as"), (16, "other", "the plan was made for data set none")],
)
def test_a_run_that_cannot_be(data: Dataset, tmp_path: Path, width: int, config: str | None, words: str) -> None:
    file = tmp_path / "config.json"
    other: TrainConfig = Recipe().config(16, 1000, 257, "none")
    write_json(file, other.to_json())
    with pytest.raises(InputError, match=words):
        train_stage(
            data.folder,
            tmp_path / "run",
            Nobody(),
            config=file if config else None,
            width=width,
            tokens=1e4,
            device="cpu",
            threads=1,
            seed=0,
        )
    assert not (tmp_path / "run" / "run.json").exists()
