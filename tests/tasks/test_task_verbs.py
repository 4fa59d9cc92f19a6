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


def test_a_tuned_model_is_exported_with_its_head(
    capsys: pytest.CaptureFixture[str], moods: Path, tmp_path: Path
) -> None:
    line = ["tune", "encoder", moods / "moods.train.jsonl", "--out", tmp_path / "tuned", "--epochs", "8", *SMALL]
    assert run(capsys, *line, "--rate", "0.01")[0] == 0
    code, out, err = run(capsys, "export", tmp_path / "tuned", "--out", tmp_path / "hub", "--json")
    assert (code, err, json.loads(out)["architecture"]) == (0, "", "EuroBertForSequenceClassification")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "- task: classification\n- labels: glad, sad\n- reads: the text alone" in card
    assert "epochs; the weights of step" in card
    found = [
        json.loads(run(capsys, "eval", folder, "classification", moods / "moods.test.jsonl", "--json")[1])["scores"]
        for folder in (tmp_path / "tuned", tmp_path / "hub")
    ]
    assert [score["value"] for score in found[0]] == pytest.approx([score["value"] for score in found[1]], abs=1e-5)
    assert found[0][0]["value"] > 0.9


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
    assert '- reads: "TEXT\\n"' in (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "encoder", "{moods}/none.jsonl"], "does not exist"),
        (["tune", "nowhere", "{moods}/moods.train.jsonl"], "holds no finished run"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--task", "poetry"], "there is no task poetry"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--source", "en"], "give both"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--task", "generation"], "cannot write"),
        (["tune", "encoder", "{moods}/moods.train.jsonl", "--epochs", "0"], "epochs or of minutes"),
        (["tune", "encoder", "{moods}/alone.jsonl"], "--valid"),
        (["eval", "encoder", "classification", "{moods}/moods.test.jsonl"], "training file"),
        (["eval", "nowhere", "classification", "{moods}/moods.test.jsonl", "--level", "2"], "--level 2"),
        (["eval", "nowhere", "translation", "{moods}/moods.test.jsonl"], '"target"'),
        (["eval", "nowhere", "generation", "{moods}/moods.test.jsonl", "--samples", "3"], "--temperature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], moods: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (moods / "alone.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n')
    line = [word.replace("{moods}", str(moods)) for word in arguments]
    code, out, err = run(capsys, *line, *(["--out", str(tmp_path / "out")] if line[0] == "tune" else []))
    assert code == 2
    assert out == ""
    assert err.startswith("chidu: ")
    assert err.count("\n") == 1
    assert words in err
