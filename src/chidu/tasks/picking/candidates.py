"""The parts of a text that might sum it up: sentences, and what is left of them where something is cut away.

Chinese: one to three clauses in a row, since titles are shorter than sentences. English: a sentence without its opening
words ("In this paper, "), without its end after a comma or a joining word, without what stands before its first commas,
without brackets. Cutting by rules is an old form of sentence compression (Zajic et al. 2007); which cut is worth it,
the ranking decides.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chidu.tasks.baselines.sentences import CLAUSES, split_sentences

OPENING = re.compile(
    r"^(in this [^,]{0,40}|here|however|therefore|thus|moreover|furthermore|in addition|additionally|specifically"
    r"|in particular|finally|to this end|more specifically|recently|hence|consequently|as a result|first|second|then"
    r"|to (address|solve|tackle|overcome|alleviate|remedy|mitigate)[^,]*|(motivated|inspired) by [^,]*|based on [^,]*)"
    r"\s*,\s*(?=\S)",
    re.IGNORECASE,
)
"""Words before a sentence proper."""
JOINTS = re.compile(r",\s|;\s|:\s|\s—\s|\s-\s|\s\(")
JOINING = ("and", "which", "that", "while", "by", "where", "with", "using", "without", "for", "to")
"""Words before which a sentence may end."""
BRACKETS = re.compile(r"\s*\([^)]*\)")
CUTS = ("whole", "opening", "end", "start", "brackets", *JOINING)
"""Kinds of cuts, for the ranking to learn the worth of."""
LEAST = 25
"""Characters that must be left before a cut at a comma; 40 at a joining word and after a cut start."""
MOST_CLAUSES, LONGEST_TITLE = 3, 60


@dataclass(frozen=True)
class Candidate:
    """One part."""

    place: int
    """Number of its sentence."""
    text: str
    sentence: str
    """The whole sentence."""
    cuts: tuple[str, ...]


def find_candidates(text: str, chinese: bool) -> list[Candidate]:
    """The parts of a text, in order; never none."""
    out = []
    for place, sentence in enumerate(split_sentences(text)):
        found = _clauses(sentence) if chinese else _shortened(sentence)
        out += [Candidate(place, part, sentence, cuts) for part, cuts in found.items()]
    return out


def _clauses(sentence: str) -> dict[str, tuple[str, ...]]:
    """Runs of clauses that are neither too short nor too long for a title, else the sentence's beginning."""
    ends = [(0, 0), *((match.start(), match.end()) for match in CLAUSES.finditer(sentence)), (len(sentence),) * 2]
    spans = [(before[1], after[0]) for before, after in pairwise(ends)]
    found: dict[str, tuple[str, ...]] = {}
    for i, (first, _) in enumerate(spans):
        for _, last in spans[i : i + MOST_CLAUSES]:
            part = sentence[first:last].strip(" 。，；、")
            if 4 < len(part) <= LONGEST_TITLE:
                found.setdefault(part, ("whole",))
    if not found:
        found[sentence[:LONGEST_TITLE]] = ("whole",)
    return found


def _shortened(sentence: str) -> dict[str, tuple[str, ...]]:
    """A sentence and what cuts leave of it."""
    bases: dict[str, tuple[str, ...]] = {sentence: ("whole",)}
    opening = OPENING.match(sentence)
    if opening:
        bases[_capital(sentence[opening.end() :])] = ("opening",)
    found = dict(bases)
    for base, cuts in bases.items():
        for part, cut in _cut(base):
            found.setdefault(part, (*cuts, cut))
    return found


def _cut(base: str) -> Iterator[tuple[str, str]]:
    """Each single cut of a sentence, and its kind."""
    joints = [joint.start() for joint in JOINTS.finditer(base)]
    for at in joints:
        if at > LEAST:
            yield f"{base[:at].rstrip()}.", "end"
    for at in joints[:3]:
        rest = base[at:].lstrip(",;:—-( ")
        if len(rest) > LEAST + 15:
            yield _capital(rest), "start"
    for word in JOINING:
        for match in list(re.finditer(f" {word} ", base))[:4]:
            if match.start() > LEAST + 15:
                yield f"{base[: match.start()].rstrip(' ,')}.", word
    if BRACKETS.search(base):
        yield BRACKETS.sub("", base), "brackets"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
