"""Small Transformers whose every weight is away from its start, so that no part is silent."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from chidu.config import ModelConfig
from chidu.model.transformer import Transformer

SMALL: dict[str, Any] = {
    "vocab_size": 61,
    "d_model": 24,
    "n_layer": 2,
    "n_head": 4,
    "n_kv_head": 2,
    "d_ff": 40,
    "context": 16,
    "residual_scale": 0.7,
    "logit_scale": 0.6,
}


@pytest.fixture(autouse=True)
def exact_arithmetic() -> Iterator[None]:
    """Undo what a training in the same process may have set."""
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(1)
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., ModelConfig]:
    """A small config with changes."""
    return lambda **changes: ModelConfig(**{**SMALL, **changes})


@pytest.fixture(scope="session")
def make_model(make_config: Callable[..., ModelConfig]) -> Callable[..., Transformer]:
    """A model with random weights everywhere, residual outputs and gains too."""

    @torch.no_grad()
    def make(**changes: Any) -> Transformer:
        model = Transformer(make_config(**changes)).eval()
        generator = torch.Generator().manual_seed(7)
        for weight in model.parameters():
            noise = torch.empty_like(weight).normal_(generator=generator)
            weight.copy_(1 + 0.3 * noise if weight.dim() == 1 else noise / weight.shape[1] ** 0.5)
        return model

    return make
