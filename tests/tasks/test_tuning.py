"""A small model learns each way of answering, goes on after a kill to the same numbers, and keeps its best weights."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chidu.errors import CorruptError, InputError
from chidu.tasks import Answering, Classification, Generation, Task, Translation, tuning
from chidu.tasks.example import Example
from chidu.tasks.fresh import Shape, fresh, way_for
from chidu.tasks.lessons import make_lesson
from chidu.tasks.lora import LowRank, adapt, merge
from chidu.tasks.passages import MATCHED, PAIRED, PLAIN, QUESTION, read_passages, split_units
from chidu.tasks.predicting import Decoding, predict, text_nats
from chidu.tasks.tuned import MODEL, Tuned
from chidu.tasks.tuning import DONE, tune
from chidu.tasks.tuning_config import TuneConfig, Tuning

TINY = Shape(width=32, layers=1, heads=2, vocab=0, context=48)
SHORT = TuneConfig(epochs=3, batch_tokens=384, learning_rate=1e-2, dropout=0.1, evaluations=3, patience=0)


def letters(count: int, seed: int) -> list[Example]:
    """Two letters to be said in the other case, and back to front."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        word = "".join(rng.choices("abcd", k=3))
        out.append(Example(source=word, targets=(word[::-1].upper(),)))
    return out


def moods(count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        mood = rng.choice(["glad", "sad"])
        text = " ".join(rng.sample(["a", "man", "went", "home", {"glad": "joy", "sad": "woe"}[mood]], 5))
        out.append(Example(source=text, targets=(mood,)))
    return out


def places(count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        where, what = rng.choice("xyz") * 2, rng.choice("pqr")
        context = f"in {where} is {what}. it is"
        out.append(Example(source="where", context=context, targets=(where,), starts=(3,)))
    return out


def test_the_best_weights_are_kept_and_the_gap_is_reported(tmp_path: Path) -> None:
    train, valid, task = letters(96, 0), letters(32, 1), Translation()
    tuned = fresh(replace(TINY, kind="encoder_decoder"), task, train)
    result = tune(tuned, task, train, valid, SHORT, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda line: line["valid_loss"])
    assert result.best_step == best["step"]
    assert result.valid_loss == pytest.approx(best["valid_loss"])
    assert len(result.history) == len(lines) == 3
    assert lines[0]["valid_loss"] > lines[-1]["valid_loss"]
    assert result.gap == result.valid_loss - result.train_loss
    assert "overfitting gap" in str(result)
    loaded = Tuned.load(tmp_path / "out" / MODEL)
    again = tuning.evaluate(loaded.head, make_lesson(loaded, task, valid, batch_tokens=384, length=48))
    assert again == pytest.approx(result.valid_loss, abs=1e-5)
    assert Tuning.from_json(json.loads((tmp_path / "out" / DONE).read_text())) == result
    assert (
        tune(fresh(replace(TINY, kind="encoder_decoder"), task, train), task, train, valid, SHORT, tmp_path / "out")
        == result
    )
    assert not list((tmp_path / "out").glob("best-*"))


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(("lora", "matrix_rate"), [(0, 0.0), (2, 0.0), (0, 0.02)])
def test_a_killed_tuning_goes_on_to_the_same_numbers(tmp_path: Path, lora: int, matrix_rate: float) -> None:
    train, valid, task = letters(64, 0), letters(16, 1), Translation()
    config = replace(SHORT, lora=lora, matrix_rate=matrix_rate, checkpoint_seconds=0.0)

    def start(out: Path, until: float = 2.0) -> Tuning:
        def tell(doing: str, part: float) -> None:
            if part > until:
                raise Killed

        return tune(fresh(replace(TINY, kind="decoder"), task, train), task, train, valid, config, out, tell)

    whole = start(tmp_path / "whole")
    for until in (0.3, 0.75):
        with pytest.raises(Killed):
            start(tmp_path / "killed", until)
    rest = start(tmp_path / "killed")
    assert rest.history == whole.history
    assert (rest.best_step, rest.valid_loss, rest.steps) == (whole.best_step, whole.valid_loss, whole.steps)
    assert (rest.trained_params < rest.params) == bool(lora)


def test_an_encoder_guesses_masked_tokens_first(tmp_path: Path) -> None:
    train, valid, task = moods(96, 0), moods(32, 1), Classification()
    tuned = fresh(replace(TINY, kind="encoder"), task, train)
    untouched = {name: weight.clone() for name, weight in tuned.head.state_dict().items()}
    result = tune(tuned, task, train, valid, SHORT, tmp_path / "masked", masked=True)
    assert result.history[-1]["valid_loss"] < result.history[0]["valid_loss"]
    now = tuned.head.state_dict()
    assert not torch.equal(now["body.embedding.weight"], untouched["body.embedding.weight"])
    assert torch.equal(now["dense.weight"], untouched["dense.weight"])
    tune(tuned, task, train, valid, SHORT, tmp_path / "tuned")
    decoder = fresh(replace(TINY, kind="decoder"), Translation(), train)
    with pytest.raises(InputError, match="only an encoder"):
        tune(decoder, Translation(), train, valid, SHORT, tmp_path / "no", masked=True)


def test_the_last_weights_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    train, valid, task = moods(48, 0), moods(16, 1), Classification()
    shape = replace(TINY, kind="encoder", dense=False)
    config = replace(SHORT, epochs=12, learning_rate=0.1, keep_last=True)
    result = tune(fresh(shape, task, train), task, train, valid, config, tmp_path / "out")
    assert result.best_step == result.steps
    assert result.valid_loss == result.history[-1]["valid_loss"]
    loaded = Tuned.load(tmp_path / "out" / MODEL)
    assert "dense.weight" not in loaded.head.state_dict()
    assert len(predict(loaded, task, valid)) == len(valid)
    with pytest.raises(InputError, match="leave it at 0"):
        replace(SHORT, lora=2, matrix_rate=0.02)


def test_only_the_low_rank_change_learns(tmp_path: Path) -> None:
    train, task = letters(64, 0), Translation()
    tuned = fresh(replace(TINY, kind="decoder"), task, train)
    before = {name: weight.clone() for name, weight in tuned.head.state_dict().items()}
    config = replace(SHORT, lora=2, epochs=1)
    tune(tuned, task, train, letters(16, 1), config, tmp_path / "out")
    after = Tuned.load(tmp_path / "out" / MODEL).head.state_dict()
    assert set(after) == set(before)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("blocks" in name and "weight" in name and "norm" not in name for name in changed)
    with pytest.raises(InputError, match="--lora 0"):
        adapt(tuned.body, 0)


def test_a_merged_change_computes_the_same() -> None:
    tuned = fresh(replace(TINY, kind="decoder"), Translation(), letters(8, 0))
    adapt(tuned.body, 3)
    changes = [module for module in tuned.body.modules() if isinstance(module, LowRank)]
    assert len(changes) == 4
    for change in changes:
        torch.nn.init.normal_(change.up)
    tokens = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        before = tuned.body(tokens)
        merge(tuned.body)
        assert torch.allclose(before, tuned.body(tokens), atol=1e-4)
    assert not any(isinstance(module, LowRank) for module in tuned.body.modules())
    assert all(weight.requires_grad for weight in tuned.body.parameters())


def test_patience_ends_a_tuning_that_gets_worse(tmp_path: Path) -> None:
    train, task = letters(16, 0), Translation()
    valid = [replace(example, targets=("ZZZZ",)) for example in letters(8, 1)]
    config = replace(SHORT, epochs=60, evaluations=30, patience=2)
    result = tune(fresh(replace(TINY, kind="decoder"), task, train), task, train, valid, config, tmp_path / "out")
    assert result.stopped == "patience"
    assert result.epochs < 50
    assert result.gap > 0


def learns(task: Task, make: Callable[[int, int], list[Example]], kind: str, out: Path, epochs: int) -> float:
    """Share of right answers on fresh examples after a short tuning."""
    train = make(160, 0)
    tuned = fresh(replace(TINY, kind=kind), task, train)  # type: ignore[arg-type]
    tune(tuned, task, train, make(32, 1), replace(SHORT, epochs=epochs, dropout=0.0), out)
    test = make(24, 2)
    answers = predict(tuned, task, test, Decoding(tokens=12, batch=8))
    return sum(a.text.strip() == e.targets[0] for a, e in zip(answers, test, strict=True)) / len(test)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_labels_are_learnt(kind: str, tmp_path: Path) -> None:
    assert learns(Classification(), moods, kind, tmp_path / "out", 3) > 0.9


def test_spans_are_learnt(tmp_path: Path) -> None:
    assert learns(Answering(), places, "encoder", tmp_path / "out", 6) > 0.9


def test_answers_that_are_written_are_learnt(tmp_path: Path) -> None:
    def fixed(count: int, seed: int) -> list[Example]:
        rng = random.Random(seed)
        return [
            Example(source=(w := rng.choice(["up", "down"])), targets=({"up": "HI", "down": "LO"}[w],))
            for _ in range(count)
        ]

    assert learns(Translation(), fixed, "decoder", tmp_path / "a", 12) > 0.9
    assert learns(Translation(), fixed, "encoder_decoder", tmp_path / "b", 40) > 0.9


def test_the_loss_counts_on_the_answer_only() -> None:
    train, task = letters(4, 0), Translation()
    tuned = fresh(replace(TINY, kind="decoder"), task, train)
    lesson = make_lesson(tuned, task, train, batch_tokens=480, length=48)
    with torch.no_grad():
        total, weight = lesson.losses(tuned.head, 0)
    assert float(weight) == 4 * (3 + 1)
    assert lesson.steps == 1
    dense = make_lesson(tuned, task, train, batch_tokens=480, length=48, dense=True)
    with torch.no_grad():
        same, count = dense.losses(tuned.head, 0)
    assert float(same) == pytest.approx(float(total), rel=1e-5)
    assert float(count) == float(weight)


def test_long_examples_are_left_out_and_long_texts_are_cut() -> None:
    long = Example(source="x" * 100, targets=("y",))
    tuned = fresh(replace(TINY, kind="decoder"), Translation(), letters(4, 0))
    assert make_lesson(tuned, Translation(), [long, *letters(4, 0)], batch_tokens=96, length=48).dropped == 1
    text = Example(source="abcdefgh" * 20)
    lesson = make_lesson(tuned, Generation(), [text], batch_tokens=48, length=48)
    assert sum(float(lesson.losses(tuned.head, i)[1]) for i in range(lesson.steps)) >= 160
    assert lesson.dropped == 0


def test_every_token_of_a_text_is_predicted_once() -> None:
    tuned = fresh(replace(TINY, kind="decoder"), Translation(), letters(4, 0))
    with torch.no_grad():
        tuned.body.blocks[0].attention.out.weight.normal_(0, 0.1)
    short = "abcdefg"
    ids = torch.tensor([[tuned.tokenizer.eot, *short.encode()]])
    with torch.no_grad():
        logs = tuned.body(ids[:, :-1]).log_softmax(dim=-1)
    right = -sum(float(logs[0, i, ids[0, i + 1]]) for i in range(len(short)))
    assert text_nats(tuned, [short])[0] == pytest.approx(right, rel=1e-5)
    uniform = fresh(replace(TINY, kind="decoder"), Translation(), letters(4, 0))
    with torch.no_grad():
        uniform.body.embedding.weight.zero_()
    for length in (1, 47, 48, 49, 97, 200):
        nats = text_nats(uniform, ["x" * length])[0]
        assert nats == pytest.approx(
            length * torch.log(torch.tensor(float(uniform.body.config.vocab_size))).item(), rel=1e-4
        )


def test_passages_know_their_characters() -> None:
    assert [unit for unit, _ in split_units("我爱 Python 3.11!")] == ["我", "爱", " Python", " 3", ".", "11", "!"]
    tuned = fresh(replace(TINY, kind="encoder"), Answering(), places(4, 0))
    example = Example(source="who has it", context="she has it, he not", targets=("he not",), starts=(12,))
    (passage,) = read_passages(tuned, example, 48)
    assert passage.answer is not None
    first, last = passage.answer
    context = example.context or ""
    assert context[passage.places[first][0] : passage.places[last][1]] == "he not"
    kinds = dict(zip(passage.tokens, passage.types, strict=True))
    assert {QUESTION, PLAIN, PAIRED} <= set(passage.types)
    assert MATCHED not in passage.types or kinds
    windows = read_passages(tuned, replace(example, context="word " * 40 + "he not", starts=(200,)), 48)
    assert len(windows) > 3
    assert [w.answer is not None for w in windows].count(True) >= 1
    assert all(len(w.tokens) <= 48 for w in windows)


def test_what_a_kind_cannot_do_is_said() -> None:
    with pytest.raises(InputError, match="encoder cannot write"):
        way_for(Translation(), "encoder")
    with pytest.raises(InputError, match="no classification head"):
        way_for(Classification(), "encoder_decoder")
    tuned = fresh(replace(TINY, kind="encoder"), Classification(), moods(8, 0))
    with pytest.raises(InputError, match="gives labels"):
        predict(tuned, Translation(), letters(2, 0))
    with pytest.raises(InputError, match="one label"):
        fresh(replace(TINY, kind="encoder"), Classification(), [Example(source="a", targets=("x",))])


def test_damage_and_another_tuning_are_told_apart(tmp_path: Path) -> None:
    train, task, config = moods(24, 0), Classification(), replace(SHORT, epochs=1)
    tune(fresh(replace(TINY, kind="encoder"), task, train), task, train, train, config, tmp_path / "out")
    with pytest.raises(InputError, match="another tuning"):
        tune(
            fresh(replace(TINY, kind="encoder"), task, train),
            task,
            train,
            train,
            replace(config, seed=1),
            tmp_path / "out",
        )
    weights = tmp_path / "out" / MODEL / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CorruptError, match="checksum"):
        Tuned.load(tmp_path / "out" / MODEL)
    shutil.rmtree(tmp_path / "out" / MODEL)
    with pytest.raises(InputError, match="no tuned model"):
        Tuned.load(tmp_path / "out" / MODEL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs or of minutes"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"dropout": 1.0}, "dropout"),
        ({"lora": -1}, "lora"),
        ({"dtype": "float64"}, "dtype"),
        ({"minutes": float("nan")}, "minutes"),
    ],
)
def test_a_config_is_checked(changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TuneConfig(**changes)  # type: ignore[arg-type]
