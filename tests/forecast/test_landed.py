import json
from dataclasses import replace

import pytest

from chidu.errors import CorruptError, InputError
from chidu.forecast.landed import find_run, read_record
from chidu.forecast.loss import Forecast
from chidu.forecast.metric import MetricForecast
from chidu.forecast.receipt import lock, score
from chidu.runs import Run, RunTable
from chidu.stats import Interval

NEAR = Forecast(1e9, 2e10, 1.2e20, 2.5, Interval(2.4, 2.6, 0.9), "run", 5.0, (), "form=chinchilla")
FAR = replace(NEAR, params=1e10, tokens=2e11, flops=1.2e22, median=2.1, distance=500.0)
BUDGET = replace(NEAR, params=None, tokens=None)
BIG = Run(run="big", params=1.01e9, tokens=1.99e10, loss=2.55)
OTHERS = (Run(run="small", params=1e8, tokens=2e9, loss=3.0), Run(run="long", params=1e9, tokens=2e11, loss=2.3))


@pytest.fixture
def receipt(tmp_path):
    return lock(NEAR, tmp_path)


def test_the_run_of_the_targets_size_is_found(receipt):
    assert find_run(receipt, RunTable((*OTHERS, BIG))).run == "big"


def test_a_budget_is_found_by_its_flops(tmp_path):
    path = lock(BUDGET, tmp_path)
    assert find_run(path, RunTable((*OTHERS, Run(run="c", flops=1.21e20, loss=2.6)))).run == "c"
    assert find_run(path, RunTable((*OTHERS, BIG))).run == "big"


def test_no_such_run_has_landed(receipt):
    with pytest.raises(InputError, match=r"no finished run of params 1e\+09, tokens 2e\+10"):
        find_run(receipt, RunTable(OTHERS, source="runs.csv"))
    with pytest.raises(InputError, match="no finished run"):
        find_run(receipt, RunTable((Run(flops=1.2e20, loss=2.5),)))


def test_of_several_settings_the_best_has_landed(receipt):
    sweep = [replace(BIG, run=f"lr{rate}", learning_rate=rate, loss=2.5 + rate) for rate in (0.3, 0.1, 0.2)]
    assert find_run(receipt, RunTable(tuple(sweep))).run == "lr0.1"


def test_of_several_seeds_one_must_be_named(receipt):
    table = RunTable((BIG, replace(BIG, run="", seed=1.0, loss=2.56)), lines=(7, 9), source="runs.csv")
    with pytest.raises(InputError, match=r"2 runs of runs\.csv are of that size; give --run, one of big, row 9"):
        find_run(receipt, table)
    assert find_run(receipt, table, "big").loss == 2.55
    assert find_run(receipt, table, "row 9").loss == 2.56
    with pytest.raises(InputError, match="--run bog: "):
        find_run(receipt, table, "bog")


def test_a_named_run_of_another_size_is_not_it(receipt):
    with pytest.raises(InputError, match="no finished run of"):
        find_run(receipt, RunTable((*OTHERS, BIG)), "small")


def test_the_record_lists_receipts_and_scores_by_distance(receipt, tmp_path):
    far = lock(FAR, tmp_path)
    waiting = lock(replace(FAR, median=2.0), tmp_path)
    score(receipt, BIG)
    score(far, Run(loss=2.8))
    record = read_record(tmp_path)
    assert [row.receipt for row in record.rows] == [receipt.stem, far.stem, waiting.stem]
    assert [row.inside for row in record.rows] == [True, False, None]
    assert record.rows[0].error == pytest.approx(2.5 / 2.55 - 1)
    assert [(low, high, len(rows)) for low, high, rows in record.bands()] == [(3, 10, 1), (100, float("inf"), 1)]
    text = str(record)
    assert "at 3 to 10 times: mean error 1.96%, 1 of 1 inside" in text
    assert "at over 100 times: mean error 25.00%, 0 of 1 inside" in text
    assert "1 of 3 not landed yet" in text
    assert f"verified: 5 lines of {tmp_path}, none changed; head {record.head}" in text
    value = json.loads(json.dumps(record.to_json(), allow_nan=False))
    error = pytest.approx(0.05 / 2.55)
    assert value["distances"][0] == {"from": 3, "to": 10, "scored": 1, "error": error, "inside": 1}
    assert len(value["receipts"]) == 3


def test_metrics_stand_in_the_record_beside_losses(receipt, tmp_path):
    size = (2.5, NEAR.interval, 1e9, 2e10, 1.2e20, 5.0, (), "form=tied")
    scored = lock(MetricForecast("accuracy", 0.6, Interval(0.5, 0.7, 0.9), *size), tmp_path)
    lock(MetricForecast("f1", 40.0, Interval(30.0, 50.0, 0.9), *size), tmp_path)
    table = RunTable((*OTHERS, replace(BIG, extra={"accuracy": "0.62"})))
    score(scored, find_run(scored, table))
    score(receipt, BIG)
    record = read_record(tmp_path)
    assert [(row.quantity, row.value) for row in record.rows] == [("loss", 2.55), ("accuracy", 0.62), ("f1", None)]
    assert [len(rows) for _, _, rows in record.bands()] == [1]
    text = str(record)
    assert "0.6200  -0.0200 inside, accuracy" in text
    assert "none yet, f1" in text
    assert "of metrics: 1 of 1 inside\n1 of 3 not landed yet" in text


def test_the_first_outcome_counts(receipt, tmp_path):
    score(receipt, Run(loss=3.0))
    score(receipt, Run(loss=2.5))
    score(receipt, Run(loss=2.5))
    (row,) = read_record(tmp_path).rows
    assert (row.value, row.outcomes, row.inside) == (3.0, 2, False)
    assert "scored 2 times: the first counts" in str(read_record(tmp_path))


def test_a_changed_folder_has_no_record(receipt, tmp_path):
    receipt.write_text(receipt.read_text().replace("2.5", "2.6"))
    with pytest.raises(CorruptError, match="was changed after line 1"):
        read_record(tmp_path)
    with pytest.raises(CorruptError, match="changed after it was locked"):
        find_run(receipt, RunTable((BIG,)))
