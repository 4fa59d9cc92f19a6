"""A question and its passage as tokens that know where they stand in the text, so that a span is one of characters.

The text is cut into units, words or Chinese characters, before it is encoded, so that no token crosses two of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from chidu.tasks.example import CHINESE, Example

if TYPE_CHECKING:
    from chidu.tasks.tuned import Tuned

UNITS = re.compile(rf"[{CHINESE[0]}-{CHINESE[1]}]| ?[^\W\d_{CHINESE[0]}-{CHINESE[1]}]+| ?\d+|\s+| ?.", re.S)
STRIDE = 0.5
"""Part of a window of a passage that the next window begins after."""
QUESTION, PLAIN, MATCHED, PAIRED = range(4)
"""Token types, where a model has them: of the question; of the passage, not in the question; in it; in it with a
neighbour. A small model learns hardly to compare words by itself."""
TYPES = 4


@dataclass(frozen=True)
class Passage:
    """A question and one window of its passage."""

    tokens: list[int]
    """Question, separator, window."""
    types: list[int]
    places: list[tuple[int, int]]
    """Characters of the context that each token stands for; (-1, -1) for the question."""
    answer: tuple[int, int] | None
    """First and last token of the first right answer, where this window holds it."""


def split_units(text: str) -> list[tuple[str, int]]:
    """Words with the space before them, single Chinese characters, signs; each with its first character's place."""
    return [(found.group(), found.start()) for found in UNITS.finditer(text)]


def read_passages(tuned: "Tuned", example: Example, length: int) -> list[Passage]:
    """Windows of an example that fit `length` tokens; a long question is cut to half of it."""
    question = _encode(tuned, example.source)
    context = _encode(tuned, example.context or "")
    asked = {unit for unit, _, _, _ in question}
    pairs = {(a[0], b[0]) for a, b in pairwise(question)}
    types = _match(context, asked, pairs)
    separator = tuned.specials.separator if tuned.specials else tuned.tokenizer.eot
    head = [token for token, *_ in _tokens(question)][: length // 2]
    flat = _tokens(context)
    kinds = [kind for kind, (_, ids, _, _) in zip(types, context, strict=True) for _ in ids]
    room = length - len(head) - 1
    out = []
    start = 0
    while True:
        window, kept = flat[start : start + room], kinds[start : start + room]
        before = len(head) + 1
        places = [(-1, -1)] * before + [(begin, end) for _, begin, end in window]
        tokens = [*head, separator, *(token for token, _, _ in window)]
        out.append(Passage(tokens, [QUESTION] * before + kept, places, _locate(example, places)))
        if start + room >= len(flat):
            return out
        start += max(1, int(room * STRIDE))


Encoded = tuple[str, list[int], int, int]
"""A unit without case and space, its tokens, its first character and the one after its last."""


def _encode(tuned: "Tuned", text: str) -> list[Encoded]:
    out = []
    for unit, place in split_units(text):
        ids = [int(token) for token in tuned.tokenizer.encode(unit)]
        space = len(unit) - len(unit.lstrip())
        out.append((unit.strip().casefold(), ids, place + (space if unit.strip() else 0), place + len(unit)))
    return out


def _tokens(units: Sequence[Encoded]) -> list[tuple[int, int, int]]:
    """Tokens with the characters of their unit."""
    return [(token, begin, end) for _, ids, begin, end in units for token in ids]


def _match(context: Sequence[Encoded], asked: set[str], pairs: set[tuple[str, str]]) -> list[int]:
    """Type of each unit of the context."""
    words = [unit for unit, _, _, _ in context]
    types = [MATCHED if word and any(c.isalnum() for c in word) and word in asked else PLAIN for word in words]
    for i, pair in enumerate(pairwise(words)):
        if pair in pairs:
            types[i] = types[i + 1] = PAIRED
    return types


def _locate(example: Example, places: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """First and last token of the first right answer that stands in the context, if all of it is in this window."""
    for text, start in zip(example.targets, example.starts, strict=False):
        stripped = text.strip()
        begin = start + len(text) - len(text.lstrip())
        if start < 0 or not stripped:
            continue
        end = begin + len(stripped)
        inside = [i for i, (first, last) in enumerate(places) if first >= 0 and first < end and last > begin]
        if inside and places[inside[0]][0] <= begin and places[inside[-1]][1] >= end:
            return inside[0], inside[-1]
        return None
    return None
