"""`chidu tune` and `chidu eval`, from files to scores, and what they say of bad input."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

import chidu.cli

pytest.importorskip("sklearn")
SMALL = ["--width", "16", "--layers", "1", "--vocab", "0", "--context", "64", "--batch-tokens", "1024"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    capsys.readouterr()
    code = chidu.cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three splits of texts with a label."""
    folder, rng = tmp_path_factory.mktemp("moods"), random.Random(0)
    for split, count in (("train", 120), ("valid", 30), ("test", 40)):
        lines = []
        for _ in range(count):
            mood = rng.choice(["glad", "sad"])
            words = rng.sample(["a", "man", "went", {"glad": "joy", "sad": "woe"}[mood]], 4)
            lines.append(json.dumps({"text": " ".join(words), "label": mood}))
        (folder / f"moods.{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_a_model_is_tuned_and_examined(capsys: pytest.CaptureFixture[str], moods: Path, tmp_path: Path) -> None:
    line = ["tune", "encoder", moods / "moods.train.jsonl", "--out", tmp_path / "tuned", "--epochs", "8", *SMALL]
    code, out, err = run(capsys, *line, "--rate", "0.01", "--json")
    assert code == 0, err
    value = json.loads(out)
    assert {"valid_loss", "train_loss", "gap", "best_step", "seconds", "out"} <= set(value)
    code, out, err = run(capsys, "eval", tmp_path / "tuned", "classification", moods / "moods.test.jsonl", "--json")
    assert code == 0, err
    scores: dict[str, Any] = {score["metric"]: score for score in json.loads(out)["scores"]}
    assert scores["accuracy"]["count"] == 40
    assert scores["accuracy"]["value"] > 0.9
    assert scores["accuracy"]["baseline"]["value"] > 0.9
    assert set(scores) == {"accuracy", "macro-F1", "calibration error"}
    code, out, _ = run(
        capsys, "eval", tmp_path / "tuned", "classification", moods / "moods.test.jsonl", "--limit", "10"
    )
    assert code == 0
    assert "accuracy" in out
    assert "(n 10;" in out
    assert "best simple baseline" in out


@pytest.fixture(scope="module")
def tuned(moods: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of moods."""
    folder = tmp_path_factory.mktemp("tuned") / "tuned"
    line = ["tune", "encoder", moods / "moods.train.jsonl", "--out", folder, "--epochs", "8", "--rate", "0.01", *SMALL]
    assert chidu.cli.main([str(word) for word in line]) == 0
    return folder


def test_a_tuned_model_is_exported_with_its_head(
    capsys: pytest.CaptureFixture[str], moods: Path, tuned: Path, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "export", tuned, "--out", tmp_path / "hub", "--json")
    assert (code, err, json.loads(out)["architecture"]) == (0, "", "EuroBertForSequenceClassification")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "- task: classification\n- labels: glad, sad\n- reads: the text alone" in card
    assert "epochs; the weights of step" in card
    found = [
        json.loads(run(capsys, "eval", folder, "classification", moods / "moods.test.jsonl", "--json")[1])["scores"]
        for folder in (tuned, tmp_path / "hub")
    ]
    assert [score["value"] for score in found[0]] == pytest.approx([score["value"] for score in found[1]], abs=1e-5)
    assert found[0][0]["value"] > 0.9
    assert run(capsys, "export", tuned, "--out", tmp_path / "hub")[0] == 0  # an export may be written again
    code, out, err = run(capsys, "export", tmp_path / "hub", "--out", tmp_path / "hub")
    assert (code, "is the model itself" in err) == (2, True)


def test_baselines_that_find_nothing_to_learn_are_left_out(
    capsys: pytest.CaptureFixture[str], moods: Path, tuned: Path, tmp_path: Path
) -> None:
    (tmp_path / "few.jsonl").write_text('{"text": "", "label": "glad"}\n{"text": " ", "label": "sad"}\n')
    line = ["eval", tuned, "classification", moods / "moods.test.jsonl", "--train", tmp_path / "few.jsonl", "--json"]
    code, out, err = run(capsys, *line)
    assert (code, err) == (0, "")
    assert json.loads(out)["scores"][0]["baseline"]["name"] == "majority answer"


def test_a_tuning_that_has_not_ended_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "state-5").mkdir()
    (tmp_path / "config.json").write_text("{}")
    for words in (["export", tmp_path], ["generate", tmp_path, "a"], ["eval", tmp_path, "continuation"]):
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, "")
        assert "a tuning that has not ended" in err


def test_a_span_reader_is_asked_about_passages_only(
    capsys: pytest.CaptureFixture[str], moods: Path, tmp_path: Path
) -> None:
    row = {"question": "who came?", "context": "then Tom came.", "answers": [{"text": "Tom", "answer_start": 5}]}
    for split in ("train", "valid", "test"):
        (tmp_path / f"who.{split}.jsonl").write_text(f"{json.dumps(row)}\n" * 8)
    (tmp_path / "bare.jsonl").write_text('{"question": "who came?", "answer": "Tom"}\n')
    line = ["tune", "encoder", tmp_path / "who.train.jsonl", "--out", tmp_path / "reader", "--epochs", "1", *SMALL]
    assert run(capsys, *line)[0] == 0
    for task, file in (("classification", moods / "moods.test.jsonl"), ("answering", tmp_path / "bare.jsonl")):
        code, out, err = run(capsys, "eval", tmp_path / "reader", task, file)
        assert (code, out) == (2, "")
        assert f"points at spans of passages, and {task} here has none" in err


def test_a_translator_is_tuned_with_named_fields(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    for split in ("train", "valid", "test"):
        words = ("one", "the", "my", "no") * 3
        lines = [json.dumps({"en": f"{w} cat is here now", "de": f"{w} Katze ist jetzt hier"}) for w in words]
        (tmp_path / f"pairs.{split}.jsonl").write_text("\n".join(lines) + "\n")
    fields = ["--source", "en", "--target", "de"]
    line = ["tune", "decoder", tmp_path / "pairs.train.jsonl", *fields, "--out", tmp_path / "tuned", "--epochs", "2"]
    code, out, err = run(capsys, *line, *SMALL)
    assert code == 0, err
    assert "overfitting gap" in out
    line = ["eval", tmp_path / "tuned", "translation", tmp_path / "pairs.test.jsonl", *fields, "--tokens", "8"]
    code, out, err = run(capsys, *line)
    assert code == 0, err
    assert "BLEU" in out
    assert "tok:13a" in out
    assert "nearest training example" in out
    assert run(capsys, "export", tmp_path / "tuned", "--out", tmp_path / "hub")[0] == 0
    shown = [
        run(capsys, "generate", folder, "my cat", "--tokens", "3")[:2]
        for folder in (tmp_path / "tuned", tmp_path / "hub")
    ]
    assert [code for code, _ in shown] == [0, 0]
    framed = run(capsys, "generate", tmp_path / "hub", "my cat\n", "--tokens", "3", "--json")[1]
    assert json.loads(framed)["text"] == shown[0][1].removeprefix("my cat").removesuffix("\n")
    assert '- reads: "TEXT\\n"' in (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "encoder", "{moods}/none.jsonl"], "does not exist"),
        (["tune", "nowhere", "{moods}/moods.train.jsonl"], "nowhere does not exist"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--task", "poetry"], "there is no task poetry"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--source", "en"], "give both"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--task", "generation"], "cannot write"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--epochs", "0"], "epochs or of minutes"),
        (["tune", "encoder", "{moods}/alone.jsonl"], "--valid"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--valid", "{moods}/odd.jsonl"], "(glad, sad), only angry"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--valid", "{moods}/half.jsonl"], "half of a surrogate pair"),
        (["eval", "encoder", "classification", "{moods}/moods.test.jsonl"], "training file"),
        (["eval", "{tuned}", "classification", "{moods}"], "is a folder"),
        (
            ["eval", "{tuned}", "classification", "{moods}/odd.jsonl"],
            "1 of 2 examples have a label that the model does",
        ),
        (["eval", "{tuned}", "classification", "{moods}/half.jsonl"], "half of a surrogate pair"),
        (
            ["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--device", "tpu"],
            "--device tpu: it is cpu",
        ),
        (["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--seed", "-1"], "--seed -1"),
        (["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--out", "{moods}"], "is a folder"),
        (
            ["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--temperature", "nan"],
            "--temperature must",
        ),
        (
            ["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--top-p", "2"],
            "--top-p must lie in (0, 1]",
        ),
        (["eval", "{tuned}", "classification", "{moods}/moods.test.jsonl", "--limit", "-1"], "--limit -1"),
        (["export", "{tuned}", "--out", "{tuned}"], "holds other files"),
        (["generate", "{tuned}", "joy"], "gives labels or spans and writes no text"),
        (["fit", "{moods}/none.csv", "--seed", "-3"], "--seed -3: it must be a whole number"),
        (["eval", "nowhere", "classification", "{moods}/moods.test.jsonl", "--level", "2"], "--level 2"),
        (["eval", "nowhere", "translation", "{moods}/moods.test.jsonl"], '"target"'),
        (["eval", "nowhere", "generation", "{moods}/moods.test.jsonl", "--samples", "3"], "--temperature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], moods: Path, tuned: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (moods / "odd.jsonl").write_text('{"text": "joy", "label": "angry"}\n')
    if "eval" in arguments:
        (moods / "odd.jsonl").write_text('{"text": "joy", "label": "angry"}\n{"text": "woe", "label": "sad"}\n')
    (moods / "half.jsonl").write_text('{"text": "a \\ud800", "label": "sad"}\n')
    (moods / "alone.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n')
    line = [word.replace("{moods}", str(moods)).replace("{tuned}", str(tuned)) for word in arguments]
    code, out, err = run(capsys, *line, *(["--out", str(tmp_path / "out")] if line[0] == "tune" else []))
    assert code == 2
    assert out == ""
    assert err.startswith("chidu: ")
    assert err.count("\n") == 1
    assert words in err
