"""A model answers: it writes, gives a label, or points at a span; what it answers is scored by its task.

Shapes: B sequences, T tokens, L labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chidu.errors import InputError
from chidu.model.beam import beam_search
from chidu.model.generation import generate_batch
from chidu.model.heads import Classifier, SpanReader, best_spans
from chidu.model.sampling import Sampling
from chidu.model.text import encode, find_stop
from chidu.model.transformer import Transformer, next_token_losses
from chidu.stats import Array
from chidu.tasks.answering import Answering
from chidu.tasks.baselines.likeliest import rated
from chidu.tasks.choice import Choice, encode_pair
from chidu.tasks.classification import Classification
from chidu.tasks.example import Example, Prediction
from chidu.tasks.generation import Generation
from chidu.tasks.lessons import by_length, classified_text, pad
from chidu.tasks.likelihood import rate_continuations
from chidu.tasks.passages import Passage, read_passages
from chidu.tasks.task import Task
from chidu.tasks.tuned import Tuned

Tell = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How answers are written."""

    tokens: int = 128
    """Most tokens of an answer."""
    beams: int = 1
    length_penalty: float = 1.0
    samples: int = 1
    """Independent draws for each example, for pass@k; the first is the answer."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    batch: int = 32
    """Examples side by side."""
    longest_span: int = 64
    """Most tokens of a span that is pointed at."""

    def __post_init__(self) -> None:
        """Check the ranges; InputError where one is left."""
        for name in ("tokens", "beams", "samples", "batch", "longest_span"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        Sampling(temperature=self.temperature, top_p=self.top_p)
        if self.samples > 1 and self.temperature == 0:
            raise InputError("--samples above 1 needs a --temperature above 0, or all of them are the same")
        if self.beams > 1 and (self.temperature or self.samples > 1):
            raise InputError("--beams search the likeliest answer; leave out --temperature and --samples")


@torch.inference_mode()
def predict(
    tuned: Tuned,
    task: Task,
    examples: Sequence[Example],
    how: Decoding = Decoding(),
    tell: Tell = lambda doing, part: None,
) -> list[Prediction]:
    """Answer examples, one prediction each.

    Raises:
        InputError: the model cannot do this task: an encoder that is to write, a classifier of another task.
    """
    tuned.head.eval()
    if tuned.way == "label":
        if not isinstance(task, Classification):
            raise InputError(f"the model gives labels, and {task.key} wants text; tune a model for it")
        _check_labels(tuned, examples)
        return _label(tuned, examples, tell)
    if tuned.way == "span":
        if not isinstance(task, Answering) or not all(example.context for example in examples):
            raise InputError(
                f"the model points at spans of passages, and {task.key} here has none; tune a model for it"
            )
        return _point(tuned, examples, how, tell)
    if tuned.body.config.kind == "encoder":
        raise InputError("an encoder without a head answers nothing; tune it first: chidu tune")
    if isinstance(task, Classification):
        raise InputError("the model has no labels; tune it on a training file first: chidu tune")
    if isinstance(task, Choice):
        return _choose(tuned, task, examples, tell)
    written = _write(tuned, task, examples, how, tell)
    if isinstance(task, Generation) and tuned.body.config.kind == "decoder":
        nats = text_nats(tuned, [example.source for example in examples], tell)
        written = [
            Prediction(text=one.text, stopped=one.stopped, nats=value) for one, value in zip(written, nats, strict=True)
        ]
    return written


def _check_labels(tuned: Tuned, examples: Sequence[Example]) -> None:
    """Every right label must be one that the model can give.

    Raises:
        InputError: some are not.
    """
    unknown = [example for example in examples if example.targets and example.targets[0] not in tuned.labels]
    if unknown:
        known = ", ".join(tuned.labels[:8]) + (", ..." if len(tuned.labels) > 8 else "")
        raise InputError(
            f"{len(unknown)} of {len(examples)} examples have a label that the model does not know, such as "
            f"{unknown[0].targets[0]!r}; its labels are {known}: rename them in the file, or tune a model on all labels"
        )


def _label(tuned: Tuned, examples: Sequence[Example], tell: Tell) -> list[Prediction]:
    """Probabilities of the labels."""
    head = tuned.head
    assert isinstance(head, Classifier)
    texts = [classified_text(tuned, example, head.config.context) for example in examples]
    rows: dict[int, list[float]] = {}
    for batch in by_length(texts, 8192):
        tokens, segments = pad([texts[i] for i in batch], head.body.device)
        scores = head(tokens, segments=segments)[:, : len(tuned.labels)]
        rows |= dict(zip(batch, scores.double().softmax(dim=-1).tolist(), strict=True))
        tell("answering", len(rows) / len(texts))
    out = []
    for i in range(len(examples)):
        shares = dict(zip(tuned.labels, rows[i], strict=True))
        out.append(Prediction(text=max(shares, key=lambda label: shares[label]), probabilities=shares))
    return out


def _point(tuned: Tuned, examples: Sequence[Example], how: Decoding, tell: Tell) -> list[Prediction]:
    """The best span of all windows of each passage."""
    head = tuned.head
    assert isinstance(head, SpanReader)
    owned = [(i, p) for i, e in enumerate(examples) for p in read_passages(tuned, e, head.config.context)]
    best: dict[int, tuple[float, str]] = {}
    done = 0
    for batch in by_length([passage.tokens for _, passage in owned], 8192):
        members = [owned[i] for i in batch]
        spans, scores = _spans(head, [passage for _, passage in members], how.longest_span)
        for (i, passage), (first, last), score in zip(members, spans, scores, strict=True):
            if i not in best or score > best[i][0]:
                context = examples[i].context or ""
                best[i] = (score, context[passage.places[first][0] : passage.places[last][1]].strip())
        done += len(batch)
        tell("answering", done / len(owned))
    return [Prediction(text=best[i][1]) for i in range(len(examples))]


def _spans(head: SpanReader, passages: Sequence[Passage], longest: int) -> tuple[list[list[int]], list[float]]:
    tokens, segments = pad([passage.tokens for passage in passages], head.body.device)
    types, _ = pad([passage.types for passage in passages], head.body.device)
    allowed, _ = pad([[int(first >= 0) for first, _ in passage.places] for passage in passages], head.body.device)
    starts, ends = head(tokens, segments=segments, types=types if head.config.token_types else None)
    starts, ends = starts.log_softmax(dim=-1), ends.log_softmax(dim=-1)
    spans, scores = best_spans(starts, ends, allowed, longest=longest)
    return spans.tolist(), scores.tolist()


def _choose(tuned: Tuned, task: Task, examples: Sequence[Example], tell: Tell) -> list[Prediction]:
    """The likeliest choice after each prompt, and how likely each is."""
    pairs = [
        encode_pair(tuned.tokenizer, task.prompt(example), choice) for example in examples for choice in example.choices
    ]
    pairs = [(before or [tuned.tokenizer.eot], after) for before, after in pairs]
    found = iter(rate_continuations(tuned.body, pairs, start=tuned.start, tell=tell))
    return [rated(example, [next(found).nats for _ in example.choices]) for example in examples]


def _write(tuned: Tuned, task: Task, examples: Sequence[Example], how: Decoding, tell: Tell) -> list[Prediction]:
    """Texts after the prompts, those of like length side by side."""
    prompts = [encode(tuned.tokenizer, task.prompt(example)) or [tuned.tokenizer.eot] for example in examples]
    order = sorted(range(len(examples)), key=lambda i: len(prompts[i]))
    found: dict[int, list[tuple[str, bool]]] = {i: [] for i in order}
    size = max(1, how.batch // how.beams)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        for sample in range(how.samples):
            rows = _continue(tuned, [prompts[i] for i in batch], how, sample, start, task.stops(examples[batch[0]]))
            for i, row in zip(batch, rows, strict=True):
                text = tuned.tokenizer.decode(row)
                end = find_stop(text, task.stops(examples[i]))
                found[i].append((text[:end], end is not None or len(row) < how.tokens))
        tell("answering", min(1.0, (start + size) / len(order)))
    return [
        Prediction(
            text=found[i][0][0],
            stopped=found[i][0][1],
            samples=tuple(text for text, _ in found[i]) if how.samples > 1 else (),
        )
        for i in range(len(examples))
    ]


def _continue(
    tuned: Tuned, prompts: list[list[int]], how: Decoding, sample: int, start: int, stops: tuple[str, ...]
) -> list[list[int]]:
    """New tokens after each prompt."""
    model, eot = tuned.body, tuned.tokenizer.eot
    context = model.config.context
    sources = None
    if model.config.kind == "encoder_decoder":
        sources, prompts = [prompt[:context] for prompt in prompts], [[tuned.start] for _ in prompts]
    elif context - how.tokens > 0:
        prompts = [prompt[-(context - how.tokens) :] for prompt in prompts]
    if how.beams > 1:
        most = min(how.tokens, context - max(map(len, prompts)))
        found = beam_search(
            model,
            prompts,
            tokens=most,
            stop=eot,
            beams=how.beams,
            length_penalty=how.length_penalty,
            sources=sources,
        )
        return [list(beams[0].ids) if beams else [] for beams in found]
    seed = how.seed * 1_000_003 + sample * 100_003 + start
    sampling = Sampling(temperature=how.temperature, top_p=how.top_p, seed=seed)

    def ended(row: list[int]) -> bool:
        return find_stop(tuned.tokenizer.decode(row), stops) is not None

    return generate_batch(
        model,
        prompts,
        tokens=how.tokens,
        stop=eot,
        sampling=sampling,
        sources=sources,
        ended=ended if stops else None,
    )


def text_nats(tuned: Tuned, texts: Sequence[str], tell: Tell = lambda doing, part: None) -> list[float]:
    """Minus the log-probability of each text after end-of-text, in nats; every token sees half the context or more.

    Raises:
        InputError: the model is no decoder.
    """
    return [float(nats.sum()) for nats in token_nats(tuned, texts, tell)]


@torch.inference_mode()
def token_nats(tuned: Tuned, texts: Sequence[str], tell: Tell = lambda doing, part: None) -> list[Array]:
    """The same of each token of each text, [T] each.

    Raises:
        InputError: the model is no decoder.
    """
    model, eot = tuned.body, tuned.tokenizer.eot
    if not isinstance(tuned.head, Transformer) or model.config.kind != "decoder":
        raise InputError("only a decoder gives a text a probability")
    windows: list[tuple[int, int, list[int], int]] = []
    found: list[Array] = []
    for number, text in enumerate(texts):
        ids, at = [eot, *encode(tuned.tokenizer, text)], 0
        found.append(np.zeros(len(ids) - 1))
        for window, new in _windows(ids, model.config.context):
            windows.append((number, at, window, new))
            at += new
    done = 0
    for batch in by_length([ids for _, _, ids, _ in windows], 8192):
        tokens, segments = pad([windows[i][2] for i in batch], model.device)
        losses = next_token_losses(model(tokens[:, :-1], segments=segments[:, :-1]), tokens[:, 1:])
        for row, i in enumerate(batch):
            number, at, ids, new = windows[i]
            found[number][at : at + new] = losses[row, len(ids) - 1 - new : len(ids) - 1].double().cpu().numpy()
        done += len(batch)
        tell("predicting text", done / len(windows))
    return found


def _windows(ids: list[int], context: int) -> list[tuple[list[int], int]]:
    """Windows of at most context + 1 tokens, and how many at the end of each are predicted for the first time."""
    first = ids[: context + 1]
    out = [(first, len(first) - 1)] if len(first) > 1 else []
    place = len(first)
    while place < len(ids):
        new = min(context // 2 or 1, len(ids) - place)
        out.append((ids[max(0, place + new - context - 1) : place + new], new))
        place += new
    return out
