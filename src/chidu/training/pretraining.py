"""What each kind of model learns from plain text: a decoder the next token, an encoder masked ones, an encoder-decoder
blanked spans.

Shapes: B sequences, W windows, T tokens of a window.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chidu.config import ModelConfig
from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.model.transformer import Transformer, next_token_losses
from chidu.stats import standard_error
from chidu.training.evaluation import HeldOutLoss, evaluate
from chidu.training.objectives import Batch, denoise, masked_tokens

MASK_SEED = 0
"""Of what is hidden in training: the same for all rungs of a ladder."""
HELD_OUT_SEED = 1
"""Of what is hidden in evaluation: the same for every model."""


def special_ids(model: ModelConfig, vocab_size: int, eot: int) -> Specials | None:
    """The special ids of a model over a tokenizer's vocabulary; None for a decoder, which needs none.

    Raises:
        InputError: the model's vocabulary is not the tokenizer's, with room for special ids where it needs some.
    """
    if model.kind == "decoder":
        if model.vocab_size != vocab_size:
            raise InputError(f"the model's vocabulary is {model.vocab_size}, the data set's {vocab_size}")
        return None
    found = Specials.within(vocab_size, eot, model.vocab_size)
    wanted = Specials(vocab_size, eot)
    if found is None:
        raise InputError(
            f"the model's vocabulary is {model.vocab_size}, the data set's {vocab_size}; a model of kind {model.kind} "
            f"needs special ids beside it: {wanted.vocab_size} holds them with {wanted.blanks} blanks"
        )
    return found


def hide(kind: str, windows: NDArray[np.int64], specials: Specials, *, seed: int, step: int) -> Batch:
    """The question that windows of text, [B, T], become for an encoder or an encoder-decoder."""
    make = masked_tokens if kind == "encoder" else denoise
    return make(windows, specials, seed=seed, step=step)


def mean_loss(model: Transformer, windows_BT: Tensor, specials: Specials | None, step: int) -> Tensor:
    """The mean loss of a micro-batch of windows, [B, T+1], in nats per predicted token; `step` counts micro-batches."""
    if specials is None:
        return next_token_losses(model(windows_BT[:, :-1], fused=True), windows_BT[:, 1:]).mean()
    plain = windows_BT[:, :-1].cpu().numpy()
    batch = hide(model.config.kind, plain, specials, seed=MASK_SEED, step=step).to(windows_BT.device)
    return _each(model, batch, fused=True).mean()


def _each(model: Transformer, batch: Batch, *, fused: bool) -> Tensor:
    """The loss of each predicted token, [B, predicted tokens of a row]; every row has as many."""
    there = batch.weights > 0
    hidden = model.hidden(batch.tokens, fused, **batch.given())[there]
    targets = batch.targets[there].view(len(batch.tokens), -1)
    return next_token_losses(model.logits(hidden).view(*targets.shape, -1), targets)


@torch.no_grad()
def held_out_loss(
    model: Transformer,
    windows: NDArray[np.int64],
    token_bytes: NDArray[np.int64],
    specials: Specials | None,
    *,
    batch_tokens: int = 4096,
) -> HeldOutLoss:
    """Evaluate windows, [W, T+1], by what the kind of model is asked in training; hidden is always the same.

    Bits per byte are those of the predicted tokens; of an encoder's and an encoder-decoder's they are no measure of
    compression, since both sides of a gap are seen.
    """
    if specials is None:
        return evaluate(model, windows, token_bytes, batch_tokens=batch_tokens)
    sizes = np.zeros(model.config.vocab_size)
    sizes[: len(token_bytes)] = token_bytes
    means, count, text_bytes = [], 0, 0.0
    size = max(1, batch_tokens // (windows.shape[1] - 1))
    for number, start in enumerate(range(0, len(windows), size)):
        plain = windows[start : start + size, :-1].astype(np.int64)
        batch = hide(model.config.kind, plain, specials, seed=HELD_OUT_SEED, step=number).to(model.device)
        means.append(_each(model, batch, fused=True).double().mean(dim=1).cpu().numpy())
        predicted = batch.targets[batch.weights > 0].cpu().numpy()
        count, text_bytes = count + predicted.size, text_bytes + float(sizes[predicted].sum())
    each = np.concatenate(means)
    loss = float(each.mean())
    return HeldOutLoss(loss, standard_error(each), loss / math.log(2) * count / text_bytes, count)
