"""A model with what it needs to answer a task: its tokenizer, its head, its labels; saved as one folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from chidu.config import ModelConfig
from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.model.heads import Classifier, SpanReader
from chidu.model.pretrained import Pretrained
from chidu.model.text import TextTokenizer
from chidu.model.transformer import Transformer
from chidu.store import hash_file, read_json, write_folder, write_json, write_text
from chidu.tasks.task import Task

Way = Literal["write", "label", "span"]
"""How a model answers: it writes text, gives one of some labels, or points at a span of the passage."""
Head = Transformer | Classifier | SpanReader
ABOUT, WEIGHTS, CONFIG, TOKENIZER = "tuned.json", "model.safetensors", "config.json", "tokenizer.json"
MODEL = "model"
"""The folder of the model in a tuning's folder."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """A model that answers."""

    head: Head
    """The model itself, or a head with the model as its `body`."""
    tokenizer: TextTokenizer
    specials: Specials | None = None
    """Ids of padding and separator; a decoder that writes needs none."""
    labels: tuple[str, ...] = ()
    """Of a classifier, in the order of its scores."""
    start_token: int | None = None
    """Of an encoder-decoder, what its answers are read from; None means end-of-text."""

    @property
    def body(self) -> Transformer:
        """The Transformer without its head."""
        return self.head if isinstance(self.head, Transformer) else self.head.body

    @property
    def start(self) -> int:
        """The token that an encoder-decoder's answer is read from."""
        return self.tokenizer.eot if self.start_token is None else self.start_token

    @property
    def way(self) -> Way:
        """How it answers."""
        if isinstance(self.head, Classifier):
            return "label"
        return "span" if isinstance(self.head, SpanReader) else "write"

    def pretrained(self) -> Pretrained:
        """The same as a model that was loaded from elsewhere."""
        start = self.start if self.body.config.kind == "encoder_decoder" else None
        mask = self.specials.mask if self.specials is not None else None
        head = None if isinstance(self.head, Transformer) else self.head
        tokenizer = self.tokenizer
        assert isinstance(tokenizer, Tokenizer | HubTokenizer)
        return Pretrained(self.body, tokenizer, (tokenizer.eot,), start, mask, self.specials, head, self.labels)

    def save(self, folder: Path, task: Task) -> None:
        """Write the folder whole.

        Raises:
            InputError: the disk is full.
        """
        foreign = isinstance(self.tokenizer, HubTokenizer)
        weights = {name: weight.detach().cpu().contiguous() for name, weight in self.head.state_dict().items()}
        with write_folder(folder) as beside:
            try:
                save_file(weights, beside / WEIGHTS)
            except SafetensorError as error:
                raise InputError(f"{folder} cannot be written ({error}); free some space, then rerun") from None
            write_json(beside / CONFIG, self.body.config.to_json())
            if isinstance(self.tokenizer, HubTokenizer):
                write_text(beside / TOKENIZER, self.tokenizer.text)
            else:
                assert isinstance(self.tokenizer, Tokenizer)
                self.tokenizer.save(beside / TOKENIZER)
            about = {
                "way": self.way,
                "task": task.to_json(),
                "labels": list(self.labels),
                "specials": self.specials.to_json() if self.specials else None,
                "start_token": self.start_token,
                "foreign_eot": self.tokenizer.eot if foreign else None,
                "dense": not (isinstance(self.head, Classifier) and self.head.dense is None),
            }
            write_json(beside / ABOUT, {**about, "sha256": hash_file(beside / WEIGHTS)})

    @classmethod
    def load(cls, folder: Path) -> "Tuned":
        """Read what `save` wrote.

        Raises:
            InputError: there is no such model.
            CorruptError: a file is damaged.
        """
        if not (folder / ABOUT).exists():
            raise InputError(f"{folder} holds no tuned model; name a folder that chidu tune wrote")
        about = read_json(folder / ABOUT)
        try:
            config = ModelConfig.from_json(read_json(folder / CONFIG))
            specials = Specials(**about["specials"]) if about["specials"] else None
            labels, way, expected = tuple(about["labels"]), about["way"], about["sha256"]
            start, eot = about["start_token"], about["foreign_eot"]
            head = make_head(Transformer(config), way, len(labels), dense=about.get("dense", True))
            if hash_file(folder / WEIGHTS) != expected:
                raise ValueError("its checksum is not the recorded one")
            head.load_state_dict(load_file(folder / WEIGHTS))
        except (InputError, KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise CorruptError(f"{folder} is damaged ({error}); tune the model again") from None
        file = folder / TOKENIZER
        tokenizer = Tokenizer.load(file) if eot is None else HubTokenizer(file.read_text(encoding="utf-8"), eot, folder)
        return cls(head.eval(), tokenizer, specials, labels, start)


def find_tuned(path: Path) -> Path | None:
    """The folder that holds the tuned model of a tuning's folder, or this one; None where it is none.

    Raises:
        InputError: the tuning has not ended.
    """
    found = next((folder for folder in (path, path / MODEL) if (folder / ABOUT).is_file()), None)
    if found is None and (path / CONFIG).is_file() and any(path.glob("state-*")):
        raise InputError(f"{path} holds a tuning that has not ended; the same chidu tune goes on with it")
    return found


def make_head(body: Transformer, way: Way, labels: int, seed: int = 0, *, dense: bool = True) -> Head:
    """Put the head on that answers in this way; `dense` is of a classifier."""
    if way == "label":
        return Classifier(body, max(2, labels), dense=dense, seed=seed)
    return SpanReader(body, seed=seed) if way == "span" else body
