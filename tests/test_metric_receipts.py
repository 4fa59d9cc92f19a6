"""A lab's scores are locked before its target is trained, and scored after."""

from dataclasses import replace
from pathlib import Path

import pytest

import chidu.loop
from chidu.config import ModelConfig, TrainConfig
from chidu.errors import CorruptError
from chidu.forecast.ledger import verify
from chidu.forecast.loss import Forecast
from chidu.forecast.metric import MetricForecast
from chidu.forecast.receipt import read_receipt
from chidu.laws.fit import Fit, fit
from chidu.loop import lock_scores
from chidu.metrics import MetricStudy, find_receipt, lock_metrics, score_metrics
from chidu.runs import Run
from chidu.stats import Interval
from chidu.store import read_json, write_json

LANDED = Run(run="target", loss=2.5, params=1e9, tokens=2e10)


@pytest.fixture
def law(make_table) -> Fit:
    return fit(make_table(noise=0.002), draws=20)


def study(law: Fit, metric: str = "accuracy") -> MetricStudy:
    size = (2.5, Interval(2.4, 2.6, 0.9), 1e9, 2e10, 1.2e20, 12.0, ())
    column = f"continuation_{metric}"
    return MetricStudy(
        task="continuation", metric=metric, column=column, first=True, count=200, signature="task:continuation|n:200",
        runs=("a",), losses=(3.0,), values=(0.4,), chance=0.25, baseline=None,
        forecast=MetricForecast(column, 0.6, Interval(0.5, 0.7, 0.9), *size, law.signature),
    )  # fmt: skip


def test_each_forecast_is_locked_once(law: Fit, tmp_path: Path) -> None:
    studies = [study(law), replace(study(law, "bits per byte"), forecast=None, refused="flat")]
    (receipt,) = lock_metrics(studies, tmp_path, law)
    content = read_receipt(receipt)
    assert content["quantity"] == "continuation_accuracy"
    assert content["about"]["signature"] == "task:continuation|n:200"
    assert lock_metrics(studies, tmp_path, law) == [receipt]
    assert len(verify(tmp_path / "receipts")) == 1


def test_a_landed_target_scores_what_was_locked_and_nothing_else(law: Fit, tmp_path: Path) -> None:
    locked, late = study(law), study(law, "probability")
    (receipt,) = lock_metrics([locked], tmp_path, law)
    landed = [replace(one, landed=(2.5, 0.65)) for one in (locked, late)]
    found = score_metrics(landed, tmp_path, LANDED)
    assert [one.receipt for one in found] == [receipt.stem, ""]
    assert f"locked as receipt {receipt.stem}; trained afterwards, it got 0.65: inside" in str(found[0])
    (outcome,) = (tmp_path / "receipts").glob("*.outcome-*.json")
    assert read_json(outcome)["value"] == 0.65
    assert read_json(outcome)["quantity"] == "continuation_accuracy"
    assert score_metrics(landed, tmp_path, LANDED) == found
    assert [entry.kind for entry in verify(tmp_path / "receipts")] == ["lock", "outcome"]
    assert score_metrics([locked], tmp_path, None)[0].receipt == receipt.stem


def test_a_changed_receipt_is_found(law: Fit, tmp_path: Path) -> None:
    (receipt,) = lock_metrics([study(law)], tmp_path, law)
    receipt.write_text(receipt.read_text().replace("0.6", "0.9"))
    with pytest.raises(CorruptError, match="was changed"):
        find_receipt(tmp_path / "receipts", study(law).forecast)


def test_nothing_is_locked_once_the_target_is_trained(law: Fit, tmp_path: Path, monkeypatch) -> None:
    said: list[str] = []

    class Listener:
        def say(self, text: str) -> None:
            said.append(text)

    asked: list[tuple[object, ...]] = []

    def studied(*arguments: object) -> tuple[MetricStudy, ...]:
        asked.append(arguments)
        return (study(law),)

    monkeypatch.setattr(chidu.loop, "study_metrics", studied)
    model = ModelConfig(vocab_size=100, d_model=32, n_layer=2, n_head=4, n_kv_head=2, d_ff=96, context=16)
    target = TrainConfig(
        model=model, data="abc", tokens=6400, batch_tokens=64, learning_rate=0.01, hidden_learning_rate=0.002
    )
    forecast = Forecast(1e9, 2e10, 1.2e20, 2.5, Interval(2.4, 2.6, 0.8), "run", 12.0, (), law.signature)
    done = tmp_path / "runs" / target.id / "run.json"
    write_json(done, {})
    lock_scores(law, forecast, target, tmp_path, Listener())
    assert (said, asked, (tmp_path / "receipts").exists()) == ([], [], False)
    done.unlink()
    lock_scores(law, forecast, target, tmp_path, Listener())
    (receipt,) = (tmp_path / "receipts").glob("*.json")
    assert said == [f"continuation_accuracy locked as {receipt.stem}"]
    assert asked[0][-2:] == (None, 0.8)
