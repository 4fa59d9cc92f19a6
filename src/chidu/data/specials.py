"""Tokens that no text encodes to: padding, the mask, the separator, and the blanks of a denoising task.

They stand just past the tokenizer's own ids, always in the same order, so that a model's vocabulary says how many there
are and an exported tokenizer can name them.
"""

from dataclasses import dataclass
from typing import Any

from chidu.errors import InputError

PAD, MASK, SEPARATOR = "<|pad|>", "<|mask|>", "<|sep|>"
BLANK = "<|blank_{}|>"


@dataclass(frozen=True)
class Specials:
    """The special ids beside a tokenizer's vocabulary."""

    first: int
    """The tokenizer's own vocabulary: the first id that is free."""
    eot: int
    """The tokenizer's end-of-text, which also starts a target."""
    blanks: int = 32
    """How many blanks there are to tell apart in one text."""

    def __post_init__(self) -> None:
        """Check the counts; InputError where one cannot be."""
        if not 0 <= self.eot < self.first or self.blanks < 0:
            raise InputError(f"{self} cannot be: end-of-text lies inside the vocabulary, and blanks are not negative")

    @property
    def pad(self) -> int:
        """Fills a row; no token sees it, and no loss counts it."""
        return self.first

    @property
    def mask(self) -> int:
        """Stands where a token is to be guessed (1810.04805)."""
        return self.first + 1

    @property
    def separator(self) -> int:
        """Stands between two texts that are read together."""
        return self.first + 2

    def blank(self, number: int) -> int:
        """Stands for the span of that number, counted from 0 (1910.10683: a sentinel)."""
        if not 0 <= number < self.blanks:
            raise InputError(f"there is no blank {number}; there are {self.blanks}")
        return self.first + 3 + number

    @property
    def vocab_size(self) -> int:
        """Ids in all: a model's `vocab_size`."""
        return self.first + 3 + self.blanks

    @property
    def names(self) -> list[str]:
        """Names of the special tokens, in the order of their ids."""
        return [PAD, MASK, SEPARATOR, *(BLANK.format(number) for number in range(self.blanks))]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "eot": self.eot, "blanks": self.blanks}

    @classmethod
    def within(cls, first: int, eot: int, vocab_size: int) -> "Specials | None":
        """The specials of a model with that vocabulary; None where it has none."""
        return cls(first, eot, vocab_size - first - 3) if vocab_size >= first + 3 else None
