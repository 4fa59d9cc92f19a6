"""A data set of made-up sentences and a model that learns them in seconds."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from chidu.config import ModelConfig, TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.training.train import Machine

QUIET = Machine(checkpoint_seconds=1e9, tensorboard=False)


@pytest.fixture(autouse=True)
def restored_torch() -> Iterator[None]:
    """Put back what a training sets for its process."""
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """About 60 kB in 60 documents; no test changes it."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("made")
    nouns, verbs = ("river", "engine", "market", "teacher", "island"), ("follows", "measures", "crosses", "holds")

    def sentence() -> str:
        return f"The {rng.choice(nouns)} {rng.choice(verbs)} the {rng.choice(nouns)} {rng.randrange(1000)} times."

    texts = ["\n".join(sentence() for _ in range(25)) for _ in range(60)]
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return prepare([str(folder / "text.jsonl")], folder / "data", vocab_size=300)


@pytest.fixture(scope="session")
def make_config(dataset: Dataset) -> Callable[..., TrainConfig]:
    """A short run with changes; those named as a field of the model change the model."""
    model: dict[str, Any] = {
        "vocab_size": dataset.vocab_size,
        "d_model": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_kv_head": 1,
        "d_ff": 32,
        "context": 32,
        "logit_scale": 0.5,
    }
    run: dict[str, Any] = {
        "data": dataset.id,
        "tokens": 12 * 256,
        "batch_tokens": 256,
        "learning_rate": 0.02,
        "hidden_learning_rate": 0.01,
        "accumulate": 2,
    }

    def make(**changes: Any) -> TrainConfig:
        inner = {name: value for name, value in changes.items() if name in ModelConfig.__dataclass_fields__}
        outer = {name: value for name, value in changes.items() if name not in inner}
        return TrainConfig(model=ModelConfig(**{**model, **inner}), **{**run, **outer})

    return make


@pytest.fixture(scope="session")
def quiet() -> Machine:
    """One thread, no checkpoint on the way, no TensorBoard."""
    return QUIET
