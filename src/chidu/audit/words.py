"""Tokens merged to words, and attention between tokens to attention between words.

Shapes: T tokens (queries), S tokens (keys), W words.
"""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chidu.errors import InputError

Array = NDArray[np.float64]
Span = tuple[int, int]
"""Characters of a text: the first, and one past the last."""

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
UNIT = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’][^\W_{HAN}]+)*|[^\s]", re.UNICODE)
"""A word of an alphabet, a Chinese character, or a sign."""


@dataclass(frozen=True)
class Word:
    """A word and the tokens that it is made of."""

    text: str
    tokens: tuple[int, ...]
    """Places of its tokens, in order and in one piece."""
    special: bool = False
    """Whether it is a token that stands for no text, such as the one before a text."""


def split_units(text: str, cut: Sequence[str] = ()) -> list[Span]:
    """Words, characters and signs of a text.

    Chinese is cut into words where jieba is installed, else by character. `cut` are the words, in order, of a text that
    is already cut.

    Raises:
        InputError: the words of `cut` are not those of the text.
    """
    if cut:
        return _find_words(text, cut)
    units = [match.span() for match in UNIT.finditer(text)]
    if importlib.util.find_spec("jieba") is None:
        return units
    import jieba

    jieba.setLogLevel(60)
    spans = []
    for word, first, last in jieba.tokenize(text):
        if re.fullmatch(f"[{HAN}]+", word):
            spans.append((first, last))
    covered = {place for first, last in spans for place in range(first, last)}
    return sorted(spans + [unit for unit in units if unit[0] not in covered])


def _find_words(text: str, cut: Sequence[str]) -> list[Span]:
    """Where given words stand in a text."""
    spans, at = [], 0
    for word in cut:
        first = at + len(text[at:]) - len(text[at:].lstrip())
        at = first + len(word)
        if text[first:at] != word:
            raise InputError(
                f"--words: {word} does not come next in the text; write the text with spaces between words"
            )
        spans.append((first, at))
    if text[at:].strip():
        raise InputError(f"--words: {text[at:].strip()} at the end of the text is in no word; add it")
    return spans


def merge_tokens(text: str, spans: Sequence[Span], names: Sequence[str], cut: Sequence[str] = ()) -> list[Word]:
    """Words of tokens: tokens that share a word or a character are one word, and so are words that share a token.

    Args:
        text: what was read.
        spans: the characters of each token; empty for a token that stands for no text.
        names: what to call each token where it stands for none.
        cut: the words, in order, of a text that is already cut.
    """
    units = split_units(text, cut)
    owner = [-1] * (len(text) + 1)
    for number, (first, last) in enumerate(units):
        owner[first:last] = [number] * (last - first)
    words: list[Word] = []
    reached = -1  # last unit of the word so far
    for place, (first, last) in enumerate(spans):
        inside = [owner[at] for at in range(first, last) if owner[at] >= 0]
        if first == last:
            words.append(Word(names[place], (place,), special=True))
            reached = -1
        elif words and not words[-1].special and (not inside or inside[0] <= reached):
            words[-1] = Word("", (*words[-1].tokens, place))
            reached = max([reached, *inside])
        else:
            words.append(Word("", (place,)))
            reached = max(inside, default=-1)
    return [word if word.special else Word(_text_of(word, text, spans), word.tokens) for word in words]


def _text_of(word: Word, text: str, spans: Sequence[Span]) -> str:
    whole = text[min(spans[place][0] for place in word.tokens) : max(spans[place][1] for place in word.tokens)]
    return whole.strip() or whole


def merge_weights(weights: Array, queries: Sequence[Word], keys: Sequence[Word]) -> Array:
    """Attention between words, [..., T, S] -> [..., W, W]: the mean over a word's queries of the sum over its keys.

    Rows that summed to one still do (1906.04341, section 4.1).
    """
    summed = np.stack([weights[..., list(word.tokens)].sum(axis=-1) for word in keys], axis=-1)
    return np.stack([summed[..., list(word.tokens), :].mean(axis=-2) for word in queries], axis=-2)


def roll_out(layers: Sequence[Array]) -> Array:
    """What each place of the last layer has from each token, [T, T]: attention rollout (2005.00928, section 3).

    A layer passes on half of what it adds and half of what it kept, the heads averaged.
    """
    rolled = np.eye(layers[0].shape[-1])
    for weights in layers:
        rolled = (0.5 * weights.mean(axis=0) + 0.5 * np.eye(len(rolled))) @ rolled
    return rolled
