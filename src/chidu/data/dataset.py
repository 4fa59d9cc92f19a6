"""A prepared data set: what training, evaluation and the tokenizer's users read."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chidu.data.loader import Batch, count_windows, take_windows
from chidu.data.shards import Shard, Tokens, open_shards
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.store import hash_file, hash_json, read_json

FORMAT = 1
"""Version of the folder's layout."""

RECORD, DATASHEET, TOKENIZER = "dataset.json", "datasheet.json", "tokenizer.json"

MAX_TOKENS = {"passages": 196_608, "unseen": 65_536}
"""Most tokens that are evaluated of each held-out split."""

MIN_WINDOWS = 2
"""Fewest windows that have a mean with a standard error."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Tokens of three splits, the tokenizer that made them, and the datasheet."""

    folder: Path
    id: str
    """Hash of tokens and tokenizer: `TrainConfig.data`."""
    train: Tokens
    """Training tokens, [train_tokens]: documents in the order of their hashes, end-of-text before each."""
    passages: Tokens
    """Held-out passages of the training documents, end-of-text before each."""
    unseen: Tokens
    """Documents held out as a whole, end-of-text before each."""
    tokenizer: Tokenizer
    bytes_per_token: float
    """UTF-8 bytes of the training text a training token, end-of-text counted as a token."""
    datasheet: dict[str, Any]
    """Where the text came from, what was left out and why, sizes, versions."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids, end-of-text included."""
        return self.tokenizer.vocab_size

    @property
    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes of each token, [vocab]; 0 for end-of-text. Bits a byte = nats / ln 2 / bytes."""
        return self.tokenizer.token_bytes

    @property
    def train_tokens(self) -> int:
        """Number of training tokens."""
        return len(self.train)

    def windows(self, split: str, context: int) -> Batch:
        """Cut a held-out split into its fixed evaluation windows, [n, context + 1].

        The split is one stream, end-of-text before each text, as in training; consecutive windows share one token, so
        that each token is predicted once; a last window that is not whole is left out. Of more than `MAX_TOKENS`,
        evenly spaced ones are taken.

        Raises:
            InputError: no such split, or fewer than `MIN_WINDOWS` whole windows.
        """
        if split not in MAX_TOKENS:
            raise InputError(f"there is no held-out split {split!r}; there are {' and '.join(MAX_TOKENS)}")
        tokens: Tokens = getattr(self, split)
        there = count_windows(len(tokens), context)
        if there < MIN_WINDOWS:
            raise InputError(
                f"{self.folder}: the {len(tokens):,} held-out tokens of {split!r} are fewer than {MIN_WINDOWS} windows "
                f"of context {context} ({MIN_WINDOWS * context + 1:,} tokens); add text or shorten the context"
            )
        taken = min(there, max(MIN_WINDOWS, MAX_TOKENS[split] // context))
        return take_windows(tokens, context, np.arange(taken) * there // taken)

    def __str__(self) -> str:
        """Print one line: sizes, vocabulary and id."""
        return (
            f"{self.train_tokens:,} training tokens, {len(self.passages):,} in held-out passages, "
            f"{len(self.unseen):,} in unseen documents; vocabulary {self.vocab_size:,}, "
            f"{self.bytes_per_token:.2f} bytes a token; data set {self.id}"
        )

    def __repr__(self) -> str:
        """Show the folder and the id."""
        return f"<Dataset {self.id} in {self.folder}>"

    def to_json(self) -> dict[str, Any]:
        """Sizes, as plain values."""
        return {
            "id": self.id,
            "folder": str(self.folder),
            "vocab_size": self.vocab_size,
            "bytes_per_token": self.bytes_per_token,
            "tokens": {"train": len(self.train), "passages": len(self.passages), "unseen": len(self.unseen)},
        }

    @classmethod
    def open(cls, folder: str | Path) -> "Dataset":
        """Open the folder that `prepare` wrote; every file is compared with its checksum.

        Raises:
            InputError: there is no data set, or one of another version.
            CorruptError: a file is missing or is not as it was written.
        """
        folder = Path(folder)
        record = read_record(folder)
        try:
            shards = {name: [Shard(**shard) for shard in part["shards"]] for name, part in record["splits"].items()}
            named = (shards["train"], shards["passages"], shards["unseen"])
            training, tokenizer_sha = record["splits"]["train"], record["tokenizer"]
            vocab_size, identity = record["vocab_size"], record["id"]
            bytes_per_token = training["bytes"] / training["tokens"]
        except (KeyError, TypeError, ZeroDivisionError):
            raise CorruptError(f"{folder / RECORD} is damaged; delete {folder} and run chidu data again") from None
        if not (folder / DATASHEET).is_file():
            raise CorruptError(f"{folder / DATASHEET} is missing; run chidu data again")
        tokenizer_file = folder / TOKENIZER
        if not tokenizer_file.is_file() or hash_file(tokenizer_file) != tokenizer_sha:
            raise CorruptError(f"{tokenizer_file} is missing or not as it was written; run chidu data again")
        train, passages, unseen = (open_shards(folder, part, vocab_size) for part in named)
        return cls(
            folder=folder,
            id=identity,
            train=train,
            passages=passages,
            unseen=unseen,
            tokenizer=Tokenizer.load(tokenizer_file),
            bytes_per_token=bytes_per_token,
            datasheet=read_json(folder / DATASHEET),
        )


def read_record(folder: Path) -> dict[str, Any]:
    """Read a data set's `dataset.json`, the mark that it is whole.

    Raises:
        InputError: it is not there, or of another version.
        CorruptError: it is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder} holds no data set; run chidu data SOURCE --out {folder} first")
    record = read_json(path)
    if not isinstance(record, dict):
        raise CorruptError(f"{path} is damaged; delete {folder} and run chidu data again")
    if record.get("format") != FORMAT:
        raise InputError(
            f"{folder} was written in format {record.get('format')}, but this chidu reads {FORMAT}; "
            "delete it and run chidu data again"
        )
    return record


def dataset_id(tokenizer_sha: str, shards: list[Shard]) -> str:
    """Identity of a data set: the hash of what its files hold."""
    return hash_json({"format": FORMAT, "tokenizer": tokenizer_sha, "shards": [shard.to_json() for shard in shards]})


def is_ours(name: str) -> bool:
    """Whether `prepare` writes files of that name."""
    return name in (RECORD, DATASHEET, TOKENIZER) or bool(re.fullmatch(r"(train|passages|unseen)-\d{5}\.bin", name))
