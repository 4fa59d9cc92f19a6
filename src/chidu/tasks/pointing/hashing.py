"""The words around each unit of a passage, alone and with what is asked for, as hashed features (0902.2206).

Shapes: N units of the passage, K of them kept, F features.
"""

from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from chidu.tasks.pointing.evidence import shift
from chidu.tasks.pointing.reading import Reading, Whole, number, stem
from chidu.tasks.rarity import Rarity

Hashes = NDArray[np.uint64]

BUCKETS = 1 << 22
"""Of the hash."""
PAIRED = 6
"""Rarest words of the question that are paired with each unit."""
ENDINGS = ("ing", "ed", "ly", "s", "er")


def hash_words(reading: Reading, rarity: Rarity[int], kept_K: Whole) -> NDArray[np.int32]:
    """[K, F]."""
    ids = np.array([number(unit) for unit in reading.units], dtype=np.uint64)
    shapes = np.array(_shapes(reading), dtype=np.uint64)
    kind = reading.asked.kind + 1
    after, before = (crc32(word.encode()) for word in reading.asked.focus)
    near = {by: (shift(ids, -by) if by else ids)[kept_K] for by in (-2, -1, 0, 1, 2)}
    forms = {by: (shift(shapes, -by) if by else shapes)[kept_K] for by in (-1, 0, 1)}
    single = [*near.values(), forms[0]]
    left = [near[-1], near[0], near[-2], near[1], forms[-1], forms[0], near[-1], forms[0]]
    right = [near[0], near[1], near[-1], near[2], forms[0], forms[1], forms[0], near[1]]
    pairs = mix(np.array(left), np.array(right))
    both = np.vstack([np.array(single), pairs, mix(pairs[:1], near[1])])
    with_kind = mix(both[:-1], np.full((1, 1), kind, np.uint64))
    narrow = np.array([near[-1], near[0], near[1], forms[0], pairs[0], pairs[1]])
    rare = {word: -rarity[stem(word, reading.chinese)] for word in reading.question if stem(word, reading.chinese)}
    words = [number(word) for word in sorted(rare, key=lambda word: rare[word])[:PAIRED]]
    words += [0] * (PAIRED - len(words))
    with_words = mix(near[0][None, :], np.array(words, np.uint64)[:, None])
    with_focus = [mix(narrow, np.full((1, 1), focus, np.uint64)) for focus in (after, before)]
    columns = np.vstack([both, with_kind, *with_focus, with_words])
    mixed = mix(columns, np.arange(1, len(columns) + 1, dtype=np.uint64)[:, None])
    return (mixed & np.uint64(BUCKETS - 1)).astype(np.int32).T


def mix(left: Hashes, right: Hashes) -> Hashes:
    """A hash of two numbers, each of 64 bits."""
    with np.errstate(over="ignore"):
        mixed = (left * np.uint64(0x9E3779B97F4A7C15)) ^ ((right + np.uint64(1)) * np.uint64(0xC2B2AE3D27D4EB4F))
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        return mixed ^ (mixed >> np.uint64(32))


def _shapes(reading: Reading) -> list[int]:
    """The class of each unit's characters; of an English word also whether it begins with a capital."""
    if reading.chinese:
        return [_shape(unit) for unit in reading.units]
    context, out, before = reading.example.context or "", [], -1
    for unit, begin, sentence in zip(
        reading.units, reading.begins_N.tolist(), reading.sentence_N.tolist(), strict=True
    ):
        capital = 0 if not context[begin : begin + 1].isupper() else 1 if sentence != before else 2
        out.append(_shape(unit) + 10000 * capital)
        before = sentence
    return out


@lru_cache(maxsize=1 << 17)
def _shape(unit: str) -> int:
    if unit.isdigit():
        return 1 + min(len(unit), 5)
    if not unit[0].isalnum():
        return 1000 + ord(unit[0]) % 8000
    if not unit.isascii():
        return 10 + min(len(unit), 2)
    return 100 + next((i for i, end in enumerate(ENDINGS) if unit.endswith(end)), len(ENDINGS))
