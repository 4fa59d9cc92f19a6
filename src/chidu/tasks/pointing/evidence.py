"""Where a unit of a passage stands to what the passage shares with its question, in numbers.

Shapes: N units of the passage, M units of the question, S sentences.
"""

from enum import IntEnum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.stats import Array
from chidu.tasks.pointing.reading import Match, Reading, Whole

Flags = NDArray[np.bool_]

FAR = 25
"""Distances are cut here."""
LONG = 60
"""Places in a sentence are cut here."""
LONGEST_RUN = 6
NEXT = 4
"""Units after the interrogative of which one may stand right after an answer: 什么*时期的武将*."""
LAST = 2
"""Units that end a question."""


class Number(IntEnum):
    """The columns. Covers are shares of the question's worth, each of its units counted once."""

    COVER = 0
    """Of the sentence."""
    COVER_SHARE = auto()
    """Over that of the passage's best sentence; likewise of the sentences before and after."""
    RANK = auto()
    COVER_BEFORE = auto()
    COVER_AFTER = auto()
    PLACE = auto()
    """Of the sentence in the passage, 0 to 1."""
    SENTENCES = auto()
    ASKED_BEFORE_LEFT = auto()
    """Cover of what stands left of the unit in its sentence, by the question before its interrogative."""
    ASKED_AFTER_LEFT = auto()
    ASKED_BEFORE_RIGHT = auto()
    ASKED_AFTER_RIGHT = auto()
    RUN = auto()
    """Longest run of shared units that the unit is in."""
    TOUCH_LEFT = auto()
    """Longest such run that ends right before it; TOUCH_RIGHT: begins right after it."""
    TOUCH_RIGHT = auto()
    MEET_LEFT = auto()
    """Longest such run that in the question ends right before the interrogative."""
    MEET_RIGHT = auto()
    SINCE_SHARED = auto()
    """Units since the last shared one in the sentence."""
    UNTIL_SHARED = auto()
    SINCE_STRONG = auto()
    """Since the last one of more than half the worth of the best."""
    UNTIL_STRONG = auto()
    OWN = auto()
    """The unit's own worth."""
    FROM_BEGIN = auto()
    TO_END = auto()
    SINCE_PAUSE = auto()
    UNTIL_PAUSE = auto()
    SINCE_LAST_ASKED = auto()
    """Units since one that the question ends with."""
    LENGTH = auto()
    """Of the sentence."""


def weigh(reading: Reading, match: Match, pause_N: Flags) -> Array:
    """The numbers of each unit, [N, Number]."""
    sentence, at = reading.sentence_N, np.array(reading.question_at)
    before_M, after_M = at < reading.asked.begin, at >= reading.asked.end
    last_M = after_M & (np.arange(len(at)) >= len(at) - LAST)
    own = match.worth_NM.max(axis=1) / match.total
    strong = own > 0.5 * own.max()
    begins = np.flatnonzero(np.diff(sentence, prepend=-1))
    inside = np.arange(len(sentence)) - begins[sentence]
    length = np.diff(np.append(begins, len(sentence)))[sentence]
    columns = [
        *_of_sentences(match.cover_S, sentence),
        *_sides(match, sentence, before_M, after_M),
        *_runs(match, before_M, after_M),
        since(own > 0, sentence),
        until(own > 0, sentence),
        since(strong, sentence),
        until(strong, sentence),
        own,
        np.minimum(inside, LONG),
        np.minimum(length - 1 - inside, LONG),
        since(pause_N, sentence),
        until(pause_N, sentence),
        since((match.worth_NM * last_M).max(axis=1) > 0, sentence),
        length,
    ]
    return np.column_stack(columns)


def _of_sentences(cover_S: Array, sentence_N: Whole) -> list[Array]:
    share = cover_S / (cover_S.max() or 1.0)
    rank = np.argsort(np.argsort(-cover_S, kind="stable"), kind="stable")
    place, many = np.arange(len(cover_S)) / len(cover_S), np.full(len(cover_S), len(cover_S))
    rows: tuple[NDArray[Any], ...] = (cover_S, share, rank, shift(share, 1), shift(share, -1), place, many)
    return [row[sentence_N] for row in rows]


def _sides(match: Match, sentence_N: Whole, before_M: Flags, after_M: Flags) -> list[Array]:
    """Covers left and right of each unit: running maxima of each unit of the question, begun anew in each sentence."""
    out = []
    turned = sentence_N.max() - sentence_N[::-1]
    for worth, sentence, back in ((match.worth_NM, sentence_N, 1), (match.worth_NM[::-1], turned, -1)):
        floor = (worth.max() + 1) * sentence[:, None]
        held = shift(np.maximum.accumulate(worth + floor, axis=0) - floor, 1)
        held[np.flatnonzero(np.diff(sentence, prepend=-1))] = 0
        held = np.maximum(held, 0)[::back] / match.total
        out += [held[:, before_M].sum(axis=1), held[:, after_M].sum(axis=1)]
    return out


def _runs(match: Match, before_M: Flags, after_M: Flags) -> list[Array]:
    run = np.where(match.back_NM > 0, match.back_NM + match.forth_NM - 1, 0).max(axis=1)
    left, right = shift(match.back_NM, 1), shift(match.forth_NM, -1)
    first, rest = int(before_M.sum()), np.flatnonzero(after_M)[:NEXT]
    meet_left = left[:, first - 1] if first else np.zeros(len(left))
    meet_right = right[:, rest].max(axis=1, initial=0)
    rows = (run, left.max(axis=1), right.max(axis=1), meet_left, meet_right)
    return [np.minimum(row, LONGEST_RUN) for row in rows]


def since(flag_N: Flags, group_N: Whole) -> Whole:
    """Units since the last flagged one before each in its sentence, itself excluded; `FAR` where there is none."""
    place = np.arange(len(flag_N))
    last = np.append(-1, np.maximum.accumulate(np.where(flag_N, place, -1))[:-1])
    same = (last >= 0) & (group_N[last] == group_N)
    return np.where(same, np.minimum(place - last, FAR), FAR)


def until(flag_N: Flags, group_N: Whole) -> Whole:
    """Units until the next flagged one."""
    return since(flag_N[::-1], group_N[::-1])[::-1]


def shift(rows: NDArray[Any], by: int) -> NDArray[Any]:
    """Each row's neighbour, `by` rows before it; zeros where there is none."""
    out = np.zeros_like(rows)
    if by > 0:
        out[by:] = rows[:-by]
    else:
        out[:by] = rows[-by:]
    return out
