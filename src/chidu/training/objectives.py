"""What a model is asked at each step: the next token, masked tokens, blanked spans.

A batch is a function of (seed, step) alone, so that training can start again anywhere. Shapes: B sequences, T tokens,
S tokens of the source, V vocabulary.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.training.cross_entropy import cross_entropy

Array = NDArray[np.int64]

KEPT, REPLACED = 0.1, 0.1
"""Parts of the chosen tokens that stay, or become another token; the rest is masked (1810.04805, section 3.1)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One question to the model: what it reads, what it should say, and where that counts."""

    tokens: Tensor
    """What is read, [B, T]; of an encoder-decoder the target so far."""
    targets: Tensor
    """What should be said at each place, [B, T]."""
    weights: Tensor
    """Weight of each place's loss, [B, T]; 0 where none counts."""
    segments: Tensor | None = None
    """Text of each token in its row, [B, T]; 0 is padding."""
    types: Tensor | None = None
    source: Tensor | None = None
    """[B, S], of an encoder-decoder."""
    source_segments: Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        there: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: None if value is None else value.to(device) for name, value in there.items()}
        return Batch(**moved)

    def given(self) -> dict[str, Any]:
        """What a model takes beside the tokens."""
        names = ("segments", "types", "source", "source_segments")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def next_tokens(windows: Array) -> Batch:
    """Each token from those before it: windows of T + 1 tokens, [B, T+1]."""
    tokens = torch.from_numpy(np.asarray(windows, dtype=np.int64))
    return Batch(tokens[:, :-1], tokens[:, 1:], torch.ones(tokens[:, 1:].shape))


def masked_tokens(
    windows: Array, specials: Specials, *, seed: int, step: int, rate: float = 0.15, segments: Array | None = None
) -> Batch:
    """Guess masked tokens from both sides (1810.04805, section 3.1).

    Of each row's own tokens, `rate` are chosen, a whole number of them and at least one; 80 % of the chosen become the
    mask, 10 % another token of the vocabulary, 10 % stay. Windows are [B, T]; segments say where the padding is.
    """
    generator = np.random.default_rng((seed, step))
    inputs, chosen = windows.astype(np.int64, copy=True), np.zeros(windows.shape, dtype=bool)
    for row in range(len(windows)):
        real = np.flatnonzero(segments[row]) if segments is not None else np.arange(windows.shape[1])
        count = min(len(real), max(1, round(rate * len(real))))
        chosen[row, generator.choice(real, count, replace=False)] = True
    fate = generator.random(windows.shape)
    other = generator.integers(0, specials.first, windows.shape)
    inputs[chosen & (fate < 1 - KEPT - REPLACED)] = specials.mask
    changed = chosen & (fate >= 1 - KEPT - REPLACED) & (fate < 1 - KEPT)
    inputs[changed] = other[changed]
    return Batch(
        torch.from_numpy(inputs),
        torch.from_numpy(windows.astype(np.int64)),
        torch.from_numpy(chosen).float(),
        None if segments is None else torch.from_numpy(segments.astype(np.int64)),
    )


def denoise(
    windows: Array, specials: Specials, *, seed: int, step: int, rate: float = 0.15, span: float = 3.0
) -> Batch:
    """Restore blanked spans (1910.10683, section 3.1.4): the source has blanks, the target their contents.

    Every row has the same number of spans, of `span` tokens in the mean, in random places and of random lengths, so
    that all batches of a shape are of one shape. The target is each blank and what it held, then end-of-text; it is
    read one token late, from end-of-text on.

    Raises:
        InputError: the windows are too short for a span, or need more blanks than there are.
    """
    length = windows.shape[1]
    hidden = max(1, round(rate * length))
    spans = max(1, round(hidden / span))
    if length - hidden < spans:
        raise InputError(f"windows of {length} tokens are too short to blank {hidden} of them in {spans} spans")
    if spans > specials.blanks:
        raise InputError(f"{spans} spans need as many blanks, but there are {specials.blanks}; shorten the windows")
    generator = np.random.default_rng((seed, step))
    sources, targets = zip(*(_blank(row, hidden, spans, specials, generator) for row in windows), strict=True)
    target = torch.from_numpy(np.array(targets, dtype=np.int64))
    start = torch.full((len(target), 1), specials.eot)
    return Batch(
        torch.cat([start, target[:, :-1]], dim=1),
        target,
        torch.ones(target.shape),
        source=torch.from_numpy(np.array(sources, dtype=np.int64)),
    )


def _blank(
    row: Array, hidden: int, spans: int, specials: Specials, generator: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Source and target of one row: spans of what stays and what goes, in turn, beginning with what stays."""
    stay, go = _cut(len(row) - hidden, spans, generator), _cut(hidden, spans, generator)
    source: list[int] = []
    target: list[int] = []
    place = 0
    for number, (keep, drop) in enumerate(zip(stay, go, strict=True)):
        source += [*row[place : place + keep].tolist(), specials.blank(number)]
        target += [specials.blank(number), *row[place + keep : place + keep + drop].tolist()]
        place += keep + drop
    return source, [*target, specials.eot]


def _cut(total: int, parts: int, generator: np.random.Generator) -> list[int]:
    """A whole number cut into positive parts, every way equally likely."""
    cuts = np.sort(generator.choice(total - 1, parts - 1, replace=False) + 1) if parts > 1 else np.zeros(0, dtype=int)
    return np.diff([0, *cuts, total]).tolist()


def losses(
    model: Transformer, batch: Batch, *, fused: bool = False, smoothing: float = 0.0, dense: bool = False
) -> tuple[Tensor, Tensor]:
    """Sum of the weighted losses of a batch, in nats, and the sum of the weights: their ratio is the mean.

    Args:
        model: of the kind that the batch is for.
        batch: on the model's device.
        fused: take torch's attention kernel.
        smoothing: part of the target's probability that is spread over the vocabulary (1512.00567); 0 in evaluation.
        dense: compute the logits everywhere, in one fixed shape, rather than only where the loss counts.
    """
    hidden = model.hidden(batch.tokens, fused, **batch.given())
    if dense:
        hidden, targets, weights = hidden.flatten(0, 1), batch.targets.flatten(), batch.weights.flatten()
    else:
        there = batch.weights > 0
        hidden, targets, weights = hidden[there], batch.targets[there], batch.weights[there]
    if _plain_on_cpu(model, hidden):
        return cross_entropy(model.to_head(hidden), model.head_weight, targets, weights, smoothing), weights.sum()
    logits = model.logits(hidden).float()
    each = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    return (each * weights).sum(), weights.sum()


def _plain_on_cpu(model: Transformer, hidden: Tensor) -> bool:
    """Whether the written-out cross-entropy stands for the head and torch's: it pays on a CPU, in float32."""
    mixed = torch.is_autocast_enabled(hidden.device.type)
    return hidden.device.type == "cpu" and hidden.dtype == torch.float32 and not mixed and not model.config.head_bias
