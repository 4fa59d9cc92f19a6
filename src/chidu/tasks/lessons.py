"""Examples as training batches, one kind for each way of answering; the loss counts on the answer only.

Shapes: B sequences, T tokens, N examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from chidu.data.loader import shuffle
from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.model.heads import Classifier, SpanReader
from chidu.model.text import encode
from chidu.model.transformer import Transformer
from chidu.tasks.example import Example, is_chinese
from chidu.tasks.passages import Passage, read_passages, split_units
from chidu.tasks.task import Task
from chidu.tasks.tuned import Head, Tuned
from chidu.training.objectives import Batch, losses, masked_tokens
from chidu.training.packing import Pair, Rows, pack_answers, pack_pairs

NOWHERE = (0, 0)
"""Where a window without the answer points: at the question's first token, as in BERT's reading of long passages."""


class Lesson(Protocol):
    """Batches of one split, the same for the same (seed, step)."""

    @property
    def steps(self) -> int:
        """Batches of one epoch."""

    @property
    def dropped(self) -> int:
        """Examples that could not be used: too long, or without a place to point at."""

    def losses(self, head: Head, number: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """Sum of the losses of batch `number` < `steps`, in nats, and the sum of their weights."""


def batch_number(lesson: Lesson, seed: int, step: int) -> int:
    """Which batch comes at a step: epochs of all batches, each in an order of its own."""
    epoch, place = divmod(step, lesson.steps)
    return int(shuffle(lesson.steps, seed, epoch)[place])


def make_lesson(
    tuned: Tuned, task: Task, examples: Sequence[Example], *, batch_tokens: int, length: int, dense: bool = False
) -> Lesson:
    """Turn examples into batches for a model's way of answering.

    Args:
        tuned: the model with its head.
        task: says what is prompt and what answer.
        examples: of one split.
        batch_tokens: tokens of a batch, padding included.
        length: tokens of a row; longer examples are left out, longer texts to classify are cut.
        dense: batches of one fixed shape, for torch.compile.

    Raises:
        InputError: no example can be used.
    """
    if tuned.way == "label":
        return _label(tuned, examples, batch_tokens, length)
    if tuned.way == "span":
        return _span(tuned, examples, batch_tokens, length)
    rows = _pack(tuned, task, examples, length)
    return Written(rows, max(1, batch_tokens // length), len(rows.dropped), dense)


@dataclass(frozen=True, eq=False)
class Written:
    """Answers that are written: packed rows, several examples in each."""

    rows: Rows
    size: int
    """Rows of a batch."""
    dropped: int
    dense: bool

    @property
    def steps(self) -> int:
        """See Lesson; the last batch is filled up with the first rows where it must be of full size."""
        return -(-len(self.rows) // self.size)

    def losses(self, head: Head, number: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """See Lesson."""
        assert isinstance(head, Transformer)
        first = number * self.size
        picked = np.arange(first, min(first + self.size, len(self.rows)))
        batch = self.rows.take(picked)
        if self.dense and len(picked) < self.size:
            batch = _fill(batch, self.size)
        return losses(head, batch.to(head.device), smoothing=smoothing, dense=self.dense)


def _fill(batch: Batch, size: int) -> Batch:
    """Add copies of the last row that count for nothing, so that the shape is the usual one."""

    def more(side: Tensor | None) -> Tensor | None:
        return None if side is None else torch.cat([side, side[-1:].expand(size - len(side), -1)])

    weights = torch.cat([batch.weights, torch.zeros(size - len(batch.weights), batch.weights.shape[1])])
    tokens, targets = more(batch.tokens), more(batch.targets)
    assert tokens is not None
    assert targets is not None
    return Batch(tokens, targets, weights, more(batch.segments), None, more(batch.source), more(batch.source_segments))


def _pack(tuned: Tuned, task: Task, examples: Sequence[Example], length: int) -> Rows:
    """Pairs of prompt and answer in rows."""
    eot = tuned.tokenizer.eot
    pairs: list[Pair] = []
    for example in examples:
        prompt, answer = task.pair(example)
        read, said = encode(tuned.tokenizer, prompt), encode(tuned.tokenizer, answer)
        if tuned.body.config.kind == "encoder_decoder":
            pairs.append((read or [eot], said))
        elif not read:
            pairs += [([eot] if not i else said[i - 1 : i], said[i : i + length - 1]) for i in _cuts(said, length)]
        else:
            pairs.append((read, said))
    if tuned.body.config.kind == "encoder_decoder":
        return pack_pairs(pairs, source_length=length, target_length=length, start=tuned.start, stop=eot)
    return pack_answers(pairs, length=length, stop=eot)


def _cuts(tokens: Sequence[int], length: int) -> range:
    """Where a text without a prompt is cut into rows, each read from the token before it."""
    return range(0, max(1, len(tokens)), length - 1)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Texts to classify, in batches of about equal length."""

    texts: list[list[int]]
    classes: NDArray[np.int64]
    batches: list[list[int]]
    dropped: int = 0

    @property
    def steps(self) -> int:
        """See Lesson."""
        return len(self.batches)

    def losses(self, head: Head, number: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """See Lesson."""
        assert isinstance(head, Classifier)
        members = self.batches[number]
        tokens, segments = pad([self.texts[i] for i in members], head.body.device)
        wanted = torch.from_numpy(self.classes[members]).to(tokens.device)
        scores = head(tokens, segments=segments)
        total = F.cross_entropy(scores.float(), wanted, reduction="sum", label_smoothing=smoothing)
        return total, torch.tensor(float(len(members)), device=tokens.device)


@dataclass(frozen=True, eq=False)
class Spanned:
    """Passages with the place of the answer in them."""

    passages: list[Passage]
    batches: list[list[int]]
    dropped: int

    @property
    def steps(self) -> int:
        """See Lesson."""
        return len(self.batches)

    def losses(self, head: Head, number: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """See Lesson: the mean of the losses of the first and of the last token."""
        assert isinstance(head, SpanReader)
        members = [self.passages[i] for i in self.batches[number]]
        tokens, segments = pad([passage.tokens for passage in members], head.body.device)
        types, _ = pad([passage.types for passage in members], head.body.device)
        starts, ends = head(tokens, segments=segments, types=types if head.config.token_types else None)
        wanted = torch.tensor([passage.answer or NOWHERE for passage in members], device=tokens.device)
        total = sum(
            F.cross_entropy(scores.float(), wanted[:, side], reduction="sum") / 2
            for side, scores in enumerate((starts, ends))
        )
        assert isinstance(total, Tensor)
        return total, torch.tensor(float(len(members)), device=tokens.device)


@dataclass(frozen=True, eq=False)
class Guessed:
    """Masked tokens to guess, for an encoder that has no answers yet; each batch has masks of its own, kept."""

    rows: list[list[int]]
    batches: list[list[int]]
    specials: Specials
    seed: int
    dropped: int = 0

    @property
    def steps(self) -> int:
        """See Lesson."""
        return len(self.batches)

    def losses(self, head: Head, number: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """See Lesson: of the masked tokens."""
        assert isinstance(head, Transformer)
        tokens, segments = pad([self.rows[i] for i in self.batches[number]], torch.device("cpu"))
        batch = masked_tokens(tokens.numpy(), self.specials, seed=self.seed, step=number, segments=segments.numpy())
        return losses(head, batch.to(head.device), smoothing=smoothing)


def make_guesses(tuned: Tuned, examples: Sequence[Example], *, batch_tokens: int, length: int, seed: int) -> Guessed:
    """Sources of examples as texts with masked tokens (1810.04805); long ones are cut into rows.

    Raises:
        InputError: the model has no mask.
    """
    if tuned.specials is None or tuned.body.config.kind != "encoder":
        raise InputError("only an encoder with special tokens guesses masked ones; use a fresh encoder")
    rows = []
    for example in examples:
        ids = encode(tuned.tokenizer, example.context or example.source)
        rows += [ids[i : i + length] for i in range(0, len(ids), length)]
    return Guessed(rows, by_length(rows, batch_tokens), tuned.specials, seed)


def _label(tuned: Tuned, examples: Sequence[Example], batch_tokens: int, length: int) -> Labelled:
    index = {label: i for i, label in enumerate(tuned.labels)}
    known = [example for example in examples if example.targets[0] in index]
    if not known:
        others = ", ".join(sorted({example.targets[0] for example in examples})[:8])
        raise InputError(
            f"no example has a label that the model knows ({', '.join(tuned.labels[:8])}), only {others}; "
            "name training and validation files with the same labels"
        )
    texts = [classified_text(tuned, example, length) for example in known]
    classes = np.array([index[example.targets[0]] for example in known])
    return Labelled(texts, classes, by_length(texts, batch_tokens), len(examples) - len(known))


def classified_text(tuned: Tuned, example: Example, length: int) -> list[int]:
    """Tokens of a text to classify, cut at the row's length; of Chinese no token crosses two characters."""
    units = [unit for unit, _ in split_units(example.source)] if is_chinese([example.source]) else [example.source]
    ids = [token for unit in units for token in encode(tuned.tokenizer, unit)]
    return (ids or [tuned.tokenizer.eot])[:length]


def _span(tuned: Tuned, examples: Sequence[Example], batch_tokens: int, length: int) -> Spanned:
    passages = []
    dropped = 0
    for example in examples:
        windows = read_passages(tuned, example, length)
        answered = any(window.answer is not None for window in windows)
        passages += windows if answered else []
        dropped += not answered
    if not passages:
        raise InputError("no answer stands in its passage; a span reader has nothing to learn from")
    return Spanned(passages, by_length([passage.tokens for passage in passages], batch_tokens), dropped)


def by_length(texts: Sequence[Sequence[int]], batch_tokens: int) -> list[list[int]]:
    """Numbers of texts in batches of neighbours in length, each of at most `batch_tokens` with its padding."""
    out: list[list[int]] = []
    held: list[int] = []
    for number in sorted(range(len(texts)), key=lambda i: (len(texts[i]), i)):
        if held and (len(held) + 1) * len(texts[number]) > batch_tokens:
            out.append(held)
            held = []
        held.append(number)
    return [*out, held] if held else out


def pad(texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows padded on the right, [B, T], and their segments."""
    width = max(len(text) for text in texts)
    tokens, segments = torch.zeros(2, len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.as_tensor(text)
        segments[row, : len(text)] = 1
    return tokens.to(device), segments.to(device)
