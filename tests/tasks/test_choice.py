"""Choices by probability: what is rated, how questions are made from text, and what simple methods get."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from chidu.config import ModelConfig
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.tasks import Choice, Continuation
from chidu.tasks.choice import encode_pair
from chidu.tasks.example import Example
from chidu.tasks.likelihood import rate_continuations
from chidu.tasks.metrics.choosing import choosing
from chidu.tasks.predicting import predict
from chidu.tasks.tuned import Tuned


def drawn(kind: str = "decoder", context: int = 24, vocab: int = 257) -> Transformer:
    """A small model, its weights all drawn."""
    config = ModelConfig(
        kind=kind,  # type: ignore[arg-type]
        vocab_size=vocab,
        d_model=16,
        n_layer=2,
        n_head=2,
        n_kv_head=2,
        d_ff=32,
        context=context,
        position="relative" if kind == "encoder_decoder" else "rotary",
    )
    model, generator = Transformer(config), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return model.eval()


@torch.inference_mode()
def alone(model: Transformer, context: list[int], continuation: list[int]) -> tuple[float, bool]:
    """The same by the plain forward, one at a time."""
    row = torch.tensor([[*context, *continuation][-(model.config.context + 1) :]])
    logs = model(row[:, :-1])[0].double().log_softmax(dim=-1)[-len(continuation) :]
    wanted = torch.tensor(continuation)
    return -float(logs[range(len(wanted)), wanted].sum()), bool((logs.argmax(dim=-1) == wanted).all())


def test_continuations_are_rated_as_one_by_one() -> None:
    model, rng = drawn(), random.Random(0)
    pairs = [
        ([rng.randrange(257) for _ in range(before)], [rng.randrange(257) for _ in range(after)])
        for before, after in ((1, 1), (3, 5), (30, 4), (1, 24), (9, 9), (2, 1))
    ]
    greedy = int(model(torch.tensor([pairs[1][0]]))[0, -1].argmax())
    pairs.append((pairs[1][0], [greedy]))
    found = rate_continuations(model, pairs)
    for one, (context, continuation) in zip(found, pairs, strict=True):
        nats, likeliest = alone(model, context, continuation)
        assert one.nats == pytest.approx(nats, rel=1e-5)
        assert one.greedy == likeliest
    assert found[-1].greedy
    assert not all(one.greedy for one in found)


@torch.inference_mode()
def test_an_encoder_decoder_reads_the_context_as_its_source() -> None:
    model = drawn("encoder_decoder")
    pairs = [([5, 6, 7], [8, 9]), ([5], [8, 9, 10, 11])]
    found = rate_continuations(model, pairs, start=256)
    for one, (source, target) in zip(found, pairs, strict=True):
        read = torch.tensor([[256, *target[:-1]]])
        logs = model(read, source=torch.tensor([source]))[0].double().log_softmax(dim=-1)
        assert one.nats == pytest.approx(-float(logs[range(len(target)), target].sum()), rel=1e-5)
    with pytest.raises(InputError, match="start with a token of its own"):
        rate_continuations(model, pairs)


def test_what_cannot_be_rated_is_named() -> None:
    with pytest.raises(InputError, match="25 tokens does not fit the model's context of 24"):
        rate_continuations(drawn(), [([1], [1] * 25)])
    with pytest.raises(InputError, match="an encoder sees both sides"):
        rate_continuations(drawn("encoder"), [([1], [1])])
    assert rate_continuations(drawn(), []) == []


def test_metrics_of_choices() -> None:
    nats = [[1.0, 2.0], [3.0, 2.0], [1.0, 1.0, 1.0, 1.0]]
    choices = [["ab", "a"], ["ab", "a"], ["a", "b", "c", "d"]]
    accuracy, by_byte, probability, bits = choosing(nats, choices, [0, 0, 2])
    assert accuracy.measure.value() == pytest.approx((1 + 0 + 0.25) / 3)
    assert by_byte.measure.value() == pytest.approx((1 + 1 + 0.25) / 3)
    share = 1 / (1 + math.exp(-1.0))
    assert probability.measure.value() == pytest.approx((share + (1 - share) + 0.25) / 3)
    assert bits.measure.value() == pytest.approx(5.0 / math.log(2) / 5)
    assert accuracy.chance == pytest.approx((0.5 + 0.5 + 0.25) / 3)
    assert (accuracy.best, bits.best, bits.chance) == (1.0, 0.0, 8.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"choices": ["a"]}, "two strings or more"),
        ({"choices": ["a", ""]}, "none of them empty"),
        ({"choices": ["a", "a"]}, "are the same"),
        ({"answer": 2}, "from 0 to 1"),
        ({"answer": True}, "from 0 to 1"),
        ({"prompt": 3}, '"prompt" must hold a string'),
    ],
)
def test_bad_records_are_named(change: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"prompt": "p", "choices": ["a", "b"], "answer": 1}
    assert Choice().convert(good) == [Example(source="p", choices=("a", "b"), targets=("b",))]
    with pytest.raises(ValueError, match=words):
        Choice().convert({**good, **change})


def test_a_model_chooses_what_it_finds_likeliest(tmp_path: Path) -> None:
    model, tokenizer = drawn(), Tokenizer()
    rows = [
        {"question": "to be or", "choices": [" not", " so", " never"], "answer": 0},
        {"prompt": "", "choices": ["a", "b"], "answer": 1},
    ]
    path = tmp_path / "choices.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = Choice()
    examples = task.examples(path)
    for example, prediction in zip(examples, predict(Tuned(model, tokenizer), task, examples), strict=True):
        before = tokenizer.encode(example.source).tolist() or [tokenizer.eot]
        nats = [alone(model, before, tokenizer.encode(choice).tolist())[0] for choice in example.choices]
        assert prediction.choice_nats == pytest.approx(nats, rel=1e-5)
        assert prediction.text == example.choices[int(np.argmin(nats))]


def test_two_texts_are_tokenized_together_where_no_token_lies_in_both() -> None:
    tokenizer = Tokenizer(((b"t", b"h"), (b"th", b"e")))
    assert encode_pair(tokenizer, "a", "the") == ([97], [258])
    assert encode_pair(tokenizer, "at", "he") == ([97, 116], [104, 101])


def sentences(count: int) -> str:
    """Sentences in which one word says what follows."""
    rng = random.Random(0)
    pairs = [("sun", "warms the old stones"), ("rain", "fills the deep wells"), ("wind", "turns the tall mill")]
    out = []
    for _ in range(count):
        cause, effect = rng.choice(pairs)
        out.append(f"On day {rng.randrange(100)} the {cause} comes and {effect}.")
    return " ".join(out)


@pytest.fixture(scope="module")
def task() -> Continuation:
    return Continuation(tokenizer=Tokenizer.train([sentences(300)], 300))


def test_questions_go_through_a_text_once(task: Continuation) -> None:
    text = sentences(300)
    questions = task.questions([text])
    assert len(questions) > 100
    place = 0
    for question in questions:
        assert len(question.choices) == len(set(question.choices)) == 4
        whole = question.source + question.targets[0]
        found = text.find(whole, place)
        assert found >= place
        place = found + len(whole)
        assert task.tokenizer is not None
        assert [len(part) for part in encode_pair(task.tokenizer, question.source, question.targets[0])] == [24, 8]
    rights = [question.choices.index(question.targets[0]) for question in questions]
    assert min(np.bincount(rights, minlength=4)) > len(rights) / 6
    assert task.questions([text]) == questions


def test_the_baselines_of_choices(task: Continuation) -> None:
    every = task.questions([sentences(170)])
    train = [Example(source=sentences(120))]
    likely = task.baselines(every)[1].fit(train)(every)
    guessed = task.baselines(every)[0].fit(train)(every)
    assert task.judge(every, guessed) == pytest.approx(0.25)
    assert task.judge(every, likely) > 0.5
    score = task.score(every[:40], likely[:40], train=train, valid=every[40:])[0]
    assert score.baseline is not None
    assert score.baseline.name == "5-gram model of tokens"
    assert score.value == score.baseline.value
    assert score.standard_error == pytest.approx((score.value * (1 - score.value) / 40) ** 0.5, rel=0.2)


def test_continuation_says_what_it_lacks(task: Continuation, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text(sentences(10), encoding="utf-8")
    with pytest.raises(InputError, match="questions of 100 at least"):
        task.examples(tmp_path / "short.txt")
    with pytest.raises(InputError, match="trains none"):
        Continuation().examples(tmp_path / "short.txt")


def test_questions_of_chinese_are_whole_characters() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏") for _ in range(4000))
    task = Continuation(tokenizer=Tokenizer.train([text], 280))
    questions = task.questions([text])
    assert len(questions) > 100
    assert all("\ufffd" not in question.source + "".join(question.choices) for question in questions)
