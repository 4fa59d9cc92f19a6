"""A machine whose speed is made up, plans for it, and a tiny ladder that is really trained."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.ladder.climb import climb
from chidu.ladder.design import Corpus, design
from chidu.ladder.launcher import LocalLauncher
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Role, Rung


@pytest.fixture(scope="session")
def speed() -> Speed:
    """About a laptop's."""
    return Speed(per_step=0.0, per_token=1e-6, per_flop=2e-11, overhead=1.5, workers=2, device="cpu")


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """More text than any plan of an hour needs."""
    return Corpus("0123456789ab", vocab_size=1024, train_tokens=50_000_000, evaluation_tokens=200_000)


@pytest.fixture(scope="session")
def plan(corpus: Corpus, speed: Speed) -> Plan:
    """A ladder of ten minutes."""
    return design(600, corpus, speed)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """About 60 kB of made-up sentences."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("made")
    nouns = ("river", "engine", "market", "teacher", "island")
    texts = [
        "\n".join(f"The {rng.choice(nouns)} crosses the {rng.choice(nouns)} {rng.randrange(1000)}." for _ in range(40))
        for _ in range(45)
    ]
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return prepare([str(folder / "text.jsonl")], folder / "data", vocab_size=300)


@pytest.fixture(scope="session")
def tiny_plan(dataset: Dataset, speed: Speed) -> Plan:
    """Two runs of seconds, of two widths and seeds."""
    recipe = Recipe(context=64, batch_factor=0.5)

    def rung(width: int, tokens: int, seed: int = 0, role: Role = "rung") -> Rung:
        return Rung(recipe.config(width, tokens, dataset.vocab_size, dataset.id, seed), width * tokens * 1e-6, role)

    rungs = (rung(24, 4000), rung(16, 4000, 1, "replicate"))
    return Plan(recipe, dataset.id, 10.0, 5.0, speed, rungs, seed=0)


@pytest.fixture(scope="session")
def undisturbed(tiny_plan: Plan, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab of the tiny ladder."""
    lab = tmp_path_factory.mktemp("lab")
    climb(tiny_plan, dataset.folder, lab, LocalLauncher(2), checkpoint_seconds=0)
    return lab


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., None]:
    """Write a run of a plan into the lab at `tmp_path`, as if it had been trained."""

    def write(rung: Rung, loss: float | None) -> None:
        folder = tmp_path / "runs" / rung.config.id
        folder.mkdir(parents=True, exist_ok=True)
        status = "diverged" if loss is None else "done"
        run = {"run": rung.config.id, "status": status, "params": float(rung.params), "tokens": float(rung.tokens)}
        (folder / "run.json").write_text(json.dumps({**run, "loss": loss}))

    return write
