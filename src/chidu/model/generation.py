"""Continue a text: one token at a time, with the keys and values of the past kept (the KV cache).

Shapes: T prompt tokens, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chidu.errors import InputError
from chidu.model.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn. A temperature of 0 takes the likeliest one (greedy)."""

    temperature: float = 0.0
    top_k: int = 0
    """Draw among the k likeliest only; 0 means all."""
    top_p: float = 1.0
    """Draw among the smallest set of likeliest tokens that holds this much probability (1904.09751)."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges; InputError where one is left."""
        if not 0 <= self.temperature < math.inf:
            raise InputError(f"--temperature must be a number that is not negative, not {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"--top-k must not be negative, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p must lie in (0, 1], not {self.top_p}")


def choose(logits_V: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Choose a token from its logits, [V]."""
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    ordered, order = torch.sort(logits_V.float() / sampling.temperature, descending=True)
    probabilities = ordered.softmax(dim=-1)
    keep = probabilities.cumsum(dim=-1) - probabilities < sampling.top_p
    if sampling.top_k:
        keep[sampling.top_k :] = False
    drawn = torch.multinomial(probabilities * keep, 1, generator=generator)
    return int(order[drawn])


@torch.no_grad()
def generate(
    model: Transformer,
    prompt: Sequence[int],
    *,
    tokens: int,
    stop: int | None = None,
    sampling: Sampling = Sampling(),
) -> Iterator[int]:
    """Yield up to `tokens` new token ids after the prompt, ending before `stop` (end of text) if it is drawn.

    When the context is full, the model starts again on its later half, without a cache of what was dropped.

    Raises:
        InputError: the prompt is empty.
    """
    if not prompt:
        raise InputError("the prompt is empty; give some text to continue")
    device = model.embedding.weight.device
    generator = torch.Generator().manual_seed(sampling.seed)
    context = model.config.context
    seen = list(prompt)
    fed, caches = seen[-context:], None
    for _ in range(tokens):
        logits, caches = model.step(torch.tensor([fed], device=device), caches)
        token = choose(logits[0, -1].cpu(), sampling, generator)
        if token == stop:
            return
        yield token
        seen.append(token)
        full = caches[0][0].shape[2] >= context
        fed, caches = (seen[-max(1, context // 2) :], None) if full else ([token], caches)
