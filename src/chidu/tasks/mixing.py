"""A decoder's probabilities mixed with those of two n-gram models: of the training text, and of the text itself.

A small Transformer sees a few hundred tokens and has no room for what it read once; n-gram models remember every
phrase, and one that learns as it reads knows the names of this very text. Each token's probability is a weighted mean
of the three, so that it sums to one over the vocabulary. The weights depend on how long a context each n-gram model has
seen before (Jelinek & Mercer 1980) and are the most likely ones of the validation split, by expectation maximisation.
Shapes: K models, T tokens of all texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chidu.model.text import encode
from chidu.stats import Array
from chidu.tasks.baselines.adaptive import REACH, adaptive_log_probabilities
from chidu.tasks.baselines.ngram import NgramModel
from chidu.tasks.examination import thin
from chidu.tasks.example import Example, Prediction
from chidu.tasks.generation import fit_ngram
from chidu.tasks.predicting import token_nats
from chidu.tasks.tuned import Tuned

MEMBERS = ("the model", "n-grams of the training text", "n-grams of the text itself")
TEXTS = 60
"""Most texts of the validation split that the weights are fitted on."""
ENOUGH = 200
"""Tokens of a kind from which it has weights of its own."""
ROUNDS = 60


@dataclass(frozen=True, eq=False)
class Heard:
    """What the models say of each token of some texts."""

    logs_KT: Array
    kinds_T: NDArray[np.int64]
    """Which context lengths were seen, as one number."""
    sizes: tuple[int, ...]
    """Tokens of each text."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A decoder and its two n-gram models."""

    tuned: Tuned
    ngram: NgramModel
    overall_K: Array
    """Weights where a kind of token has none of its own."""
    weights: dict[int, Array]

    def answer(self, examples: Sequence[Example]) -> list[Prediction]:
        """The nats of each text; it writes nothing."""
        heard = listen(self.tuned, self.ngram, examples)
        rows = [self.weights.get(kind, self.overall_K) for kind in heard.kinds_T.tolist()]
        nats = -np.log((np.array(rows).T * np.exp(heard.logs_KT)).sum(axis=0))
        ends = np.cumsum(heard.sizes)[:-1]
        return [Prediction(text="", nats=float(part.sum())) for part in np.split(nats, ends)]

    def to_json(self) -> dict[str, float]:
        """The weights that hold where nothing better is known."""
        return dict(zip(MEMBERS, self.overall_K.tolist(), strict=True))


def fit_mixture(tuned: Tuned, train: Sequence[Example], valid: Sequence[Example]) -> Mixture:
    """Count the training texts, and fit the weights to validation texts.

    Raises:
        InputError: the model is no decoder.
    """
    ngram = fit_ngram(tuned.tokenizer, train)
    heard = listen(tuned, ngram, thin(list(valid), TEXTS))
    shares_KT = np.exp(heard.logs_KT)
    kinds, counts = np.unique(heard.kinds_T, return_counts=True)
    own = {
        int(kind): likeliest_weights(shares_KT[:, heard.kinds_T == kind])
        for kind, count in zip(kinds, counts, strict=True)
        if count >= ENOUGH
    }
    return Mixture(tuned, ngram, likeliest_weights(shares_KT), own)


def listen(tuned: Tuned, ngram: NgramModel, examples: Sequence[Example]) -> Heard:
    """What decoder, n-grams of the training text and n-grams of the text itself say of texts after end-of-text."""
    own = token_nats(tuned, [example.source for example in examples])
    columns, kinds = [], []
    for example, nats in zip(examples, own, strict=True):
        ids = np.array([tuned.tokenizer.eot, *encode(tuned.tokenizer, example.source)])
        trained, known = ngram.look_up(ids)
        adapted, reached = adaptive_log_probabilities(ids.tolist(), tuned.tokenizer.vocab_size)
        columns.append(np.stack([-nats, trained[1:], adapted]))
        kinds.append(known[1:] * (REACH + 1) + reached)
    return Heard(np.concatenate(columns, axis=1), np.concatenate(kinds), tuple(len(nats) for nats in own))


def likeliest_weights(shares_KT: Array) -> Array:
    """Weights of the mixture under which some tokens are likeliest, [K] (Dempster et al. 1977)."""
    weights_K = np.full(len(shares_KT), 1 / len(shares_KT))
    for _ in range(ROUNDS):
        blame = weights_K[:, None] * shares_KT
        weights_K = (blame / blame.sum(axis=0)).mean(axis=1)
    return weights_K
