"""Models of ours and of others behind lm-evaluation-harness: the same answers as its own backend gives."""

import builtins
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import chidu.cli

TRIAL = Path(__file__).with_name("harness_trial.py")
MISSING = [name for name in ("lm_eval", "accelerate", "transformers") if find_spec(name) is None]
needed = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
MODELS = ("own", "llama")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What both ways found, in a process of its own: the harness warns of itself and caches data sets."""
    folder = tmp_path_factory.mktemp("harness")
    offline = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    environment = {**os.environ, **offline}
    done = subprocess.run([sys.executable, TRIAL, folder], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


def pairs(found: Any, task: str) -> list[tuple[Any, Any]]:
    """Our answer and that of the harness's backend to each request of a task."""
    out = []
    for name in MODELS:
        ours, theirs = (found[f"{name} {who}"]["rows"][task] for who in ("ours", "theirs"))
        for (asked, mine), (asked_too, other) in zip(ours, theirs, strict=True):
            assert asked == asked_too
            out += list(zip(mine, other, strict=True))
    return out


@needed
def test_loglikelihoods_are_the_harness_own(found: Any) -> None:
    answers = [(ours[0], theirs[0]) for ours, theirs in pairs(found, "own_choice")]
    assert len(answers) == 18
    for (ours, greedy), (theirs, greedy_too) in answers:
        assert ours == pytest.approx(theirs, rel=1e-6)
        assert greedy == greedy_too


@needed
def test_rolling_loglikelihoods_are_the_harness_own(found: Any) -> None:
    answers = [(ours[0], theirs[0]) for ours, theirs in pairs(found, "own_rolling")]
    assert len(answers) == 6
    for ours, theirs in answers:
        assert ours == pytest.approx(theirs, rel=1e-6)


@needed
def test_texts_are_the_harness_own(found: Any) -> None:
    answers = pairs(found, "own_writing")
    assert [ours for ours, _ in answers] == [theirs for _, theirs in answers]
    assert len({text for (text,), _ in answers}) > 3


@needed
def test_metrics_become_scores(found: Any) -> None:
    right = found["own theirs"]["results"]
    scores = {(score["task"], score["metric"]): score for score in found["result"]["scores"]}
    assert set(scores) == {
        ("own_choice", "acc"),
        ("own_choice", "acc_norm"),
        ("own_rolling", "bits_per_byte"),
        ("own_rolling", "word_perplexity"),
        ("own_writing", "exact_match"),
    }
    for (task, metric), score in scores.items():
        filter_ = "none"
        assert score["value"] == pytest.approx(right[task][f"{metric},{filter_}"], rel=1e-6)
        assert score["interval"]["lower"] <= score["value"] <= score["interval"]["upper"]
        assert f"task:{task}|" in score["signature"]
    assert scores["own_choice", "acc"]["count"] == 4
    assert scores["own_choice", "acc"]["standard_error"] == pytest.approx(0.25)  # sqrt(p (1 - p) / (n - 1)), n = 4
    assert "version:3.0|" in scores["own_choice", "acc"]["signature"]
    assert f"lm-eval:{found['result']['harness']}" in scores["own_rolling", "bits_per_byte"]["signature"]
    assert "own_choice: acc " in found["text"]


def test_without_the_harness_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("lm_eval"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert chidu.cli.main(["eval", "anything", "--harness", "arc_easy"]) == 2
    assert "pip install 'chidu[lmeval]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval", "lab", "choice", "file", "--harness", "arc_easy"], "leave out the task"),
        (["eval", "lab", "--include", "tasks"], "goes with --harness"),
        (["eval", "lab"], "name a task and its file"),
        (["eval", "lab", "choice"], "needs a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_that_contradict_each_other(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert chidu.cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
