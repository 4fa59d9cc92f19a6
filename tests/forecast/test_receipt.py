import json
from dataclasses import replace

import pytest

from chidu.errors import CorruptError, InputError
from chidu.forecast.ledger import verify
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.metric import MetricForecast
from chidu.forecast.receipt import lock, quantity_of, read_receipt, score
from chidu.laws.fit import fit
from chidu.runs import Run
from chidu.stats import Interval
from chidu.store import hash_json, write_json

FORECAST = Forecast(1e9, 2e10, 1.2e20, 2.5, Interval(2.4, 2.6, 0.9), "run", 12.0, (), "form=chinchilla")
SCORE = MetricForecast(
    "accuracy", 0.6, Interval(0.5, 0.7, 0.9), 2.5, Interval(2.4, 2.6, 0.9), 1e9, 2e10, 1.2e20, 12.0, (), "form=tied"
)


def test_a_receipt_is_named_by_its_content(tmp_path):
    path = lock(FORECAST, tmp_path / "receipts")
    content = read_receipt(path)
    assert content["forecast"] == FORECAST.to_json()
    assert content["chidu"]
    assert content["time"].endswith("+00:00")
    assert lock(FORECAST, tmp_path / "receipts") != path


def test_a_receipt_holds_the_hash_of_the_rows(tmp_path, make_table):
    law = fit(make_table(noise=0.002), draws=20)
    forecast = forecast_loss(law, params=3e9, tokens=6e10)
    content = read_receipt(lock(forecast, tmp_path, fit=law))
    assert content["table"] == {"hash": law.table_hash, "runs": 25, "set_aside": 0}
    assert content["forecast"]["signature"] == law.signature
    assert [content["forecast"][name] for name in ("params", "tokens")] == [3e9, 6e10]
    with pytest.raises(InputError, match="is not the one behind the forecast"):
        lock(FORECAST, tmp_path, fit=law)


def test_a_lock_and_an_outcome_have_their_lines(tmp_path):
    path = lock(FORECAST, tmp_path)
    score(path, Run(loss=2.55))
    score(path, Run(loss=2.55))
    assert [(entry.kind, entry.file.split(".")[0]) for entry in verify(tmp_path)] == [
        ("lock", path.stem),
        ("outcome", path.stem),
    ]


def test_nothing_is_written_beside_a_broken_ledger(tmp_path):
    path = lock(FORECAST, tmp_path)
    (tmp_path / "ledger.jsonl").write_text("{}\n")
    for act in (lambda: lock(FORECAST, tmp_path), lambda: score(path, Run(loss=2.55))):
        with pytest.raises(CorruptError, match="line 1: it was changed"):
            act()
    assert list(tmp_path.glob("*.json")) == [path]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_loss_that_is_no_result_scores_nothing(loss, tmp_path):
    path = lock(FORECAST, tmp_path)
    with pytest.raises(InputError, match="must be a positive number"):
        score(path, Run(loss=loss))
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_landed_run_scores_it_beside_it(tmp_path):
    path = lock(FORECAST, tmp_path)
    before = path.read_text()
    outcome = score(path, Run(loss=2.55, params=1.001e9, tokens=2e10))
    assert outcome.inside
    assert outcome.error == pytest.approx(2.5 / 2.55 - 1)
    assert not score(path, Run(loss=2.7, params=1e9, tokens=2e10)).inside
    assert path.read_text() == before
    assert len(list(tmp_path.glob("*.outcome-*.json"))) == 2
    assert "inside" in str(outcome)


@pytest.mark.parametrize("change", [lambda c: c["forecast"].update(median=2.55), lambda c: c.update(time="earlier")])
def test_a_tampered_receipt_is_found(change, tmp_path):
    path = lock(FORECAST, tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptError, match="changed after it was locked"):
        score(path, Run(loss=2.55))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "not json"])
def test_a_broken_receipt_is_found(text, tmp_path):
    path = lock(FORECAST, tmp_path)
    path.write_text(text)
    with pytest.raises(CorruptError):
        score(path, Run(loss=2.55))


def test_another_run_is_not_its_outcome(tmp_path):
    path = lock(FORECAST, tmp_path)
    with pytest.raises(InputError, match="params=2e"):
        score(path, Run(loss=2.55, params=2e9, tokens=2e10))
    with pytest.raises(InputError, match="does not exist"):
        score(tmp_path / "none.json", Run(loss=2.5))


def test_a_metric_is_locked_and_scored_too(tmp_path):
    path = lock(SCORE, tmp_path, about={"task": "continuation", "count": 200})
    content = read_receipt(path)
    assert (quantity_of(content), content["forecast"]) == ("accuracy", SCORE.to_json())
    assert content["about"] == {"task": "continuation", "count": 200}
    outcome = score(path, Run(loss=2.5, params=1e9, tokens=2e10, run="big", extra={"accuracy": "0.45"}))
    assert (outcome.quantity, outcome.value, outcome.inside) == ("accuracy", 0.45, False)
    assert outcome.error == pytest.approx(0.15)
    assert "forecast 0.6000, accuracy 0.4500, +0.1500, outside" in str(outcome)
    assert score(path, 0.0).error == pytest.approx(0.6)  # a score may be nought
    assert [entry.kind for entry in verify(tmp_path)] == ["lock", "outcome", "outcome"]
    with pytest.raises(InputError, match="run big has '' for accuracy, which is no number"):
        score(path, Run(loss=2.5, params=1e9, tokens=2e10, run="big"))
    with pytest.raises(InputError, match="a value of nan scores nothing"):
        score(path, float("nan"))
    with pytest.raises(InputError, match="params=2e"):
        score(path, Run(loss=2.5, params=2e9, tokens=2e10, extra={"accuracy": "0.6"}))
    loss = replace(SCORE, metric="unseen_loss", interval=Interval(2.4, 2.6, 0.9))
    assert score(lock(loss, tmp_path), Run(loss=9.0, unseen_loss=2.55)).inside


def test_receipts_of_before_say_no_quantity_and_mean_the_loss(tmp_path):
    content = dict(read_receipt(lock(FORECAST, tmp_path / "new")))
    assert content.pop("quantity") == "loss"
    path = tmp_path / "old" / f"{hash_json(content)}.json"
    write_json(path, content)
    outcome = score(path, Run(loss=2.55))
    assert (outcome.quantity, outcome.inside) == ("loss", True)
    assert set(outcome.to_json()) == {"receipt", "loss", "median", "error", "inside"}


def test_a_receipt_is_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr("chidu.forecast.receipt.hash_json", lambda value: "same")
    lock(FORECAST, tmp_path)
    with pytest.raises(InputError, match="not overwritten"):
        lock(FORECAST, tmp_path)
