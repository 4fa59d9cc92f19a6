"""Backtests, quotes and receipts from the command line."""

import json
import re
from pathlib import Path

import pytest

from chidu.cli import main
from chidu.forecast.ledger import verify

RUNS = Path(__file__).parents[1] / "docs" / "example_runs.csv"
TARGET = ("--params", "1e9", "--tokens", "20e9")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the example's runs, and the one where commands run."""
    (tmp_path / "runs.csv").write_bytes(RUNS.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def chidu(capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def refused(answer, code, *words):
    got, out, err = answer
    assert (got, out) == (code, ""), err
    assert err.startswith("chidu: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_a_backtest_is_printed_written_and_then_quoted(chidu, here):
    code, out, err = chidu("backtest", "runs.csv", "--out", ".")
    assert (code, err) == (0, "")
    assert "chinchilla alone" in out
    assert "backtest: backtest.html   backtest.json" in out
    code, out, err = chidu("backtest", "runs.csv", "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    assert value == json.loads((here / "backtest.json").read_text())
    assert set(value["distances"][0]["methods"]["chidu"]) >= {"error", "bias", "cover", "width", "score", "coverage"}
    code, out, err = chidu("forecast", "runs.csv", *TARGET)
    assert re.search(r"backtest of these runs at about 10 times: mean error 0\.\d%, 90% intervals held \d of 4", out)
    assert re.search(r"record on \d published tables at 10 to 30 times: mean error", out)
    with (here / "runs.csv").open("a") as file:
        file.write("r20,3e8,6e9,2.8,0,done\n")
    assert "is of another table and is not quoted" in chidu("forecast", "runs.csv", *TARGET)[1]


def test_a_backtest_on_the_spot(chidu, here):
    code, out, err = chidu("forecast", "runs.csv", *TARGET, "--backtest", "--level", "0.8")
    assert (code, err) == (0, "")
    assert "backtest of these runs at about 10 times" in out
    assert "80% intervals held" in out
    value = json.loads(chidu("forecast", "runs.csv", *TARGET, "--backtest", "--json")[1])
    assert [quote["of"][:6] for quote in value["record"]] == ["record", "backte"]
    few = "\n".join((here / "runs.csv").read_text().splitlines()[:9])
    (here / "few.csv").write_text(few)
    code, out, err = chidu("forecast", "few.csv", *TARGET, "--backtest")
    assert code == 0
    assert "note: no backtest: " in out


def test_groups_are_chosen_by_name(chidu, here):
    head, *rows = (here / "runs.csv").read_text().splitlines()
    both = [f"{head},group", *[f"{row},a" for row in rows]]
    for row in rows:
        values = row.split(",")
        values[3] = str(1.2 * float(values[3]))
        both.append(",".join([*values, "b"]))
    (here / "both.csv").write_text("\n".join(both))
    low, high = (
        json.loads(chidu("forecast", "both.csv", *TARGET, "--group", name, "--backtest", "--json")[1]) for name in "ab"
    )
    assert high["median"] / low["median"] == pytest.approx(1.2, rel=0.01)
    assert [quote["targets"] for quote in (low["record"][1], high["record"][1])] == [4, 4]
    out = chidu("backtest", "both.csv")[1]
    assert "2 groups lie apart and are backtested one by one" in out
    assert "of 8" in out
    refused(chidu("backtest", "both.csv", "--group", "c"), 2, "no run is of the group 'c'")


@pytest.mark.usefixtures("here")
def test_tables_that_cannot_be_backtested(chidu, tmp_path):
    rows = RUNS.read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(rows[:5]))
    refused(chidu("backtest", "few.csv"), 3, "too few to backtest")
    (tmp_path / "one.csv").write_text("\n".join([*rows[:5], *[row.replace("r0", "s0") for row in rows[1:5]]]))
    refused(chidu("backtest", "one.csv"), 3, "to backtest")
    (tmp_path / "bad.csv").write_text("params,tokens,loss\n1e6,2e7,x\n")
    refused(chidu("backtest", "bad.csv"), 2, "bad.csv, row 2")
    refused(chidu("backtest", "none.csv"), 2, "does not exist")
    refused(chidu("backtest", "runs.csv", "--level", "1"), 2, "--level 1")
    refused(chidu("backtest", "runs.csv", "--out", "page.pdf"), 2, "--out page.pdf")


def test_a_lock_is_scored_and_its_folder_verified(chidu, here):
    code, out, err = chidu("forecast", "runs.csv", *TARGET, "--lock", "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    receipt = Path(value["receipt"])
    assert receipt.parent == Path("receipts")
    locked = json.loads(receipt.read_text())
    assert locked["forecast"]["median"] == value["median"]
    assert locked["table"]["hash"] in locked["forecast"]["signature"]
    (here / "landed.csv").write_text("run,N,D,loss\nsmall,1e8,2e9,3.1\nbig,1.001e9,2e10,2.52\n")
    code, out, err = chidu("score", receipt, "--runs", "landed.csv")
    assert (code, err) == (0, "")
    assert f"receipt {receipt.stem}" in out
    assert "inside" in out
    assert json.loads(chidu("score", receipt, "--loss", "3.2", "--json")[1])["inside"] is False
    code, out, err = chidu("score", "--ledger", "receipts")
    assert (code, err) == (0, "")
    assert "at 10 to 30 times: mean error" in out
    assert "scored 2 times: the first counts" in out
    head = verify(here / "receipts")[-1].hash
    assert f"head {head}" in out
    record = json.loads(chidu("score", "--ledger", "receipts", "--head", head[:16], "--json")[1])
    assert record["receipts"][0]["inside"] is True
    receipt.write_text(receipt.read_text().replace("2.5", "2.6"))
    refused(chidu("score", "--ledger", "receipts"), 2, "was changed after line 1")
    refused(chidu("score", receipt, "--loss", "2.5"), 2, "was changed after it was locked")


def test_targets_are_locked_one_by_one(chidu, here):
    (here / "targets.csv").write_text("params,tokens\n1e9,2e10\n2e9,4e10\n")
    code, out, err = chidu(
        "forecast", "runs.csv", "--targets", "targets.csv", "--out", "out.csv", "--lock", "--receipts", "mine"
    )
    assert (code, err) == (0, "")
    assert "locked: 2 receipts in mine" in out
    assert [entry.kind for entry in verify(here / "mine")] == ["lock", "lock"]
    values = json.loads(chidu("forecast", "runs.csv", "--targets", "targets.csv", "--json")[1])
    assert all("receipt" not in value and value["record"] for value in values)


def test_a_metric_is_locked_and_scored(chidu, here):
    head, *rows = RUNS.read_text().splitlines()
    place = head.split(",").index("loss")
    scores = [1 / (1 + 2.718 ** (3 * (float(row.split(",")[place]) - 3))) for row in rows]
    lines = [
        f"{head},acc",
        *(f"{row},{value + 0.002 * (-1) ** i:.5f}" for i, (row, value) in enumerate(zip(rows, scores, strict=True))),
    ]
    (here / "runs.csv").write_text("\n".join(lines) + "\n")
    code, out, err = chidu("forecast", "runs.csv", *TARGET, "--metric", "acc", "--lock", "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    receipt = Path(value["receipt"])
    locked = json.loads(receipt.read_text())
    assert (locked["quantity"], locked["forecast"]["median"]) == ("acc", value["median"])
    assert locked["curve"]["runs"] == len(rows) - 1  # one diverged
    refused(chidu("score", receipt, "--loss", "2.5"), 2, "forecasts acc", "with --value")
    (here / "landed.csv").write_text("run,N,D,loss,acc\nsmall,1e8,2e9,3.1,0.4\nbig,1.001e9,2e10,2.52,0.81\n")
    code, out, err = chidu("score", receipt, "--runs", "landed.csv", "--json")
    assert (code, err, json.loads(out)["value"]) == (0, "", 0.81)
    assert json.loads(chidu("score", receipt, "--value", "0.01", "--json")[1])["inside"] is False
    assert ", acc, scored 2 times" in chidu("score", "--ledger", "receipts")[1]
    refused(chidu("forecast", "runs.csv", *TARGET, "--metric", "acc", "--backtest"), 2, "--metric is not backtested")
    loss = json.loads(chidu("forecast", "runs.csv", *TARGET, "--lock", "--json")[1])["receipt"]
    refused(chidu("score", loss, "--value", "0.5"), 2, "forecasts loss", "with --loss")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["forecast", "runs.csv", *TARGET, "--receipts", "mine"], "nothing is locked without --lock"),
        (["forecast", "runs.csv", *TARGET, "--lock", "--of", "law"], "leave out --of law"),
        (["forecast", "runs.csv", *TARGET, "--lock", "--hardware", "abacus"], "no hardware 'abacus'"),
        (["forecast", "runs.csv", *TARGET, "--backtest", "--of", "law"], "leave out --of law"),
        (["score"], "give a receipt to score, or --ledger"),
        (["score", "x.json"], "give one of --runs TABLE"),
        (["score", "x.json", "--loss", "2", "--runs", "runs.csv"], "--loss, or --value"),
        (["score", "x.json", "--loss", "much"], "--loss much"),
        (["score", "x.json", "--loss", "2"], "x.json does not exist"),
        (["score", "x.json", "--runs", "runs.csv"], "x.json does not exist"),
        (["score", "x.json", "--loss", "2", "--head", "abc"], "--head abc"),
        (["score", "x.json", "--ledger", "."], "leave out the receipt"),
        (["score", "--ledger", "nowhere"], "nowhere holds no ledger.jsonl"),
        (["score", "--ledger", ".", "--loss", "2"], "leave out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_line_locks_nothing(chidu, here, words, said):
    refused(chidu(*words), 2, said)
    assert [path.name for path in here.iterdir()] == ["runs.csv"]


def test_runs_that_did_not_land(chidu, here):
    chidu("forecast", "runs.csv", *TARGET, "--lock")
    (receipt,) = (here / "receipts").glob("*.json")
    refused(chidu("score", receipt, "--runs", "runs.csv"), 2, "has no finished run of params 1e+09, tokens 2e+10")
    refused(chidu("score", receipt, "--loss", "-1"), 2, "must be a positive number")
    assert len(verify(here / "receipts")) == 1
