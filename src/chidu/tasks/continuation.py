"""How a text goes on: the true continuation of a passage among others of the same text. Any text makes the questions.

It is what small base models can be asked: a choice by probability, in which the others are real text too.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from chidu.data.dataset import Dataset
from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.tasks.choice import Choice, encode_pair
from chidu.tasks.example import Example
from chidu.tasks.generation import Generation

LEAST = 100
"""Questions below which a score says little."""
BROKEN = "\ufffd"
"""What a part of a character decodes to."""


@dataclass(frozen=True, kw_only=True)
class Continuation(Choice):
    """The choice of the true continuation, cut where the model's own tokenizer cuts, all of as many tokens.

    Of as many tokens, because else the shortest is likeliest. So models of one tokenizer get the same questions, others
    do not.
    """

    key: ClassVar[str] = "continuation"
    fields: ClassVar[dict[str, str]] = {"text": "the text; or a .txt file"}

    choices: int = 4
    prompt_tokens: int = 24
    choice_tokens: int = 8
    shuffle: int = 0
    """Seed of the other choices and of their order."""

    def examples(self, path: Path) -> list[Example]:
        """See Task: the questions that the texts of a file make.

        Raises:
            InputError: there is too little text, or no tokenizer to cut it with.
        """
        made = self.questions([example.source for example in Generation().examples(path)])
        if len(made) < LEAST:
            raise InputError(f"{path} makes {len(made)} questions of {LEAST} at least; name a file with more text")
        return made

    def questions(self, texts: Sequence[str]) -> list[Example]:
        """Questions from texts, one after another: each place of a text is in one at most.

        The other choices are the right ones of other questions.

        Raises:
            InputError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise InputError("continuation cuts texts with the tokenizer of the model that is examined; it trains none")
        tokenizer = self.tokenizer
        pairs = [pair for text in texts for pair in cut(tokenizer, text, self.prompt_tokens, self.choice_tokens)]
        rng, out = random.Random(self.shuffle), []
        for i, (prompt, right) in enumerate(pairs):
            drawn = rng.sample(range(len(pairs)), min(4 * self.choices, len(pairs)))
            others = dict.fromkeys(pairs[j][1] for j in drawn if j != i)
            wrong = [text for text in others if text != right][: self.choices - 1]
            if len(wrong) == self.choices - 1:
                choices = rng.sample([right, *wrong], self.choices)
                out.append(Example(source=prompt, choices=tuple(choices), targets=(right,)))
        return out

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task; a record alone makes no questions, `examples` does."""
        raise ValueError("the questions are made from whole texts")


def cut(tokenizer: Tokenizer | HubTokenizer, text: str, before: int, after: int) -> Iterator[tuple[str, str]]:
    """Prompts of `before` tokens and the `after` that follow each, as texts that become the same tokens again."""
    ids = [int(token) for token in tokenizer.encode(text)]
    place = 0
    while place + before + after <= len(ids):
        first, second = ids[place : place + before], ids[place + before : place + before + after]
        prompt, following = tokenizer.decode(first), tokenizer.decode_after(first, second)
        parts = encode_pair(tokenizer, prompt, following)
        whole = BROKEN not in prompt + following and [len(part) for part in parts] == [before, after]
        if whole:
            yield prompt, following
        place += before + after if whole else 1


def held_out_texts(data: Dataset, split: str = "passages") -> list[str]:
    """The texts of a held-out split."""
    tokens = {"passages": data.passages, "unseen": data.unseen}[split][:]
    return list(_texts(data, tokens.tolist()))


def training_texts(data: Dataset, most: int) -> list[str]:
    """The first training texts, `most` tokens of them."""
    return list(_texts(data, data.train[:most].tolist()))


def _texts(data: Dataset, ids: list[int]) -> Iterator[str]:
    """Texts of a stream, each of which end-of-text stands before."""
    held: list[int] = []
    for token in [*ids, data.tokenizer.eot]:
        if token != data.tokenizer.eot:
            held.append(token)
        elif held:
            yield data.tokenizer.decode(held)
            held = []
