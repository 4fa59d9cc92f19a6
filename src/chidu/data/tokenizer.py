"""Byte-level byte-pair encoding (Sennrich et al. 1508.07909, on bytes as in GPT-2), and plain bytes: no merge at all.

Token b < 256 is the byte b, token 256 is end-of-text, token 257 + i is what the i-th merge makes. The file is the
`tokenizer.json` of Hugging Face's `tokenizers`, which also learns the merges; `tiktoken` encodes, with the same ids.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.errors import CorruptError, InputError
from chidu.store import read_json, write_text

Ids = NDArray[np.int32]

EOT = "<|endoftext|>"
EOT_ID = 256
BYTE_VOCAB = 257
"""Vocabulary of the plain byte tokenizer: 256 bytes and end-of-text."""

SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s{0,256}[\r\n]+"
    r"|\s{1,256}(?!\S)"
    r"|\s{1,256}"
)
"""No merge crosses these pieces: GPT-4's split, with digits one by one and runs of space bounded at 256 characters (the
regular expression of an unbounded run exhausts its stack)."""


def _byte_letters() -> list[str]:
    """The printable stand-in of each byte in `tokenizer.json`, [256], as GPT-2 defined it."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


LETTERS = _byte_letters()
BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


@dataclass(frozen=True)
class Tokenizer:
    """Text <-> token ids, without loss for any valid text. `Tokenizer()` is the plain byte tokenizer."""

    merges: tuple[tuple[bytes, bytes], ...] = ()
    """Pairs in the order in which they are merged."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, end-of-text included."""
        return BYTE_VOCAB + len(self.merges)

    @property
    def eot(self) -> int:
        """Id of end-of-text, which no text encodes to, not even its own name."""
        return EOT_ID

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """Bytes of each token, [vocab]; end-of-text has none."""
        return (*(bytes([byte]) for byte in range(256)), b"", *(left + right for left, right in self.merges))

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes that each token stands for, [vocab]; 0 for end-of-text."""
        return np.array([len(piece) for piece in self.pieces])

    @cached_property
    def _encoding(self) -> Any:
        tiktoken = import_extra("tiktoken")
        ranks = {piece: rank for rank, piece in enumerate(self.pieces) if rank != EOT_ID}
        return tiktoken.Encoding("chidu", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={EOT: EOT_ID})

    def encode_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and the characters that each stands for, as (first, one past the last).

        Tokens that are parts of one character all have that character.
        """
        ids = self.encode(text).tolist()
        owner = _owners(text)
        spans, at = [], 0
        for token in ids:
            size = len(self.pieces[token])
            spans.append((owner[at], owner[at + size - 1] + 1))
            at += size
        return ids, spans

    def encode(self, text: str) -> Ids:
        """Turn text into ids, [tokens] int32. Unpaired surrogates, which are not text, become U+FFFD."""
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            raw = text.encode()
        if not self.merges:
            return np.frombuffer(raw, dtype=np.uint8).astype(np.int32)
        if not text:
            return np.zeros(0, dtype=np.int32)
        return self._encoding.encode_to_numpy(text, disallowed_special=()).astype(np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids, [tokens], into text; end-of-text shows its name, and bytes that are not UTF-8 become U+FFFD.

        Raises:
            InputError: an id is outside the vocabulary.
        """
        pieces = []
        for token in ids:
            if not 0 <= token < self.vocab_size:
                raise InputError(f"token {token} is outside the vocabulary of {self.vocab_size}; use its own tokenizer")
            pieces.append(EOT.encode() if token == EOT_ID else self.pieces[token])
        return b"".join(pieces).decode("utf-8", "replace")

    def decode_after(self, before: Sequence[int], ids: Iterable[int]) -> str:
        """The text that ids add to those before them: their own, whatever stood there."""
        return self.decode(ids)

    def to_json(self, specials: Sequence[str] = ()) -> dict[str, Any]:
        """Content of a `tokenizer.json` that `transformers.PreTrainedTokenizerFast` loads.

        `specials` are the names of the ids just past the vocabulary, which no text encodes to.
        """
        vocab = {_spell(piece): token for token, piece in enumerate(self.pieces) if token != EOT_ID}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        added = [{"id": self.vocab_size + i, "content": name, **flags} for i, name in enumerate(specials)]
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": EOT_ID, "content": EOT, **flags}, *added],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": dict(sorted({**vocab, EOT: EOT_ID}.items(), key=lambda item: item[1])),
                "merges": [[_spell(left), _spell(right)] for left, right in self.merges],
            },
        }

    def save(self, path: Path) -> None:
        """Write the file atomically; the same merges give the same bytes."""
        write_text(path, json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read what `save` wrote, or an exported model's, whose special tokens are left aside.

        Raises:
            InputError: no such file.
            CorruptError: it is not a tokenizer of this kind.
        """
        value = read_json(path)
        try:
            merges = tuple((_unspell(left), _unspell(right)) for left, right in value["model"]["merges"])
            tokenizer = cls(merges)
            same = value == tokenizer.to_json([token["content"] for token in value["added_tokens"][1:]])
        except (KeyError, TypeError, ValueError):
            same = False
        if not same:
            raise CorruptError(f"{path} is not a tokenizer that chidu wrote; run chidu data again")
        return tokenizer

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn merges from texts; the same texts in the same order give the same merges.

        Args:
            texts: the training text; a piece that occurs once is not merged.
            vocab_size: ids wanted, end-of-text included. 0 and 257 mean plain bytes. Fewer come out of text too short.

        Raises:
            InputError: a vocabulary smaller than the bytes, or `tokenizers` is not installed.
        """
        check_vocab_size(vocab_size)
        if vocab_size in (0, BYTE_VOCAB):
            return cls()
        tokenizers = import_extra("tokenizers")
        learner = tokenizers.Tokenizer(tokenizers.models.BPE())
        parts = tokenizers.pre_tokenizers
        split = parts.Split(tokenizers.Regex(SPLIT), "isolated")
        learner.pre_tokenizer = parts.Sequence([split, parts.ByteLevel(add_prefix_space=False, use_regex=False)])
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size - 1,
            min_frequency=2,
            show_progress=False,
            initial_alphabet=parts.ByteLevel.alphabet(),
        )
        learner.train_from_iterator(texts, trainer)
        merges = json.loads(learner.to_str())["model"]["merges"]
        return cls(tuple((_unspell(left), _unspell(right)) for left, right in merges))


def _owners(text: str) -> list[int]:
    """The character that each byte of a text belongs to; a surrogate alone is three bytes, as U+FFFD is."""
    owners: list[int] = []
    place = 0
    while place < len(text):
        pair = "\ud800" <= text[place] < "\udc00" and "\udc00" <= text[place + 1 : place + 2] < "\ue000"
        size = 4 if pair else len(text[place].encode("utf-8", "surrogatepass"))
        owners += [place] * size
        place += 2 if pair else 1
    return owners


def check_vocab_size(vocab_size: int) -> None:
    """Check a vocabulary size.

    Raises:
        InputError: it is neither 0 nor at least 257, or does not fit 32 bits.
    """
    if vocab_size != 0 and not BYTE_VOCAB <= vocab_size <= 1 << 24:
        raise InputError(f"a vocabulary of {vocab_size} cannot be; ask for 0 or 257 (plain bytes), or for more")


def _spell(piece: bytes) -> str:
    return "".join(LETTERS[byte] for byte in piece)


def _unspell(letters: str) -> bytes:
    try:
        return bytes(BYTES[letter] for letter in letters)
    except KeyError:
        raise ValueError(letters) from None


def import_extra(name: str) -> Any:
    """Import a package of the extra `train`."""
    try:
        return __import__(name)
    except ImportError:
        raise InputError(f"this needs the package {name}; run: pip install 'chidu[train]'") from None
