"""The spans of a passage that might be its question's answer.

Shapes: K kept units, L lengths, C spans.
"""

from itertools import pairwise

import numpy as np

from chidu.stats import Array
from chidu.tasks.pointing.clues import Clues
from chidu.tasks.pointing.reading import Whole
from chidu.tasks.pointing.scorer import Scores

LONGEST = {True: 32, False: 24}
"""Units of a span, unless it is a clause or a sentence; keyed by whether it is Chinese."""
LIKELIEST, WORTHIEST = 24, 12
"""Spans taken by the probability of their ends, and by the F1 that the units' own probabilities promise."""
SENTENCES = 3
"""Best sentences that are spans as a whole, and all of whose clauses are."""


def find_spans(clues: Clues, scores: Scores) -> Whole:
    """First and last kept unit of each, [C, 2]; each once."""
    sentence = clues.reading.sentence_N[clues.kept_K]
    longest = LONGEST[clues.reading.chinese]
    count = len(sentence)
    last_KL = np.arange(count)[:, None] + np.arange(longest)
    inside = last_KL < count
    last_KL = np.minimum(last_KL, count - 1)
    inside &= sentence[last_KL] == sentence[:, None]
    likely = np.where(inside, scores.begin_K[:, None] + scores.end_K[last_KL], -np.inf)
    worth = np.where(inside, promise(scores, np.arange(count)[:, None], last_KL), -np.inf)
    found: dict[tuple[int, int], None] = {}
    for value, most in ((likely, LIKELIEST), (worth, WORTHIEST)):
        flat = value.ravel()
        most = min(most, len(flat))
        for i in np.argpartition(-flat, most - 1)[:most]:
            if flat[i] > -np.inf:
                found[int(i // longest), int(last_KL.ravel()[i])] = None
    for begin, end in _wholes(clues, scores, sentence):
        found[begin, end] = None
    return np.array(sorted(found))


def promise(scores: Scores, first: Whole, last: Whole) -> Array:
    """Expected F1, roughly: twice the units that are expected in common over both expected lengths."""
    total = np.append(0, np.cumsum(scores.inside_K))
    return 2 * (total[last + 1] - total[first]) / (last + 1 - first + max(1.0, total[-1]))


def _wholes(clues: Clues, scores: Scores, sentence: Whole) -> list[tuple[int, int]]:
    """Sentences and clauses in which most is expected."""
    firsts = np.flatnonzero(np.diff(sentence, prepend=-1))
    lasts = np.append(firsts[1:], len(sentence)) - 1
    held = np.add.reduceat(scores.inside_K, firsts)
    out = []
    for i in np.argsort(-held, kind="stable")[:SENTENCES]:
        first, last = int(firsts[i]), int(lasts[i])
        while last > first and clues.pause_K[last]:
            last -= 1
        out.append((first, last))
        stops = [first - 1, *(np.flatnonzero(clues.pause_K[first : last + 1]) + first).tolist(), last + 1]
        out += [(a + 1, b - 1) for a, b in pairwise(stops) if b - 1 >= a + 1]
    return out
