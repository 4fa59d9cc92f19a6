import json
import math
from importlib.resources import files

import pytest

from chidu.forecast.quote import Quote, published, saved
from chidu.store import write_json

RECORD = json.loads((files("chidu.forecast") / "record.json").read_text(encoding="utf-8"))


def test_the_record_covers_every_distance_beyond_the_runs():
    parts = RECORD["distances"]
    assert parts[0]["from"] == 1
    assert parts[-1]["to"] is None
    assert [part["to"] for part in parts[:-1]] == [part["from"] for part in parts[1:]]
    for part in parts:
        assert 0 < part["error"] < 0.1
        assert part["forecasts"] > 0
        assert {"0.5", "0.8", "0.9"} <= set(part["cover"])
        assert all(0 <= share <= 1 for share in part["cover"].values())


@pytest.mark.parametrize("part", RECORD["distances"], ids=lambda part: str(part["from"]))
def test_a_distance_is_quoted_from_its_own_range(part):
    quote = published(1.01 * part["from"], 0.8)
    assert (quote.nearest, quote.error, quote.cover) == (part["from"], part["error"], part["cover"]["0.8"])
    assert quote.level == 0.8
    assert f"record on {part['tables']} published tables" in str(quote)
    assert RECORD["note"] in str(quote)
    json.dumps(quote.to_json(), allow_nan=False)


def test_a_level_that_was_not_looked_at_is_quoted_at_90():
    assert published(5, 0.42).level == 0.9


def test_within_the_runs_nothing_is_quoted():
    assert published(0.5, 0.9) is None


def test_sentences():
    quote = Quote("backtest of these runs", 9.6, 9.6, 10, 0.008, 0.9, 0.9)
    assert str(quote) == "backtest of these runs at about 9.6 times: mean error 0.8%, 90% intervals held 9 of 10"
    far = Quote("record on 3 published tables", 100.0, math.inf, 40, 0.02, 0.85, 0.9, "a note")
    assert str(far).endswith("over 100 times: mean error 2.0%, 90% intervals held 85% of 40 times (a note)")
    assert far.to_json()["farthest"] is None


def test_nothing_saved_says_nothing(tmp_path):
    assert saved(tmp_path, "hash", 10) == (None, "")


def test_a_backtest_of_other_rows_is_not_quoted(tmp_path):
    write_json(tmp_path / "backtest.json", {"table": "other", "distances": []})
    quote, why = saved(tmp_path, "hash", 10)
    assert quote is None
    assert "is of another table" in why


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"table": "hash"}', '{"table": "hash", "distances": [{"methods": {"chidu": 1}}]}']
)
def test_what_cannot_be_read_is_not_quoted(text, tmp_path):
    (tmp_path / "backtest.json").write_text(text)
    quote, why = saved(tmp_path, "hash", 10)
    assert quote is None
    assert "chidu backtest again" in why


def test_a_backtest_in_which_chidu_answered_nothing(tmp_path):
    write_json(tmp_path / "backtest.json", {"table": "hash", "distances": [{"distance": 3.0, "methods": {}}]})
    assert saved(tmp_path, "hash", 10) == (None, "")
