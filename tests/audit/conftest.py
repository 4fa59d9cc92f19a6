"""Small models with a byte tokenizer, every weight away from its start."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from chidu.config import ModelConfig
from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.model.pretrained import Pretrained
from chidu.model.transformer import Transformer

TOKENIZER = Tokenizer(((b" ", b"t"), (b"h", b"e"), (b" t", b"he"), (b"\xe5", b"\xad"), (b"\xe5\xad", b"\xa6")))


@pytest.fixture(scope="session")
def load() -> Callable[..., Pretrained]:
    """A model as if it had been loaded, with changes of its config."""

    @torch.no_grad()
    def make(**changes: Any) -> Pretrained:
        specials = Specials(TOKENIZER.vocab_size, TOKENIZER.eot, blanks=2)
        sizes: dict[str, Any] = {"d_model": 16, "n_layer": 2, "n_head": 2, "n_kv_head": 2, "d_ff": 24, "context": 48}
        config = ModelConfig(**{"vocab_size": specials.vocab_size, **sizes, **changes})
        model = Transformer(config).eval()
        generator = torch.Generator().manual_seed(5)
        for weight in model.parameters():
            noise = torch.empty_like(weight).normal_(generator=generator)
            weight.copy_(1 + 0.2 * noise if weight.dim() == 1 else 1.5 * noise / weight.shape[1] ** 0.5)
        start = TOKENIZER.eot if config.kind == "encoder_decoder" else None
        return Pretrained(model, TOKENIZER, (TOKENIZER.eot,), start, specials.mask, specials)

    return make
