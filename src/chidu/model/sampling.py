"""How the next token is drawn from its logits. Shape: V vocabulary."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from chidu.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn. A temperature of 0 takes the likeliest one (greedy)."""

    temperature: float = 0.0
    top_k: int = 0
    """Draw among the k likeliest only; 0 means all."""
    top_p: float = 1.0
    """Draw among the smallest set of likeliest tokens that holds this much probability (1904.09751)."""
    min_p: float = 0.0
    """Draw among the tokens of at least this part of the likeliest one's probability (2407.01082)."""
    repetition_penalty: float = 1.0
    """Divide the logits of tokens seen before by this where they are positive, multiply where not (1909.05858)."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges; InputError where one is left."""
        if not 0 <= self.temperature < math.inf:
            raise InputError(f"--temperature must be a number that is not negative, not {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"--top-k must not be negative, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p must lie in (0, 1], not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise InputError(f"--min-p must lie in [0, 1], not {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise InputError(f"--repetition-penalty must be a positive number, not {self.repetition_penalty}")

    @property
    def greedy(self) -> bool:
        """Whether nothing but the logits decides."""
        return self.temperature == 0 and self.repetition_penalty == 1


def choose(logits_V: Tensor, sampling: Sampling, generator: torch.Generator, seen: Collection[int] = ()) -> int:
    """Choose a token from its logits, [V]; `seen` are the tokens of the text so far, for the repetition penalty."""
    if sampling.repetition_penalty != 1 and seen:
        logits_V = penalise(logits_V, sampling.repetition_penalty, seen)
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    ordered, order = torch.sort(logits_V.float() / sampling.temperature, descending=True)
    probabilities = ordered.softmax(dim=-1)
    keep = probabilities.cumsum(dim=-1) - probabilities < sampling.top_p
    keep &= probabilities >= sampling.min_p * probabilities[0]
    if sampling.top_k:
        keep[sampling.top_k :] = False
    drawn = torch.multinomial(probabilities * keep, 1, generator=generator)
    return int(order[drawn])


def penalise(logits_V: Tensor, penalty: float, seen: Collection[int]) -> Tensor:
    """Make tokens seen before less likely, [V] (1909.05858, section 4.1, by sign as in its published code)."""
    places = torch.tensor(sorted(set(seen)), device=logits_V.device)
    there = logits_V[places]
    return logits_V.index_copy(0, places, torch.where(there > 0, there / penalty, there * penalty))
