"""Text generation: how well real text is predicted, and how the model's own text compares with it."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.tasks.baselines.baseline import Answerer, Baseline
from chidu.tasks.baselines.ngram import ORDER, NgramModel
from chidu.tasks.example import Example, Prediction, is_chinese, text_field
from chidu.tasks.metrics.divergence import PER_CLUSTER, similarity
from chidu.tasks.metrics.diversity import distinct, repetition
from chidu.tasks.metrics.modelling import bits_per_byte
from chidu.tasks.score import Metric
from chidu.tasks.task import Task

if TYPE_CHECKING:
    from chidu.model.text import TextTokenizer

PASSAGE = 2000
"""Characters, about, of the passages that a plain text file is cut into."""


@dataclass(frozen=True, kw_only=True)
class Generation(Task):
    """Bits per byte of whole texts; of continuations similarity to real text, distinct n-grams and repetition.

    A continuation goes on from the first `opening` characters of a text for `length` characters, and is compared with
    how the text itself goes on. The baseline is a 5-gram model of the same tokens, or of bytes without a tokenizer.
    """

    key: ClassVar[str] = "generation"
    fields: ClassVar[dict[str, str]] = {"text": "the text; a .txt file is cut into passages at line ends"}

    opening: int = 32
    length: int = 200
    tokenizer: Tokenizer | None = field(default=None, compare=False, repr=False)
    """Of the n-gram model: that of the model which is scored, so that both predict the same tokens."""

    def examples(self, path: Path) -> list[Example]:
        """See Task; plain text is read too."""
        if not path.name.removesuffix(".gz").endswith(".txt"):
            return super().examples(path)
        pieces = [Example(source=piece) for piece in _passages(_read_text(path)) if piece.strip()]
        if not pieces:
            raise InputError(f"{path} holds no text; name a file with some")
        return pieces

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task; a record without any text is passed over."""
        text = text_field(record, "text")
        return [Example(source=text)] if text.strip() else []

    def prompt(self, example: Example) -> str:
        """See Task."""
        return example.source[: self.opening]

    def pair(self, example: Example) -> tuple[str, str]:
        """See Task: the whole text, after nothing."""
        return "", example.source

    def real(self, example: Example) -> str:
        """How the text goes on after its opening."""
        return example.source[self.opening : self.opening + self.length]

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task; bits per byte where log-probabilities are given, the rest where continuations are.

        A continuation is cut to the length of the real one, so that length says nothing; an empty one counts too, for a
        model and its baseline are compared on the same texts.
        """
        found = []
        nats = [prediction.nats for prediction in predictions]
        given = [value for value in nats if value is not None]
        if len(given) == len(nats):
            found.append(bits_per_byte(given, [example.source for example in examples]))
        pairs = [
            (prediction.text[: len(self.real(example))], self.real(example))
            for example, prediction in zip(examples, predictions, strict=True)
            if self.real(example)
        ]
        if any(made for made, _ in pairs):
            made, real = (list(column) for column in zip(*pairs, strict=True))
            by_character = is_chinese(real)
            if len(pairs) >= 2 * PER_CLUSTER:
                found.append(similarity(made, real))
            found += [distinct(made, n, by_character) for n in (1, 2, 3)]
            found.append(repetition(made, 4, by_character))
        if not found:
            raise InputError(
                f"nothing to score: the model wrote nothing, or no text goes on after its first {self.opening} "
                "characters; give longer texts, or a decoder, whose bits per byte need none"
            )
        return found

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        unit = "tokens" if self.tokenizer else "bytes"
        return [Baseline(f"{ORDER}-gram model of {unit}", self._fit_ngram)]

    def to_json(self) -> dict[str, Any]:
        """See Task; without the tokenizer, which belongs to the model."""
        return {"task": self.key, "opening": self.opening, "length": self.length}

    def _fit_ngram(self, train: Sequence[Example]) -> Answerer:
        tokenizer = self.tokenizer or Tokenizer()
        model = fit_ngram(tokenizer, train)

        def answer(examples: Sequence[Example]) -> list[Prediction]:
            out = []
            for seed, example in enumerate(examples):
                tokens = [tokenizer.eot, *tokenizer.encode(example.source).tolist()]
                nats = -float(model.log_probabilities(np.array(tokens))[1:].sum())
                start = [tokenizer.eot, *tokenizer.encode(self.prompt(example)).tolist()]
                longest = len(self.real(example).encode("utf-8", "replace"))
                drawn = model.sample(longest, context=start, stop=tokenizer.eot, seed=seed) if longest else []
                out.append(Prediction(text=tokenizer.decode(drawn), nats=nats))
            return out

        return answer


def fit_ngram(tokenizer: "TextTokenizer", train: Sequence[Example]) -> NgramModel:
    """Count texts, end-of-text between them."""
    parts = [np.array([tokenizer.eot, *tokenizer.encode(example.source)]) for example in train]
    return NgramModel.fit(np.concatenate([*parts, [tokenizer.eot]]), tokenizer.vocab_size)


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; name a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; convert it to UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptError(f"{path} is a damaged gzip file ({error}); fetch it again") from None


def _passages(text: str) -> list[str]:
    """Cut at the first line end after `PASSAGE` characters; nothing is lost."""
    out, held = [], ""
    for line in text.splitlines(keepends=True):
        held += line
        if len(held) >= PASSAGE:
            out.append(held)
            held = ""
    return [*out, held] if held else out
