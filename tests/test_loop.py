"""The whole loop on a tiny ladder, then every verb on the lab that it left."""

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import chidu.cli
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.errors import InputError
from chidu.forecast.ledger import verify
from chidu.ladder.coordinates import Shapes
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.laws.fit import Fit, fit
from chidu.loop import choose_target, parse_target
from chidu.metrics import read_scores
from chidu.runs import Run, RunTable
from chidu.store import read_json

ROOT = Path(__file__).parents[1]
RECIPE = Recipe(context=64, batch_factor=3.0)
SPEED = Speed(per_step=0.0, per_token=1e-5, per_flop=1e-10, overhead=3.0, workers=2, device="cpu")
RUNGS = ((16, 8_000), (16, 20_000), (16, 40_000), (24, 8_000), (24, 20_000), (24, 40_000))
BUDGET = 60.0
SEED = 3

Cli = Callable[..., tuple[int, str, str]]


def text(size: int) -> str:
    """Made-up sentences of about so many bytes, in which words are of unequal use."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 7))) for _ in range(200)]
    line = [" ".join(rng.choices(words, weights=[1 / (i + 1) for i in range(200)], k=12)) for _ in range(size // 60)]
    return ".\n".join(line)


def plan_of(data: Dataset) -> Plan:
    """A ladder of six runs that take a second each."""
    configs = [RECIPE.config(width, tokens, data.vocab_size, data.id, SEED) for width, tokens in RUNGS]
    rungs = tuple(Rung(config, SPEED.seconds(config)) for config in configs)
    return Plan(RECIPE, data.id, BUDGET, 30.0, SPEED, rungs, SEED)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = chidu.cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module", autouse=True)
def small_gate() -> Iterator[None]:
    """A coordinate check of few and small models."""
    with pytest.MonkeyPatch.context() as patch:
        small = Shapes(widths=(16, 32), depths=(2, 4), width=16, steps=2, seeds=1)
        patch.setattr("chidu.ladder.gates.SHAPES", small)
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab whose plan is there already, and tiny; `chidu run --confirm` does the rest."""
    folder = tmp_path_factory.mktemp("loop")
    (folder / "text.txt").write_text(text(250_000), encoding="utf-8")
    data = prepare([str(folder / "text.txt")], folder / "lab" / "data", vocab_size=257)
    plan_of(data).save(folder / "lab" / "plan.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # where other tests keep the cores busy, waiting threads only harm
        assert chidu.cli.main(line(folder / "lab")) == 0
    return folder / "lab"


def line(lab: Path) -> list[str]:
    options = ["--budget", f"{BUDGET:.0f}s", "--target", "2x", "--vocab-size", "257", "--seed", f"{SEED}", "--confirm"]
    return ["run", str(lab.parent / "text.txt"), "--out", str(lab), *options, "--json"]


def test_the_loop_ends_with_a_scored_forecast(lab: Path) -> None:
    (receipt,) = [path for path in (lab / "receipts").glob("*.json") if "outcome" not in path.name]
    (outcome,) = (lab / "receipts").glob("*.outcome-*.json")
    forecast, scored = read_json(receipt)["forecast"], read_json(outcome)
    assert read_json(lab / "forecast.json")["receipt"] == receipt.stem == scored["receipt"]
    assert forecast["distance"] == pytest.approx(2, rel=0.1)
    assert scored["error"] == pytest.approx(forecast["median"] / scored["loss"] - 1)
    assert scored["inside"] == (forecast["interval"]["lower"] <= scored["loss"] <= forecast["interval"]["upper"])
    assert len((lab / "runs.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(RUNGS)


def test_again_nothing_is_done(lab: Path, cli: Cli) -> None:
    def fixed() -> dict[str, tuple[int, bytes]]:
        """What a rerun must leave alone, with the times of its files."""
        kept = [path for folder in ("data", "runs", "receipts") for path in (lab / folder).rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in kept if "outcome" not in path.name}

    before, table = fixed(), (lab / "runs.csv").read_bytes()
    code, out, _ = cli(*line(lab))
    assert code == 0
    assert isinstance(json.loads(out), dict)
    assert fixed() == before
    assert (lab / "runs.csv").read_bytes() == table
    assert len(list((lab / "receipts").glob("*.json"))) == len(verify(lab / "receipts")) == 2


def test_every_file_of_a_lab_is_documented(lab: Path) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("## The lab folder")[2], re.M)
    known = []
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        known += [
            first,
            *[name if "/" in name else f"{first.rpartition('/')[0]}/{name}".lstrip("/") for name in others],
        ]
    wild = {"ID": "[0-9a-f]{12}", "HASH": "[0-9a-f]{12}", "STEP": r"\d+", "NNNNN": r"\d{5}", "NAME": r"[\w.-]+"}
    patterns = []
    for name in known:
        pattern = re.escape(name).replace(r"\{train,passages,unseen\}", "(train|passages|unseen)")
        pattern = re.sub("|".join(wild), lambda found: wild[found[0]], pattern)
        patterns.append(pattern + (".*" if name.endswith("/") else ""))
    for path in (path for path in lab.rglob("*") if path.is_file()):
        inside = path.relative_to(lab).as_posix()
        assert any(re.fullmatch(pattern, inside) for pattern in patterns), f"{inside} is not in docs/architecture.md"


def test_verbs_read_the_lab(lab: Path, cli: Cli, tmp_path: Path) -> None:
    for arguments in (
        ["report", lab, "--out", tmp_path / "report.html"],
        ["fit", lab / "runs.csv"],
        ["forecast", lab / "runs.csv", "--params", "50k", "--tokens", "200k"],
        ["ladder", lab / "plan.json", "--data", lab / "data", "--out", lab],
        ["generate", lab, "the ", "--tokens", "5"],
        ["export", lab, "--out", tmp_path / "exported"],
    ):
        code, out, err = cli(*arguments, "--json")
        assert (code, err) == (0, ""), arguments
        json.loads(out)
    assert (tmp_path / "report.html").stat().st_size > 0
    assert (tmp_path / "exported" / "model.safetensors").exists()


def test_every_run_is_examined_and_the_score_forecast(lab: Path, cli: Cli) -> None:
    runs = (lab / "runs.csv").read_bytes()
    code, out, err = cli("eval", lab, "continuation", "--ladder", "--limit", "200", "--json")
    made = read_scores(lab)[0]
    assert (made.name, made.count, len(made.scores)) == ("continuation", 166, len(RUNGS) + 1)
    studies = json.loads((lab / "summary.json").read_text(encoding="utf-8"))["metrics"]
    first = next(study for study in studies if study["metric"] == "accuracy")
    assert first["chance"] == pytest.approx(0.25)
    assert len(first["values"]) == len(RUNGS)
    assert first["landed"]["value"] == made.scores[read_target(lab)]["accuracy"]["value"]
    if first["refused"]:  # six runs of a second each may well be at chance
        assert (code, out) == (3, "")
        assert first["refused"] in err
    else:
        assert (code, err) == (0, "")
        assert json.loads(out)["metrics"] == studies
    assert "What it will be able to do" in (lab / "report.html").read_text(encoding="utf-8")
    assert (lab / "runs.csv").read_bytes() == runs
    table = (lab / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith(runs.decode().splitlines()[0] + ",continuation_accuracy,")
    assert len(table) == 1 + len(RUNGS)
    scores = {path: path.stat().st_mtime_ns for path in (lab / "metrics").rglob("*.json")}
    cli("eval", lab, "continuation", "--ladder", "--limit", "200")
    assert {path: path.stat().st_mtime_ns for path in (lab / "metrics").rglob("*.json")} == scores
    code, out, err = cli(
        "forecast", lab / "metrics.csv", "--metric", "continuation_bits_per_byte", "--chance", "8", "--best", "0",
        "--params", "50k", "--tokens", "200k", "--json",
    )  # fmt: skip
    assert code in (0, 3), err
    if code == 0:
        answer = json.loads(out)
        assert answer["interval"]["lower"] < answer["median"] < answer["interval"]["upper"]


def read_target(lab: Path) -> str:
    """Id of the target's run."""
    return TrainConfig.from_json(read_json(lab / "forecast.json")["config"]).id


def test_a_lab_of_another_question_is_not_overwritten(lab: Path, cli: Cli) -> None:
    other = line(lab)
    other[other.index("--seed") + 1] = "4"
    plan = (lab / "plan.json").read_bytes()
    code, out, err = cli(*other)
    assert (code, out) == (2, "")
    assert "was made for" in err
    assert (lab / "plan.json").read_bytes() == plan


# ---- which target


@pytest.mark.parametrize(
    ("words", "flops"), [("10x", 1e13), ("2.5x", 2.5e12), ("1e15", 1e15), ("3e12", 3e12), ("1x", 1e12)]
)
def test_a_target_in_words(words: str, flops: float) -> None:
    assert parse_target(words, 1e12) == pytest.approx(flops)


@pytest.mark.parametrize("words", ["foo", "x", "", "10", "10y", "-3x", "0x", "nanx", "inf", "1e999"])
def test_no_target_in_words(words: str) -> None:
    if words == "10":
        assert parse_target(words, 1e12) == 10  # ten FLOPs: a number is taken as it stands
        return
    with pytest.raises(InputError, match=f"--target {re.escape(words)}: give a multiple"):
        parse_target(words, 1e12)


@pytest.fixture(scope="module")
def law() -> Fit:
    """A law whose optimum is about 20 tokens per parameter."""
    runs = []
    for flops in (1e12, 4e12, 1.6e13):
        for ratio in (5.0, 10.0, 20.0, 40.0, 80.0):
            params = math.sqrt(flops / 6 / ratio)
            loss = 1.8 + 60 / params**0.35 + 60 * 20**0.35 / (ratio * params) ** 0.35
            runs.append(Run(params=params, tokens=ratio * params, loss=loss))
    return fit(RunTable(tuple(runs)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text(text(60_000), encoding="utf-8")
    return prepare([str(folder / "text.txt")], folder / "set", vocab_size=257)


class Plenty:
    """A data set as the choice of a target sees it, of any size."""

    def __init__(self, data: Dataset, train_tokens: float) -> None:
        self.id, self.vocab_size, self.train_tokens = data.id, data.vocab_size, train_tokens


def chosen(law: Fit, data: Dataset, train_tokens: float, flops: float) -> Rung:
    target = choose_target(law, plan_of(data), Plenty(data, train_tokens), flops)  # type: ignore[arg-type]
    return Rung(target, 0.0)


def test_the_target_spends_its_compute_at_the_optimum(law: Fit, data: Dataset) -> None:
    target = chosen(law, data, 1e12, 1e14)
    assert 1 <= target.flops / 1e14 < 1.1
    assert 7 < target.tokens / target.params < 60
    assert target.config.seed == SEED
    assert target.config.data == data.id


def test_the_target_avoids_repeated_text_where_that_is_cheap(law: Fit, data: Dataset) -> None:
    free = chosen(law, data, 1e12, 1e14)
    scarce = chosen(law, data, 0.9 * free.tokens, 1e14)
    assert scarce.params > free.params
    assert scarce.tokens <= 1.05 * 0.9 * free.tokens
    assert 1 <= scarce.flops / 1e14 < 1.1


def test_the_target_repeats_text_where_nothing_else_helps(law: Fit, data: Dataset) -> None:
    free = chosen(law, data, 1e12, 1e14)
    assert chosen(law, data, free.tokens / 50, 1e14).config == replace(free.config)
