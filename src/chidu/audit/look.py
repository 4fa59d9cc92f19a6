"""One text through one model, looked at from every side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chidu.audit.ablation import Ablation, ablate, ask
from chidu.audit.attention import Board, gather
from chidu.audit.relations import ORDERS, count_orders, relate
from chidu.audit.study import AttentionStudy
from chidu.data.loader import take_windows
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model.pretrained import Pretrained

WINDOW, WINDOWS = 128, 16
"""Tokens of a window of a text file, and how many of them are read at most."""

Rows = NDArray[np.int64]


def look(
    loaded: Pretrained,
    text: str,
    *,
    model: str = "",
    target: str = "",
    cut: Sequence[str] = (),
    rows: Rows | None = None,
    rows_said: str = "",
    seed: int = 0,
    orders: int = ORDERS,
) -> AttentionStudy:
    """Gather the maps of a text, relate its words, and measure the loss without each head.

    Args:
        loaded: the model and its tokenizer.
        text: what it reads; of an encoder-decoder the source.
        model: where it came from, in words.
        target: of an encoder-decoder, the text that it writes; by default what it does write.
        cut: the words of the text, in order; by default they are found.
        rows: windows of tokens, [N, T + 1], for the loss; by default the text itself.
        rows_said: what they are, in words.
        seed: of the other orders of the words.
        orders: how many of them are read.

    Raises:
        InputError: the text is empty or does not fit.
    """
    boards = gather(loaded, text, target, cut)
    related = next(board for board in boards if board.part != "cross")
    relations = relate(loaded.model, related, seed=seed, orders=orders)
    movable = sum(not word.special for word in related.queries.words)
    ablation, said = _ablate(loaded, boards, rows, rows_said)
    return AttentionStudy(
        model,
        text,
        tuple(boards),
        related.part,
        tuple(relations),
        count_orders(movable, orders) if movable > 1 else 0,
        ablation,
        said,
    )


def _ablate(loaded: Pretrained, boards: list[Board], rows: Rows | None, said: str) -> tuple[Ablation | None, str]:
    """The loss without each head, and on what; or why there is none."""
    both = loaded.model.config.kind == "encoder_decoder"
    own, source = boards[0].queries, None
    if both:
        rows, said, source = None, "this target", np.array([boards[0].keys.ids])
    if rows is None:
        rows, said = np.array([own.ids]), said or "this text"
    if loaded.model.config.kind == "encoder":
        rows = rows[:, : loaded.model.config.context]
    question = ask(loaded, rows, source)
    if question is None:
        return None, "the text is too short" if loaded.model.config.kind != "encoder" else "the model has no mask"
    return ablate(loaded.model, question), said


def rows_of(loaded: Pretrained, text: str) -> Rows:
    """Windows of a text file, [N, T + 1].

    Raises:
        InputError: it has not one whole window of a few tokens.
    """
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise InputError("the model has no tokenizer.json; put its own beside it")
    ids = tokenizer.encode(text)
    tokens = np.asarray([tokenizer.eot, *ids] if isinstance(tokenizer, Tokenizer) else ids, dtype=np.int64)
    size = min(WINDOW, loaded.model.config.context, len(tokens) - 1)
    if size < 2:
        raise InputError("the text for --on has fewer than three tokens; give more of it")
    count = min(WINDOWS, (len(tokens) - 1) // size)
    return take_windows(tokens, size, np.arange(count))
