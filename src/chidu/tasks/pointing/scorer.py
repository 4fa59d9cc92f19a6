"""Each unit of a passage is scored: does the answer begin here, end here, is this part of it.

Sums of hashed words and of numbers, and one hidden layer of the same: log p(begin) and log p(end) over the kept units
of a passage (the output layer of 1611.01603), p(inside) of each unit. Shapes: T units of a batch, K kept ones of a
passage, F hashed features, D numbers, H hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chidu.stats import Array
from chidu.tasks.pointing.clues import Clues
from chidu.tasks.pointing.hashing import BUCKETS
from chidu.tasks.pointing.reading import Whole

HIDDEN = 8
SEEN = 8
"""Units of training passages that a hashed feature must stand at to be learnt."""
EPOCHS = 2
BATCH = 32
"""Questions."""
TABLE_RATE, RATE = 0.05, 2e-3
"""Learning rates: Adagrad's of the hashed features, Adam's of the rest."""
DROPPED = 0.15
"""Part of the hashed features that is left out in training."""
INSIDE = 0.05
"""Weight of a unit's inside loss beside a question's two others."""
COUNTED = 256
"""Questions whose features are counted at once."""
MOST = 4.0
"""Spreads from the mean at which a number is cut."""

Span = tuple[int, int]
Read = tuple[Tensor, Tensor]
"""Of one passage, rows of the table, [K, F], and scaled numbers, [K, D]."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Of the kept units of one passage, [K] each."""

    begin_K: Array
    """log p."""
    end_K: Array
    inside_K: Array
    """p."""


class Scorer(nn.Module):
    """The layers, and which hashed features they know."""

    middle_D: Tensor
    spread_D: Tensor

    def __init__(self, clues: Sequence[Clues], seed: int) -> None:
        """Begin without knowledge of the answers."""
        super().__init__()
        counts = np.zeros(BUCKETS, np.int64)
        for at in range(0, len(clues), COUNTED):
            together = [one.hashes_KF.ravel() for one in clues[at : at + COUNTED]]
            counts += np.bincount(np.concatenate(together), minlength=BUCKETS)
        known = np.flatnonzero(counts >= SEEN)
        names = np.zeros(BUCKETS, np.int32)
        names[known] = np.arange(1, len(known) + 1)
        self.names = names
        numbers = np.concatenate([one.numbers_KD for one in clues])
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("middle_D", torch.from_numpy(numbers.mean(axis=0)))
        self.register_buffer("spread_D", torch.from_numpy(numbers.std(axis=0) + 1e-3))
        table = torch.randn(len(known) + 1, 3 + HIDDEN, generator=generator) * 0.02
        table[:, :3] = 0
        self.table = nn.Parameter(table)
        width = numbers.shape[1]
        self.inner = nn.Parameter(torch.randn(width, 3 + HIDDEN, generator=generator) / width**0.5)
        self.offset = nn.Parameter(torch.zeros(3 + HIDDEN))
        self.outer = nn.Parameter(torch.randn(HIDDEN, 3, generator=generator) / HIDDEN**0.5)
        self.generator = generator

    def read(self, clues: Clues) -> Read:
        """Rows of the table and scaled numbers of one passage."""
        numbers = (torch.from_numpy(clues.numbers_KD) - self.middle_D) / self.spread_D
        return torch.from_numpy(self.names[clues.hashes_KF]), numbers.clamp(-MOST, MOST)

    def forward(self, passages: Sequence[Read]) -> Tensor:
        """Logits of begin, end, inside, [T, 3]."""
        names_TF, numbers_TD = (torch.cat(part) for part in zip(*passages, strict=True))
        if self.training:
            names_TF = names_TF * (torch.rand(names_TF.shape, generator=self.generator) >= DROPPED)
        words = functional.embedding_bag(names_TF, self.table, mode="sum", padding_idx=0)
        both = words / (1 - DROPPED * self.training) + numbers_TD @ self.inner + self.offset
        return both[:, :3] + torch.tanh(both[:, 3:]) @ self.outer


def fit_scorer(clues: Sequence[Clues], spans: Sequence[Span | None], seed: int) -> Scorer:
    """Learn from answers: first and last unit of the passage; a question without one teaches nothing."""
    scorer = Scorer(clues, seed)
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.Adagrad([scorer.table], lr=TABLE_RATE, initial_accumulator_value=1e-3),
        torch.optim.Adam([scorer.inner, scorer.offset, scorer.outer], lr=RATE),
    ]
    known = [(scorer.read(one), one.kept_K, span) for one, span in zip(clues, spans, strict=True) if span]
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = rng.permutation(len(known))
        for at in range(0, len(order), BATCH):
            passages, kept, right = zip(*(known[i] for i in order[at : at + BATCH]), strict=True)
            loss = sum_losses(scorer(passages), kept, right) / len(passages)
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimiser in optimisers:
                optimiser.step()
    return scorer.eval()


def sum_losses(logits_T3: Tensor, kept: Sequence[Whole], spans: Sequence[Span]) -> Tensor:
    """Cross-entropy of where each answer begins and ends, and weighted that of which units it holds.

    Where the first or last unit of an answer is not among the kept ones, that part is left out.
    """
    losses = []
    for own_K3, kept_K, span in zip(logits_T3.split([len(one) for one in kept]), kept, spans, strict=True):
        held = torch.from_numpy(((kept_K >= span[0]) & (kept_K <= span[1])).astype(np.float32))
        losses.append(INSIDE * functional.binary_cross_entropy_with_logits(own_K3[:, 2], held, reduction="sum"))
        for column, unit in enumerate(span):
            for place in np.flatnonzero(kept_K == unit):
                losses.append(torch.logsumexp(own_K3[:, column], 0) - own_K3[place, column])
    return torch.stack(losses).sum()


@torch.no_grad()
def score(scorer: Scorer, clues: Sequence[Clues]) -> list[Scores]:
    """Score every kept unit."""
    out = []
    for one in clues:
        own = scorer([scorer.read(one)])
        begin, end = torch.log_softmax(own[:, :2], 0).numpy().T
        out.append(Scores(begin, end, torch.sigmoid(own[:, 2]).numpy()))
    return out
