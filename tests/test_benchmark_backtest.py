"""The scoring of `benchmarks/backtest.py`, on made-up splits and made-up answers."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chidu.errors import Refusal
from chidu.forecast.grade import LEVELS, Answers

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("benchmark_backtest", ROOT / "benchmarks" / "backtest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_backtest", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """Two splits of table `a`, one of table `b`; all losses are 2."""
    for name, targets in (("a__r10-clean", 1), ("a__r10-dirty", 2), ("b__lc", 3)):
        folder = tmp_path / "splits" / name
        folder.mkdir(parents=True)
        head, row, big = ("flops", "1e18", "1e19") if "lc" in name else ("params,tokens", "1e8,1e9", "1e9,1e10")
        (folder / "fit.csv").write_text(f"{head},loss\n{row},3\n")
        (folder / "targets.csv").write_text("\n".join([head, *[big] * targets]) + "\n")
        (folder / "truth.csv").write_text("\n".join(["loss", *["2"] * targets]) + "\n")
    return tmp_path / "splits"


def say(median: float, half: float, targets: int) -> Answers:
    ends = np.full((len(LEVELS), targets), median)
    return Answers(LEVELS, np.full(targets, median), ends - half, ends + half)


def test_tables_count_alike_and_splits_within_them(script: ModuleType, splits: Path) -> None:
    rows = [
        script.ask(split, method)
        for split, method in zip(
            [script.Split(folder) for folder in sorted(splits.iterdir())],
            (lambda s: say(2.02, 0.1, 1), lambda s: say(2.04, 0.01, 2), lambda s: say(1.9, 0.2, 3)),
            strict=True,
        )
    ]
    made = script.summarise(rows)
    assert made["error"] == pytest.approx((1 + 2) / 4 + 5 / 2)
    assert made["bias"] == pytest.approx((1 + 2) / 4 - 5 / 2)
    assert made["cover"] == pytest.approx(100 / 4 + 100 / 2)
    assert made["width"] == pytest.approx((10 + 1) / 4 + 20 / 2)
    assert made["score"] == pytest.approx((10 + 1 + 20 * 1.5) / 4 + 20 / 2)
    assert made["median"] == pytest.approx(2)
    assert (made["splits"], made["tables"], made["refused"]) == (3, 2, 0)
    assert [row["split"].kind for row in rows] == ["clean", "dirty", "lc"]
    assert rows[0]["split"].distances == pytest.approx([100])
    assert rows[2]["split"].distances == pytest.approx([10, 10, 10])


def test_refusals_are_counted_and_left_out(script: ModuleType, splits: Path) -> None:
    def refuse(split: object) -> Answers:
        raise Refusal("no")

    folders = sorted(splits.iterdir())
    rows = [script.ask(script.Split(folder), refuse) for folder in folders[:2]]
    assert script.summarise(rows) is None
    rows.append(script.ask(script.Split(folders[2]), lambda s: say(2, 0.1, 3)))
    made = script.summarise(rows)
    assert (made["splits"], made["refused"], made["error"]) == (1, 2, 0)
    bars = script.missed(script.summaries(rows))
    assert "2 splits were refused" in bars
    assert any(bar.startswith("coverage") for bar in bars)


def test_what_is_quoted_is_told_by_distance(script: ModuleType, splits: Path) -> None:
    rows = [script.ask(script.Split(folder), lambda s: say(2.02, 0.1, len(s.targets))) for folder in splits.iterdir()]
    value = script.to_quote(rows)
    assert [(part["from"], part["to"]) for part in value["distances"]] == [(10, 30), (100, None)]
    assert value["distances"][0]["forecasts"] == 3
    assert value["distances"][0]["error"] == pytest.approx(0.01)
    assert value["distances"][1]["cover"]["0.9"] == 1


def test_without_the_splits_it_says_so(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["backtest.py", "--splits", str(tmp_path / "none"), "--check"])
    assert script.main() == 0
    assert "skipped" in capsys.readouterr().out


def test_some_splits_are_printed_and_nothing_is_written(
    script: ModuleType, splits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["backtest.py", "--splits", str(splits), "--only", "a__", "--check"])
    monkeypatch.setattr(script, "METHODS", {"chidu": lambda s: say(2.02, 0.1, len(s.targets))})
    monkeypatch.setattr(script.record, "write", None)
    assert script.main() == 0
    out = capsys.readouterr().out
    assert "ALL                     1.00    1.00   +1.00    100   10.00   10.00       2" in out
