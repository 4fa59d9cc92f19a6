"""Simple methods that choose among continuations: a guess, and what an n-gram model finds likeliest."""

from collections.abc import Sequence

import numpy as np

from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.tokenizer import Tokenizer
from chidu.tasks.baselines.baseline import Answerer, Baseline
from chidu.tasks.baselines.ngram import ORDER, NgramModel
from chidu.tasks.example import Example, Prediction


def fit_guess(train: Sequence[Example]) -> Answerer:
    """Every choice as likely as the others."""
    return lambda examples: [rated(example, [0.0] * len(example.choices)) for example in examples]


GUESS = Baseline("guess", fit_guess, trained=False)


def ngram_choice(tokenizer: Tokenizer | HubTokenizer | None) -> Baseline:
    """The choice that an n-gram model of the training text finds likeliest; of bytes where there is no tokenizer."""
    unit, tokens = "tokens" if tokenizer else "bytes", tokenizer or Tokenizer()

    def fit(train: Sequence[Example]) -> Answerer:
        texts = [example.source + (example.targets[0] if example.targets else "") for example in train]
        parts = [np.array([tokens.eot, *tokens.encode(text)]) for text in texts]
        model = NgramModel.fit(np.concatenate([*parts, [tokens.eot]]), tokens.vocab_size)
        return lambda examples: _rate(model, tokens, examples)

    return Baseline(f"{ORDER}-gram model of {unit}", fit)


def _rate(model: NgramModel, tokenizer: Tokenizer | HubTokenizer, examples: Sequence[Example]) -> list[Prediction]:
    """All choices of all examples in one go, each after the last tokens of its prompt."""
    pieces, lengths = [], []
    for example in examples:
        prompt = [*[tokenizer.eot] * ORDER, *map(int, tokenizer.encode(example.source))][-ORDER:]
        for choice in example.choices:
            ids = [int(token) for token in tokenizer.encode(choice)]
            pieces += [*prompt, *ids]
            lengths.append(len(ids))
    logs = model.log_probabilities(np.array(pieces))
    ends = np.cumsum(np.array(lengths) + ORDER)
    nats = iter([-float(logs[end - n : end].sum()) for end, n in zip(ends, lengths, strict=True)])
    return [rated(example, [next(nats) for _ in example.choices]) for example in examples]


def rated(example: Example, nats: Sequence[float]) -> Prediction:
    """What answers a question: the likeliest choice, and how likely each is."""
    best = min(range(len(nats)), key=lambda i: nats[i])
    return Prediction(text=example.choices[best], choice_nats=tuple(nats))
