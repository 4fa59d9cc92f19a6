"""The tokenizer of a Hugging Face folder: whatever its `tokenizer.json` says, by Hugging Face's own `tokenizers`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chidu.data.tokenizer import import_extra
from chidu.errors import CorruptError
from chidu.store import read_json

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
"""What is kept of a tokenizer, as it was, when a model is saved again."""


@dataclass(frozen=True, eq=False)
class HubTokenizer:
    """Text <-> token ids by a `tokenizer.json` of any kind."""

    text: str
    """The file's content."""
    eot: int
    """Id of the token that ends a text, as the folder's `config.json` has it."""
    folder: Path | None = None
    """Where it came from."""

    @cached_property
    def backend(self) -> Any:
        """The tokenizer of `tokenizers`."""
        tokenizers = import_extra("tokenizers")
        try:
            return tokenizers.Tokenizer.from_str(self.text)
        except Exception as error:  # what `tokenizers` raises has no class of its own
            where = self.folder / FILES[0] if self.folder else FILES[0]
            raise CorruptError(f"{where} is not a tokenizer ({error}); fetch the folder again") from None

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Turn text into ids; `special` adds what the model is used to around a text, such as [CLS] and [SEP]."""
        return list(self.backend.encode(text, add_special_tokens=special).ids)

    def encode_spans(self, text: str, *, special: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and the characters that each stands for, as (first, one past the last); empty for special tokens."""
        encoding = self.backend.encode(text, add_special_tokens=special)
        return list(encoding.ids), [(int(first), int(last)) for first, last in encoding.offsets]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text, special tokens left out."""
        return str(self.backend.decode([int(i) for i in ids], skip_special_tokens=True))

    def decode_after(self, before: Sequence[int], ids: Iterable[int]) -> str:
        """The text that ids add to those before them: some tokenizers write the first token of a text otherwise."""
        start = self.decode(before)
        whole = self.decode([*before, *ids])
        return whole[len(start) :] if whole.startswith(start) else self.decode(ids)

    def id_of(self, token: str) -> int | None:
        """Id of a token by its name."""
        found = self.backend.token_to_id(token)
        return None if found is None else int(found)

    def name_of(self, token: int) -> str | None:
        """Name of a token by its id."""
        found = self.backend.id_to_token(token)
        return None if found is None else str(found)

    @cached_property
    def bos(self) -> int | None:
        """Id of the token that begins a text, by `tokenizer_config.json`; None where it names none."""
        file = self.folder / FILES[1] if self.folder else None
        named = read_json(file).get("bos_token") if file is not None and file.is_file() else None
        content = named.get("content") if isinstance(named, dict) else named
        return self.id_of(content) if isinstance(content, str) else None

    @classmethod
    def load(cls, folder: Path, eot: int) -> "HubTokenizer | None":
        """The tokenizer of a folder; None where there is no `tokenizer.json`."""
        file = folder / FILES[0]
        if not file.is_file():
            return None
        try:
            return cls(file.read_text(encoding="utf-8"), eot, folder)
        except UnicodeDecodeError:
            raise CorruptError(f"{file} is not UTF-8; fetch the folder again") from None
