import json

import pytest

from chidu.errors import CorruptError, InputError
from chidu.forecast.ledger import verify
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.receipt import lock, read_receipt, score
from chidu.laws.fit import fit
from chidu.runs import Run
from chidu.stats import Interval

FORECAST = Forecast(1e9, 2e10, 1.2e20, 2.5, Interval(2.4, 2.6, 0.9), "run", 12.0, (), "form=chinchilla")


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


def test_a_receipt_is_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr("chidu.forecast.receipt.hash_json", lambda value: "same")
    lock(FORECAST, tmp_path)
    with pytest.raises(InputError, match="not overwritten"):
        lock(FORECAST, tmp_path)
