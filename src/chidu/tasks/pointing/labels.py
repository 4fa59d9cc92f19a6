"""Where the right answer stands in a passage, or what comes nearest to it, and how near other spans are.

Shapes: N units of the passage, C spans.
"""

from collections import Counter

import numpy as np

from chidu.stats import Array
from chidu.tasks.example import Example
from chidu.tasks.metrics.matching import words_of
from chidu.tasks.pointing.reading import Reading, Whole

NEAREST = 0.4
"""F1 that a span must have with an answer that does not stand in the passage, to be learnt from."""
LONGEST = 40
"""Units of such a span."""


def locate(reading: Reading) -> tuple[int, int] | None:
    """First and last unit of the first right answer, else of the span nearest to it; None where none is near."""
    example = reading.example
    for text, start in zip(example.targets, example.starts, strict=False):
        if start >= 0 and text.strip():
            end = start + len(text.rstrip())
            start += len(text) - len(text.lstrip())
            inside = np.flatnonzero((reading.begins_N < end) & (reading.ends_N > start))
            if len(inside):
                return int(inside[0]), int(inside[-1])
    return _nearest(reading, example)


def _nearest(reading: Reading, example: Example) -> tuple[int, int] | None:
    """Only spans that begin and end at words of the answer."""
    right = set(words_of(example.targets[0], reading.chinese)) if example.targets else set()
    words = [words_of(unit, reading.chinese) for unit in reading.units]
    hits = np.array([i for i, own in enumerate(words) if right & set(own)], dtype=int)
    first, last = np.repeat(hits, len(hits)), np.tile(hits, len(hits))
    sentence = reading.sentence_N
    able = (first <= last) & (last < first + LONGEST) & (sentence[first] == sentence[last])
    spans = np.column_stack([first, last])[able]
    if not len(spans):
        return None
    value = nearness(reading, spans)
    best = int(value.argmax())
    return (int(spans[best, 0]), int(spans[best, 1])) if value[best] > NEAREST else None


def nearness(reading: Reading, spans_C2: Whole) -> Array:
    """F1 of shared words of each span with the first right answer, [C], unit by unit.

    That of `shared_f1`, but for words that a sign divides into units.
    """
    targets = reading.example.targets[:1]
    right = Counter(word for target in targets for word in words_of(target, reading.chinese))
    words = [words_of(unit, reading.chinese) for unit in reading.units]
    first, last = spans_C2.T
    ends = np.append(0, np.cumsum([len(own) for own in words]))
    flat = np.array([word for own in words for word in own])
    begin, end = ends[first], ends[last + 1]
    same = np.zeros(len(first))
    for word, count in right.items():
        seen = np.append(0, np.cumsum(flat == word))
        same += np.minimum(seen[end] - seen[begin], count)
    return np.asarray(2 * same / np.maximum(1, end - begin + sum(right.values())))
