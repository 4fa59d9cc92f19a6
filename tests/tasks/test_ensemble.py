"""An ensemble listens to those who know, and a file's fields tell its task."""

import json
from pathlib import Path

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.tasks.ensemble import combine, fit_weights
from chidu.tasks.examination import Examination, Shown, find_task, thin
from chidu.tasks.example import Example, Prediction


def member(right: np.ndarray, sure: float, seed: int) -> list[Prediction]:
    """Predictions that are right with the probability that they claim, so far as `sure` goes."""
    rng = np.random.default_rng(seed)
    out = []
    for label in right:
        said = label if rng.random() < sure else 1 - label
        shares = {str(int(said)): sure, str(int(1 - said)): 1 - sure}
        out.append(Prediction(text=str(int(said)), probabilities=shares))
    return out


def share(predictions: list[Prediction], right: np.ndarray) -> float:
    return float(np.mean([one.text == str(int(label)) for one, label in zip(predictions, right, strict=True)]))


def test_together_they_are_better_than_the_best() -> None:
    right = np.random.default_rng(0).integers(2, size=800)
    examples = [Example(source="", targets=(str(int(label)),)) for label in right]
    members = [member(right, 0.8, 1), member(right, 0.78, 2), member(right, 0.76, 3), member(right, 0.5001, 4)]
    weights = fit_weights(members, examples)
    assert all(weight >= 0 for weight in weights)
    assert weights[3] < 1 < sum(weights[:3])
    fresh = np.random.default_rng(9).integers(2, size=800)
    test = [member(fresh, sure, seed) for sure, seed in ((0.8, 11), (0.78, 12), (0.76, 13), (0.5001, 14))]
    together = combine(test, weights)
    assert share(together, fresh) > max(share(one, fresh) for one in test) + 0.02
    assert sum(together[0].probabilities.values()) == pytest.approx(1)


def test_a_member_without_probabilities_is_refused() -> None:
    with pytest.raises(ValueError, match="probabilities"):
        fit_weights([[Prediction(text="1")]], [Example(source="", targets=("1",))])


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"text": "a", "label": 1}, "classification"),
        ({"question": "a", "answer": "b"}, "answering"),
        ({"text": "a", "summaries": ["b"]}, "summarisation"),
        ({"text": "a", "summary": "b"}, "summarisation"),
        ({"source": "a", "target": "b"}, "translation"),
        ({"prompt": "a", "test": "b", "entry_point": "c"}, "coding"),
        ({"text": "a", "test_list": [], "code": ""}, "coding"),
        ({"text": "a", "title": "b"}, "generation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_tells_its_task(record: dict[str, object], key: str, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps(record) + "\n")
    assert find_task("", path).key == key
    assert find_task("classification", path).key == "classification"


def test_an_unknown_file_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"en": "a", "de": "b"}\n')
    with pytest.raises(InputError, match="en, de, which no task wants"):
        find_task("", path)
    assert find_task("", path, source="en", target="de").to_json() == {
        "task": "translation",
        "source": "en",
        "target": "de",
    }
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match="empty"):
        find_task("", tmp_path / "empty.jsonl")


def test_thinning_is_even_and_an_examination_prints_itself() -> None:
    assert thin(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert thin([1, 2], 0) == [1, 2]
    found = Examination((), (Shown("what", "that", "this"),))
    assert str(found) == "\n> what\n= that\n  right: this"
    assert found.to_json()["shown"] == [{"prompt": "what", "answer": "that", "right": "this"}]
