"""Log-likelihoods as lm-evaluation-harness computes them by itself, for `reference_metrics.py`."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from chidu.config import ModelConfig
from chidu.data.tokenizer import Tokenizer
from chidu.model.pretrained import save_pretrained
from chidu.model.transformer import Transformer
from chidu.tasks.answering import Answering
from chidu.tasks.choice import Choice
from chidu.tasks.examination import know_tokenizer, thin
from chidu.tasks.example import Example
from chidu.tasks.predicting import predict
from chidu.tasks.translation import Translation
from chidu.tasks.tuned import Tuned

CONTEXT = 256
CHOICES = 4


def harness_rows(data: Path, limit: int) -> list[dict[str, Any]]:
    """Of each file: how far log-likelihoods are apart at most, as a part of their size, and how far the scores."""
    return [row for file, examples in questions(data, limit) for row in compare(file, examples)]


def questions(data: Path, limit: int) -> Iterator[tuple[str, list[Example]]]:
    """Files made into questions with four choices: the right answer and those of other examples.

    No prompt ends in a space, and choices begin with one, so that no token lies in both: there the harness takes of the
    tokens of the whole as many as the prompt alone has for the prompt's, and chidu encodes the two apart.
    """
    rng = random.Random(0)
    asked = thin(Answering().examples(data / "xquad_en.test.jsonl.gz"), limit)
    pairs = thin(Translation(source="en", target="zh").examples(data / "tatoeba_enzh.test.jsonl.gz"), limit)
    for file, prompts, answers in (
        (
            "xquad_en.test",
            [f"Question: {one.source}\nAnswer:" for one in asked],
            [f" {one.targets[0]}" for one in asked],
        ),
        ("tatoeba_enzh.test", [f"{one.source} =" for one in pairs], [f" {one.targets[0]}" for one in pairs]),
    ):
        made = []
        for prompt, right in zip(prompts, answers, strict=True):
            others = rng.sample(sorted({*answers} - {right}), CHOICES - 1)
            made.append(Example(source=prompt, choices=tuple(rng.sample([right, *others], CHOICES)), targets=(right,)))
        yield file, made


def compare(file: str, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Choices and whole texts of one file, on a decoder with random weights, exported for the harness."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from chidu.tasks.harness_model import HarnessModel

    def ask(kind: str, arguments: Sequence[tuple[str, ...]]) -> list[Any]:
        return [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]  # type: ignore[arg-type]

    tuned = draw_model(examples)
    pairs = [(example.source, choice) for example in examples for choice in example.choices]
    texts = [(example.source + example.targets[0],) for example in examples]
    with tempfile.TemporaryDirectory() as folder:
        assert isinstance(tuned.tokenizer, Tokenizer)
        save_pretrained(tuned.body, tuned.tokenizer, Path(folder) / "model")
        theirs = HFLM(
            pretrained=str(Path(folder) / "model"), device="cpu", dtype="float32", softmax_dtype="float64", batch_size=8
        )
        right = [nats for nats, _ in theirs.loglikelihood(ask("loglikelihood", pairs), disable_tqdm=True)]
        rolling = theirs.loglikelihood_rolling(ask("loglikelihood_rolling", texts), disable_tqdm=True)
    ours = HarnessModel(tuned)
    task = know_tokenizer(Choice(), tuned.tokenizer)
    predictions = predict(tuned, task, examples)
    mine = [-nats for one in predictions for nats in one.choice_nats]
    same = [nats for nats, _ in ours.loglikelihood(ask("loglikelihood", pairs), disable_tqdm=True)]
    whole = ours.loglikelihood_rolling(ask("loglikelihood_rolling", texts), disable_tqdm=True)
    scores = {metric.name: metric.measure.value() for metric in task.metrics(examples, predictions)}
    chosen = accuracies(examples, right)
    return [
        {"file": file, "what": "log-likelihoods of `choice`", **apart(mine, right)},
        {"file": file, "what": "loglikelihood of --harness", **apart(same, right)},
        {"file": file, "what": "loglikelihood_rolling of --harness", **apart(whole, rolling)},
        {
            "file": file,
            "what": "accuracies of `choice`",
            **apart([scores[name] for name in chosen], [*chosen.values()]),
        },
    ]


def draw_model(examples: Sequence[Example]) -> Tuned:
    """A small decoder, all weights away from their start, whose tokenizer learnt the examples' texts."""
    texts = [example.source + "".join(example.choices) for example in examples]
    tokenizer = Tokenizer.train(texts, 1000)
    model = Transformer(
        ModelConfig(
            vocab_size=tokenizer.vocab_size, d_model=64, n_layer=3, n_head=4, n_kv_head=2, d_ff=160, context=CONTEXT
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    return Tuned(model.eval(), tokenizer)


def accuracies(examples: Sequence[Example], likely: Sequence[float]) -> dict[str, float]:
    """The harness's `acc` and `acc_bytes`, from its log-likelihoods: the largest, and the largest of a byte."""
    hits = {"accuracy": 0, "accuracy by byte": 0}
    for number, example in enumerate(examples):
        own = likely[number * CHOICES : (number + 1) * CHOICES]
        per_byte = [nats / len(text.encode()) for nats, text in zip(own, example.choices, strict=True)]
        for name, values in zip(hits, (own, per_byte), strict=True):
            hits[name] += example.choices[values.index(max(values))] == example.targets[0]
    return {name: count / len(examples) for name, count in hits.items()}


def apart(ours: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Largest differences of the values, absolute and as a part of the reference."""
    gaps = [abs(a - b) for a, b in zip(ours, reference, strict=True)]
    parts = [gap / abs(b) if b else gap for gap, b in zip(gaps, reference, strict=True)]
    return {"count": len(gaps), "difference": max(gaps), "relative": max(parts)}
