"""Every task reads its own files, says what is wrong with others, and scores with a baseline beside."""

import ast
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shared_files import records, shared

from chidu.errors import CorruptError, InputError
from chidu.tasks import TASKS, Answering, Classification, Coding, Generation, Summarisation, Task, Translation
from chidu.tasks.coding import cut_functions
from chidu.tasks.example import Example, Prediction, is_chinese, split_beside

GOOD: list[tuple[Task, dict[str, Any], Example]] = [
    (Classification(), {"text": "a", "label": 1}, Example(source="a", targets=("1",))),
    (Translation(source="en", target="de"), {"en": "a", "de": "b"}, Example(source="a", targets=("b",))),
    (Translation(), {"source": "a", "target": ["b", "c"]}, Example(source="a", targets=("b", "c"))),
    (Summarisation(), {"text": "a", "summaries": ["b", "c"]}, Example(source="a", targets=("b", "c"))),
    (Summarisation(), {"text": "a", "summary": "b"}, Example(source="a", targets=("b",))),
    (
        Answering(),
        {"question": "q", "context": "xyz", "answers": [{"text": "Y", "answer_start": 1}]},
        Example(source="q", context="xyz", targets=("Y",), starts=(1,)),
    ),
    (
        Answering(),
        {"question": "q", "context": "xyz", "answers": [{"text": "Y", "answer_start": 2}]},
        Example(source="q", context="xyz", targets=("Y",), starts=(-1,)),
    ),
    (Answering(), {"question": "q", "answer": "a"}, Example(source="q", targets=("a",), starts=(-1,))),
    (Generation(), {"text": "a"}, Example(source="a")),
]


def write(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


@pytest.mark.parametrize(("task", "record", "example"), GOOD, ids=lambda value: getattr(value, "key", ""))
def test_a_record_becomes_an_example(task: Task, record: dict[str, Any], example: Example, tmp_path: Path) -> None:
    assert task.examples(write(tmp_path / "file.jsonl", record)) == [example]
    packed = tmp_path / "file.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(record).encode()))
    assert task.examples(packed) == [example]


BAD: list[tuple[Task, Any, str]] = [
    (Classification(), {"text": "a"}, '"label"'),
    (Classification(), {"label": 1}, 'no field "text", only label'),
    (Classification(), {"text": "a", "label": 0.5}, '"label"'),
    (Translation(source="en", target="de"), {"en": "a"}, '"de"'),
    (Translation(), {"source": 3, "target": "b"}, '"source" must hold a string'),
    (Summarisation(), {"text": "a", "summaries": []}, '"summar'),
    (Answering(), {"question": "q", "answers": "a"}, '"answers"'),
    (Answering(), {"question": "q", "context": "x", "answers": [{"text": "y", "answer_start": "0"}]}, "answer_start"),
    (Coding(), {"text": "a", "test_list": "b"}, '"test_list"'),
    (Generation(), {"words": "a"}, '"text"'),
    (Generation(), [1], "not an object"),
    (Generation(), {"text": "a\ud800"}, "half of a surrogate pair"),
]


def test_short_texts_and_no_probabilities_leave_nothing_to_score() -> None:
    with pytest.raises(InputError, match="nothing to score: the model wrote nothing, or no text goes on"):
        Generation().metrics([Example(source="short")], [Prediction(text="x")])


@pytest.mark.parametrize(("task", "record", "words"), BAD, ids=lambda value: getattr(value, "key", ""))
def test_a_bad_record_is_named(task: Task, record: Any, words: str, tmp_path: Path) -> None:
    good = next(
        value
        for known, value, _ in [*GOOD, (Coding(), {"prompt": "a", "test": "b", "entry_point": "c"}, 0)]
        if known == task
    )
    path = write(tmp_path / "file.jsonl", good, record)
    with pytest.raises(InputError, match="line 2") as caught:
        task.examples(path)
    assert words in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Classification().examples(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no example"):
        Classification().examples(write(tmp_path / "empty.jsonl"))
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(InputError, match="line 1"):
        Classification().examples(tmp_path / "broken.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9"}')
    with pytest.raises(InputError, match="UTF-8"):
        Classification().examples(tmp_path / "latin.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "label": 1}\n' * 100)[:-10])
    with pytest.raises(CorruptError):
        Classification().examples(tmp_path / "cut.jsonl.gz")


def test_plain_text_is_cut_into_passages(tmp_path: Path) -> None:
    text = "".join(f"line {i} of the play\n" for i in range(500))
    (tmp_path / "play.txt").write_text(text)
    examples = Generation().examples(tmp_path / "play.txt")
    assert "".join(example.source for example in examples) == text
    assert len(examples) > 3


def test_splits_lie_beside_each_other(tmp_path: Path) -> None:
    test, valid = tmp_path / "my.data.test.jsonl.gz", tmp_path / "my.data.valid.jsonl.gz"
    valid.touch()
    assert split_beside(test, "valid") == valid
    assert split_beside(test, "train") is None
    assert split_beside(tmp_path / "plain.jsonl", "valid") is None


def test_chinese_is_told_from_english() -> None:
    assert is_chinese(["我爱学习编程 with Python"])
    assert not is_chinese(["I like 中文", "and a longer English text"])
    assert not is_chinese([""])


def test_functions_are_cut_in_the_middle_of_their_bodies() -> None:
    code = (
        "import os\n\n\nclass A:\n    def first(self, x):\n        # note\n        y = x + 1\n"
        "        for i in range(3):\n            y += i\n        return y\n\n    def short(self):\n        return 1\n"
    )
    (example,) = cut_functions(code)
    assert example.name == "first"
    assert example.source.startswith("def first(self, x):\n    # note\n")
    whole = example.source + example.targets[0]
    assert whole.endswith("    return y\n")
    ast.parse(whole)
    assert 0.3 < len(example.source) / len(whole) < 0.9
    assert cut_functions("def f(:\n") == []


def test_problems_with_tests() -> None:
    human = Coding().convert(
        {"task_id": "H/0", "prompt": "def f():\n", "test": "def check(c): pass", "entry_point": "f"}
    )
    assert human[0].check == "def check(c): pass\ncheck(f)"
    words = {"text": 'Write """x""".', "code": "x = 1\r\n", "test_list": ["assert x == 1"], "test_setup_code": "y = 2"}
    (problem,) = Coding().convert(words)
    ast.parse(problem.source)
    assert problem.targets == ("x = 1\n",)
    assert problem.check == "y = 2\nassert x == 1"
    assert "\ndef " in Coding().stops(human[0])
    assert "\ndef " not in Coding().stops(problem)


def test_a_score_has_its_baseline() -> None:
    pytest.importorskip("sklearn")
    train = [
        Example(source=f"{'good' if i % 3 else 'bad'} film {i}", targets=("1" if i % 3 else "0",)) for i in range(30)
    ]
    valid, test = train[:12], train[3:15]
    predictions = [Prediction(text=e.targets[0], probabilities={e.targets[0]: 1.0}) for e in test]
    scores = Classification().score(test, predictions, train=train, valid=valid)
    assert [score.metric for score in scores] == ["accuracy", "macro-F1", "calibration error"]
    assert scores[0].value == 1
    assert scores[0].baseline is not None
    assert len(scores[0].baseline.chosen_among) == 10
    assert scores[0].baseline.name != "majority answer"
    alone = Classification().score(test, predictions)
    assert alone[0].baseline is None
    with pytest.raises(ValueError, match="predictions for"):
        Classification().score(test, predictions[:3])


def test_generation_is_scored_against_a_five_gram_model() -> None:
    line = "the cat sat on the mat and the dog sat on the log . "
    train = [Example(source=line * 4) for _ in range(4)]
    test = [Example(source=f"{line * 3}{i}") for i in range(24)]
    task = Generation(opening=10, length=40)
    predictions = [Prediction(text="xyzzy " * 20, nats=8.0 * len(e.source)) for e in test]
    predictions[3] = Prediction(text="", nats=predictions[3].nats)  # a model that stops at once
    scores = {score.metric: score for score in task.score(test, predictions, train=train, valid=train)}
    assert list(scores) == [
        "bits per byte",
        "similarity to real text",
        "distinct-1",
        "distinct-2",
        "distinct-3",
        "repetition-4",
    ]
    baseline = scores["bits per byte"].baseline
    assert baseline is not None
    assert baseline.name == "5-gram model of bytes"
    assert baseline.value < 2 < scores["bits per byte"].value
    assert baseline.margin.lower > 0
    like = scores["similarity to real text"].baseline
    assert like is not None
    assert like.value > scores["similarity to real text"].value


def test_the_registry() -> None:
    assert list(TASKS) == [
        "generation",
        "translation",
        "answering",
        "summarisation",
        "coding",
        "classification",
        "choice",
        "continuation",
    ]
    for key, kind in TASKS.items():
        assert kind().key == key
        assert kind.fields
        assert kind().to_json()["task"] == key


def test_metrics_and_data_files_load_no_torch() -> None:
    code = (
        "import sys, pkgutil, importlib, chidu.tasks, chidu.tasks.ensemble, chidu.tasks.passages, chidu.tasks.sandbox\n"
    )
    code += "for room in ('metrics', 'baselines'):\n"
    code += "    for found in pkgutil.iter_modules([f'{chidu.tasks.__path__[0]}/{room}']):\n"
    code += "        importlib.import_module(f'chidu.tasks.{room}.{found.name}')\n"
    code += "assert 'chidu.tasks.metrics.rouge' in sys.modules\n"
    code += "sys.exit(' '.join(sorted({'torch', 'sklearn', 'sacrebleu', 'scipy'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Classification(), "agnews.test"),
        (Classification(), "sst2.test"),
        (Translation(source="en", target="de"), "multi30k.valid"),
        (Translation(source="en", target="zh"), "tatoeba_enzh.test"),
        (Answering(), "cmrc2018.test"),
        (Answering(), "fairytaleqa.valid"),
        (Answering(), "xquad_de.test"),
        (Answering(), "gsm8k.test"),
        (Summarisation(), "scitldr.test"),
        (Summarisation(), "csl_title.test"),
        (Coding(), "humaneval.test"),
        (Coding(), "mbpp.prompt"),
        (Coding(), "python_code.valid"),
        (Generation(), "poems_zh.valid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_published_files_are_read(task: Task, name: str) -> None:
    examples = task.examples(shared(f"{name}.jsonl.gz"))
    if name != "python_code.valid":
        assert len(examples) == len(records(f"{name}.jsonl.gz", 100_000))
    assert all(example.source for example in examples)
