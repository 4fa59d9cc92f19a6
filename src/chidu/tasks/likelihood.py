"""Log-probabilities of continuations, many side by side: what choices are ranked by.

Shapes: B rows, T tokens, P predicted tokens of a batch, D model width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chidu.errors import InputError
from chidu.model.generation import pad
from chidu.model.transformer import Transformer
from chidu.tasks.lessons import by_length

BATCH_TOKENS = 8192
MOST_LOGITS = 1 << 24
"""Logits that are held at once: a large vocabulary has fewer rows of them."""
Tell = Callable[[str, float], None]
Ids = Sequence[int]


@dataclass(frozen=True)
class Continued:
    """How a model likes one continuation."""

    nats: float
    """Minus its log-probability after the context."""
    greedy: bool
    """Whether each of its tokens is the likeliest one there."""


@torch.inference_mode()
def rate_continuations(
    model: Transformer,
    pairs: Sequence[tuple[Ids, Ids]],
    *,
    start: int | None = None,
    tell: Tell = lambda doing, part: None,
) -> list[Continued]:
    """Rate continuations, each after its context; a context that is too long is cut on the left.

    Args:
        model: a decoder, or an encoder-decoder, which reads the context as its source.
        pairs: ids of context and continuation, neither empty.
        start: of an encoder-decoder, the id that a target starts with.
        tell: is told the progress.

    Raises:
        InputError: the model is an encoder, or a continuation is longer than its context.
    """
    config = model.config
    if config.kind == "encoder":
        raise InputError("an encoder sees both sides of a token and gives no text a probability; use a decoder")
    longest = max((len(continuation) for _, continuation in pairs), default=0)
    if longest > config.context:
        raise InputError(f"a continuation of {longest} tokens does not fit the model's context of {config.context}")
    rows = [_row(config.context, context, continuation, config.kind, start) for context, continuation in pairs]
    out: dict[int, Continued] = {}
    for batch in by_length([source + target for source, target in rows], BATCH_TOKENS):
        hidden_BTD = _read(model, [rows[i] for i in batch])
        ends = [len(rows[i][1]) - 1 for i in batch]
        lengths = [len(pairs[i][1]) for i in batch]
        chosen = [(r, t) for r, (end, n) in enumerate(zip(ends, lengths, strict=True)) for t in range(end - n, end)]
        wanted = torch.tensor([int(token) for i in batch for token in pairs[i][1]], device=model.device)
        places = torch.tensor(chosen, device=model.device)
        losses, greedy = _losses(model, hidden_BTD[places[:, 0], places[:, 1]], wanted)
        for i, part, hits in zip(batch, losses.split(lengths), greedy.split(lengths), strict=True):
            out[i] = Continued(float(part.sum()), bool(hits.all()))
        tell("rating", len(out) / len(pairs))
    return [out[i] for i in range(len(pairs))]


def _row(context: int, before: Ids, after: Ids, kind: str, start: int | None) -> tuple[list[int], list[int]]:
    """Source (none of a decoder) and the tokens of which all but the last are read and all but the first predicted."""
    if kind == "decoder":
        return [], [*before, *after][-(context + 1) :]
    if start is None:
        raise InputError("an encoder-decoder's targets start with a token of its own; the model names none")
    return list(before[-context:]), [start, *after]


def _read(model: Transformer, rows: Sequence[tuple[list[int], list[int]]]) -> Tensor:
    """The stream over the targets, padded on the right, which no token before sees: [B, T, D]."""
    tokens, _ = pad([target[:-1] for _, target in rows], left=False, device=model.device)
    if model.config.kind == "decoder":
        return model.hidden(tokens, True)
    source, segments = pad([source for source, _ in rows], left=False, device=model.device)
    return model.hidden(tokens, True, source=source, source_segments=segments)


def _losses(model: Transformer, hidden_PD: Tensor, wanted_P: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of the wanted tokens in float64, and whether they are the likeliest, [P] each."""
    size = max(1, MOST_LOGITS // model.config.vocab_size)
    losses, greedy = [], []
    for hidden, wanted in zip(hidden_PD.split(size), wanted_P.split(size), strict=True):
        logs = model.logits(hidden).double().log_softmax(dim=-1)
        losses.append(-logs.gather(1, wanted[:, None])[:, 0])
        greedy.append(logs.argmax(dim=-1) == wanted)
    return torch.cat(losses), torch.cat(greedy)
