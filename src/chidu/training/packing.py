"""Pairs of texts packed into rows of one shape: many short pairs a row, none seeing another.

Shapes: R rows, T tokens of a target row, S tokens of a source row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from chidu.data.loader import shuffle
from chidu.errors import InputError
from chidu.training.objectives import Batch

Ids = Sequence[int]
Pair = tuple[Ids, Ids]
"""Source and target, or question and answer."""
Array = NDArray[np.int64]

OPEN = 64
"""Rows that an item is tried in."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Packed pairs, ready to be cut into batches."""

    tokens: Array
    """What is read, [R, T]."""
    targets: Array
    weights: NDArray[np.float32]
    segments: Array
    origin: tuple[tuple[int, ...], ...]
    """Numbers of the pairs in each row, in the order of their segments 1, 2, ..."""
    dropped: tuple[int, ...]
    """Numbers of the pairs that fit no row."""
    source: Array | None = None
    """[R, S], of an encoder-decoder."""
    source_segments: Array | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    @property
    def fill(self) -> float:
        """Part of the places, on both sides, that is not padding."""
        sides = [self.segments, *([] if self.source_segments is None else [self.source_segments])]
        return sum(int((side > 0).sum()) for side in sides) / sum(side.size for side in sides)

    def take(self, rows: Sequence[int] | Array) -> Batch:
        """The batch of the rows of those numbers."""
        picked = np.asarray(rows, dtype=np.int64)
        sides = {"segments": self.segments, "source": self.source, "source_segments": self.source_segments}
        return Batch(
            torch.from_numpy(self.tokens[picked]),
            torch.from_numpy(self.targets[picked]),
            torch.from_numpy(self.weights[picked]),
            **{name: torch.from_numpy(side[picked]) for name, side in sides.items() if side is not None},
        )

    def batch(self, *, seed: int, step: int, size: int) -> Batch:
        """The batch of a step, counted from 0: epochs of all rows, each in an order of its own, one after the other."""
        places = [divmod(step * size + i, len(self)) for i in range(size)]
        return self.take([int(shuffle(len(self), seed, epoch)[place]) for epoch, place in places])


def pack_pairs(pairs: Sequence[Pair], *, source_length: int, target_length: int, start: int, stop: int) -> Rows:
    """Pack pairs for an encoder-decoder: sources in one row, their targets in the row beside it.

    A target is read from `start` on and ends with `stop`. A target sees the source of its own number alone.

    Raises:
        InputError: no pair fits.
    """
    sizes = [(len(source), len(target) + 1) for source, target in pairs]
    rows, dropped = _fit(sizes, (source_length, target_length))
    packed = _empty(len(rows), target_length)
    source, source_segments = np.zeros((2, len(rows), source_length), dtype=np.int64)
    for row, members in enumerate(rows):
        at_source = at_target = 0
        for segment, number in enumerate(members, start=1):
            read, said = pairs[number]
            place = slice(at_source, at_source + len(read))
            source[row, place], source_segments[row, place] = read, segment
            at_source = place.stop
            at_target = _write(packed, row, at_target, segment, [start, *said], [*said, stop], len(said) + 1)
    return Rows(*packed, tuple(map(tuple, rows)), dropped, source, source_segments)


def pack_answers(pairs: Sequence[Pair], *, length: int, stop: int) -> Rows:
    """Pack questions and answers for a decoder: the loss counts on the answer and its `stop` only.

    Raises:
        InputError: no pair fits, or a question is empty.
    """
    if any(not len(question) for question, _ in pairs):
        raise InputError("a question is empty; a decoder needs at least one token to go on from")
    sizes = [(len(question) + len(answer),) for question, answer in pairs]
    rows, dropped = _fit(sizes, (length,))
    packed = _empty(len(rows), length)
    for row, members in enumerate(rows):
        at = 0
        for segment, number in enumerate(members, start=1):
            question, answer = pairs[number]
            whole = [*question, *answer, stop]
            at = _write(packed, row, at, segment, whole[:-1], whole[1:], len(answer) + 1)
    return Rows(*packed, tuple(map(tuple, rows)), dropped)


def _empty(rows: int, length: int) -> tuple[Array, Array, NDArray[np.float32], Array]:
    """Tokens, targets, weights and segments of rows of padding; the padding's ids are never seen."""
    shape = (rows, length)
    tokens, targets, segments = np.zeros((3, *shape), dtype=np.int64)
    return tokens, targets, np.zeros(shape, dtype=np.float32), segments


def _write(
    packed: tuple[Array, Array, NDArray[np.float32], Array],
    row: int,
    at: int,
    segment: int,
    read: Ids,
    said: Ids,
    counted: int,
) -> int:
    """Put a text into a row, its last `counted` places with weight; returns where the next one goes."""
    tokens, targets, weights, segments = packed
    place = slice(at, at + len(read))
    tokens[row, place], targets[row, place], segments[row, place] = read, said, segment
    weights[row, place.stop - counted : place.stop] = 1
    return place.stop


def _fit(sizes: Sequence[tuple[int, ...]], room: tuple[int, ...]) -> tuple[list[list[int]], tuple[int, ...]]:
    """Put items into rows, each with room on every side: in their order, into the fullest open row that takes them.

    At most `OPEN` rows are open; then the fullest is closed, so that the time is linear in the number of items.
    """
    rows: list[list[int]] = []
    free: dict[int, list[int]] = {}
    dropped = []
    for number, item in enumerate(sizes):
        if not all(size <= most for size, most in zip(item, room, strict=True)):
            dropped.append(number)
            continue
        takes = [row for row, left in free.items() if all(size <= some for size, some in zip(item, left, strict=True))]
        if takes:
            row = min(takes, key=lambda place: sum(free[place]))
        else:
            row = len(rows)
            rows.append([])
            free[row] = list(room)
        rows[row].append(number)
        free[row] = [some - size for some, size in zip(free[row], item, strict=True)]
        if len(free) > OPEN:
            del free[min(free, key=lambda place: sum(free[place]))]
    if not rows:
        raise InputError(f"no pair fits rows of {' and '.join(map(str, room))} tokens; make them longer")
    return rows, tuple(dropped)
