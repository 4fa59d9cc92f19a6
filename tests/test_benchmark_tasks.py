"""What `benchmarks/tasks.py` keeps of its rows, what it judges, and how it chooses an ensemble."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chidu.stats import Interval
from chidu.tasks.examination import Examination
from chidu.tasks.score import Score

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import tasks

    monkeypatch.setattr(tasks.record, "RESULTS", tmp_path)
    return tasks


def made_row(value: float, seed: int = 0, budget: float = 10.0) -> dict[str, Any]:
    score = {
        "metric": "BLEU",
        "value": value,
        "interval": {"lower": value - 1, "upper": value + 1},
        "count": 1000,
        "baseline": {"name": "copy", "value": 0.5},
    }
    found = {"test": {"scores": [score], "shown": []}}
    return {"task": "multi30k_en_de", "seed": seed, "budget": budget, "minutes": 10.2, "examinations": found}


def test_a_row_takes_the_place_of_one_of_its_seed_and_budget(script: ModuleType, tmp_path: Path) -> None:
    for row in (made_row(1), made_row(2, seed=1), made_row(3, budget=30.0), made_row(4)):
        script.keep_row("multi30k_en_de", row)
    rows = json.loads((tmp_path / "tasks_multi30k_en_de.json").read_text())["rows"]
    assert [row["examinations"]["test"]["scores"][0]["value"] for row in rows] == [4, 2, 3]


def test_the_table_has_a_line_a_row_and_its_bar(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.keep_row("multi30k_en_de", made_row(34))
    script.keep_row("multi30k_en_de", made_row(36, budget=30.0))
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "tasks.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    monkeypatch.setattr(script.record, "ROOT", tmp_path)
    script.document()
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    bars = [line.split("|")[-2].strip() for line in text.splitlines() if "multi30k_en_de" in line]
    assert bars == ["35", "38"]


def test_a_bar_of_a_longer_budget_does_not_count(script: ModuleType) -> None:
    def done(value: float, budget: float) -> Any:
        score = Score("translation", "BLEU", value, Interval(value, value, 0.95), 10, "")
        return script.Done("multi30k_en_de", 0, budget, budget, None, {"test": Examination((score,), ())})

    trial = script.TRIALS["multi30k_en_de"]
    assert script.judge(trial, done(36.0, 10.0)) == []
    assert len(script.judge(trial, done(36.0, 30.0))) == 1
    assert len(script.judge(trial, done(30.0, 30.0))) == 2
