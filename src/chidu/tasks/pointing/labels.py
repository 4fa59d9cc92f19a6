"""Where the right answer stands in a passage, or what comes nearest to it where it does not stand there."""

from collections import Counter

import numpy as np

from chidu.tasks.example import Example
from chidu.tasks.metrics.matching import words_of
from chidu.tasks.pointing.reading import Reading

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
    best, found = NEAREST, None
    words = [words_of(unit, reading.chinese) for unit in reading.units]
    for target in example.targets[:1]:
        right = Counter(words_of(target, reading.chinese))
        size = sum(right.values())
        hits = [i for i, own in enumerate(words) if own and own[0] in right]
        sentence = reading.sentence_N
        for first in hits:
            left, same, count = Counter(right), 0, 0
            for i in range(first, min(first + LONGEST, len(words))):
                if sentence[i] != sentence[first]:
                    break
                for word in words[i]:
                    count += 1
                    if left[word] > 0:
                        left[word] -= 1
                        same += 1
                value = 2 * same / (count + size)
                if value > best:
                    best, found = value, (first, i)
    return found
