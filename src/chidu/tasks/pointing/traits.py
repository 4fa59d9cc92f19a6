"""What is known of each span that might be an answer: its ends, what is in it, what stands around it.

Shapes: K kept units, C spans of one passage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chidu.stats import Array
from chidu.tasks.pointing.clues import Clues
from chidu.tasks.pointing.evidence import Number
from chidu.tasks.pointing.hashing import Hashes, mix
from chidu.tasks.pointing.reading import Reading, Whole, number
from chidu.tasks.pointing.scorer import Scores
from chidu.tasks.pointing.spans import promise

TABLE = 1 << 22
"""Places in the table of pairs."""
OPENING, CLOSING = "（(《「『“‘[", "）)》」』”’]"
AT_SENTENCE = (Number.COVER, Number.COVER_SHARE, Number.RANK, Number.COVER_BEFORE, Number.COVER_AFTER, Number.PLACE)
AT_FIRST = (
    Number.ASKED_BEFORE_LEFT,
    Number.ASKED_AFTER_LEFT,
    Number.TOUCH_LEFT,
    Number.MEET_LEFT,
    Number.SINCE_SHARED,
    Number.SINCE_STRONG,
    Number.FROM_BEGIN,
    Number.SINCE_PAUSE,
    Number.SINCE_LAST_ASKED,
)
AT_LAST = (
    Number.ASKED_BEFORE_RIGHT,
    Number.ASKED_AFTER_RIGHT,
    Number.TOUCH_RIGHT,
    Number.MEET_RIGHT,
    Number.UNTIL_SHARED,
    Number.UNTIL_STRONG,
    Number.TO_END,
    Number.UNTIL_PAUSE,
)
KIND = 0
"""Column of the question's kind, a category."""


@dataclass(frozen=True, eq=False)
class Joins:
    """How much oftener than by chance two units stand side by side in training passages: where words end."""

    singles: Whole
    pairs: Whole

    @classmethod
    def count(cls, readings: Sequence[Reading]) -> "Joins":
        """Learn from passages, each once."""
        once = {one.example.context: one for one in readings}.values()
        ids = [_ids(one) for one in once]
        singles = np.bincount(_place(np.concatenate(ids)), minlength=TABLE)
        pairs = np.bincount(_place(np.concatenate([mix(a[:-1], a[1:]) for a in ids])), minlength=TABLE)
        return cls(singles, pairs)

    def between(self, reading: Reading) -> Array:
        """Pointwise mutual information (Church & Hanks 1990) of each unit and the one before it, [N + 1]; 0 at ends."""
        ids = _ids(reading)
        single = self.singles[_place(ids)] + 1.0
        pair = self.pairs[_place(mix(ids[:-1], ids[1:]))] + 0.1
        inner = np.log(pair * self.singles.sum() / (single[:-1] * single[1:]))
        return np.concatenate([[0.0], inner, [0.0]])


def describe(clues: Clues, scores: Scores, spans_C2: Whole, joins: Joins) -> Array:
    """Numbers of each span, [C, traits]; the first is the question's kind."""
    first, last = spans_C2.T
    numbers, count = clues.numbers_KD, len(spans_C2)
    asked = [clues.reading.asked.kind, len(clues.reading.question), numbers[0, Number.SENTENCES]]
    return np.column_stack(
        [
            np.tile(np.array(asked, dtype=float), (count, 1)),
            *_of_scores(scores, spans_C2),
            numbers[first][:, AT_SENTENCE],
            numbers[first][:, AT_FIRST],
            numbers[last][:, AT_LAST],
            _within(numbers[:, Number.RUN] > 0, spans_C2) / (last - first + 1),
            _within(numbers[:, Number.OWN], spans_C2),
            _over(np.maximum, numbers[:, Number.RUN], spans_C2),
            *_of_text(clues, spans_C2, joins),
        ]
    )


def _of_scores(scores: Scores, spans_C2: Whole) -> list[NDArray[Any]]:
    """Of the ends, of what is inside and just outside, and beside the other spans."""
    first, last = spans_C2.T
    count, size = len(spans_C2), last - first + 1
    begin, end = scores.begin_K[first], scores.end_K[last]
    likely, worth = begin + end, promise(scores, first, last)
    held, total = _within(scores.inside_K, spans_C2), scores.inside_K.sum()
    padded = np.concatenate([[0.0], scores.inside_K, [0.0]])
    whole = [np.full(count, value) for value in (scores.begin_K.max(), scores.end_K.max(), total)]
    ends = [padded[first], padded[first + 1], padded[last + 1], padded[last + 2]]
    rank = np.argsort(np.argsort(-likely, kind="stable"), kind="stable")
    least = _over(np.minimum, scores.inside_K, spans_C2)
    inside = [held / size, held, least, held / max(1e-6, total)]
    return [begin, end, likely, likely - likely.max(), rank, worth, worth - worth.max(), *whole, *ends, *inside, size]


def _of_text(clues: Clues, spans_C2: Whole, joins: Joins) -> list[NDArray[Any]]:
    """Length, signs, brackets, classes of characters, and whether words are cut."""
    first, last = spans_C2.T
    kept_first, kept_last = clues.kept_K[first], clues.kept_K[last]
    reading, join = clues.reading, joins.between(clues.reading)
    letters = reading.ends_N[kept_last] - reading.begins_N[kept_first]
    units = [reading.units[i] for i in clues.kept_K.tolist()]
    classes = np.array([_class(unit) for unit in units])
    around = [np.append(-1, classes)[first], classes[first], classes[last], np.append(classes, -1)[last + 1]]
    opened, closed = (_within([unit in signs for unit in units], spans_C2) for signs in (OPENING, CLOSING))
    pauses = [_within(clues.pause_K, spans_C2), clues.pause_K[first], clues.pause_K[last]]
    digits = _within(classes == 1, spans_C2) / (last - first + 1)
    cut = [join[kept_first], join[kept_last + 1]]
    return [letters, *around, opened - closed, opened + closed, *pauses, digits, *cut]


def _ids(reading: Reading) -> Hashes:
    return np.array([number(unit) for unit in reading.units], dtype=np.uint64)


def _place(ids: Hashes) -> Whole:
    return ((ids ^ (ids >> np.uint64(22))) & np.uint64(TABLE - 1)).astype(np.int64)


def _within(values_K: ArrayLike, spans_C2: Whole) -> NDArray[Any]:
    """The sum of the values in each span."""
    sums = np.append(0, np.cumsum(values_K))
    return np.asarray(sums[spans_C2[:, 1] + 1] - sums[spans_C2[:, 0]])


def _over(what: np.ufunc, values_K: NDArray[Any], spans_C2: Whole) -> NDArray[Any]:
    """The least or the largest value in each span."""
    padded = np.append(values_K, values_K[-1])
    return np.asarray(what.reduceat(padded, np.add(spans_C2, [0, 1]).ravel())[::2])


def _class(unit: str) -> int:
    """0 a word or a Chinese character, 1 digits, 2 Latin letters in a Chinese passage or a long word, then signs."""
    if unit.isdigit():
        return 1
    if unit[0].isalnum():
        return 2 if len(unit) > 3 else 0
    found = "。，、；：《》（）“”「」.,;:\"'()!?".find(unit[0])
    return 3 + found
