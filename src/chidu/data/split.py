"""What is held out of training: whole documents, and passages of the documents that are trained on.

Whether a text is held out depends on its own hash and on a rate, never on its position, so that it stays held out when
sources are added, and so that a text that occurs twice falls on the same side twice. Rates are powers of two chosen
from the size of the corpus. The law is fitted on passages, which come from the sources that training sees; unseen
documents bend away from it on repeated data and are reported beside.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from chidu.data.corpus import text_hash

Split = Literal["train", "passages", "unseen"]

MAX_RATE = 1 / 8
MIN_PASSAGE, MAX_PASSAGE = 512, 4096


@dataclass(frozen=True)
class SplitPlan:
    """How much is held out."""

    unseen_rate: float
    """Part of the documents."""
    passage_rate: float
    """Part of the passages of the other documents."""
    passage_bytes: int
    """UTF-8 bytes of a passage, about."""

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return asdict(self)


def plan_split(total_bytes: int, documents: int) -> SplitPlan:
    """Choose the rates so that held-out text is enough to measure a loss on, and little of a large corpus.

    Passages: 2 % of the corpus, but 50 kB to 1 MB; documents: 1 %, but 25 kB to 500 kB, and four of them. Rates are
    rounded up to a power of two and are at most 1/8. Passages are 4 kB, in corpora under 1 MB smaller.
    """
    total = max(total_bytes, 1)
    passages = min(max(total / 50, 50e3), 1e6)
    unseen = min(max(total / 100, 25e3), 5e5)
    coarse = 1 << (total.bit_length() - 1)
    return SplitPlan(
        unseen_rate=_rate(max(unseen / total, 4 / max(documents, 1))),
        passage_rate=_rate(passages / total),
        passage_bytes=min(max(coarse // 128, MIN_PASSAGE), MAX_PASSAGE),
    )


def split_document(document: bytes, plan: SplitPlan) -> Iterator[tuple[Split, bytes]]:
    """Divide one document, UTF-8, into texts and the split of each, in the order of the document.

    A document is `unseen` as a whole, or a sequence of stretches of `train` and single `passages`.
    """
    if is_held_out(document, "unseen", plan.unseen_rate):
        yield "unseen", document
        return
    stretch: list[bytes] = []
    for passage in cut_passages(document, plan.passage_bytes):
        if is_held_out(passage, "passages", plan.passage_rate):
            yield from _trained(stretch)
            stretch = []
            yield "passages", passage.strip(b"\n")
        else:
            stretch.append(passage)
    yield from _trained(stretch)


def cut_passages(document: bytes, size: int) -> Iterator[bytes]:
    """Cut a text, UTF-8, into pieces of half to one and a half of `size` bytes whose sum it is.

    The cut is at the last line end that makes a piece of `size` or less, or at the last space, or between characters.
    """
    start = 0
    while len(document) - start > size * 3 // 2:
        shortest, longest = start + size // 2, start + size
        end = document.rfind(b"\n", shortest, longest) + 1 or document.rfind(b" ", shortest, longest)
        if end <= 0:
            end = longest
            while document[end] & 0xC0 == 0x80:
                end -= 1
        yield document[start:end]
        start = end
    if start < len(document):
        yield document[start:]


def is_held_out(text: bytes, split: Split, rate: float) -> bool:
    """Draw a text's lot: the hash of its hash and the split's name, as a number in [0, 1), lies below the rate."""
    lot = hashlib.blake2b(text_hash(text.strip(b"\n")), key=split.encode(), digest_size=8).digest()
    return int.from_bytes(lot, "big") < rate * 2**64


def select(documents: Iterable[bytes], plan: SplitPlan, split: Split) -> Iterator[bytes]:
    """Yield the texts of one split."""
    return (text for document in documents for where, text in split_document(document, plan) if where == split)


def _trained(stretch: list[bytes]) -> Iterator[tuple[Split, bytes]]:
    if text := b"".join(stretch).strip(b"\n"):
        yield "train", text


def _rate(wanted: float) -> float:
    return min(2.0 ** math.ceil(math.log2(wanted)), MAX_RATE)
