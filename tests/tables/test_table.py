import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chidu.errors import InputError
from chidu.runs import Run, RunTable, parse_number, write_runs
from chidu.tables.read import read_runs

GOOD = "params,tokens,loss\n1e6,2e7,3.5\n2e6,4e7,3.2\n"


def write(folder, text):
    path = folder / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_table_is_read(tmp_path):
    table = read_runs(write(tmp_path, GOOD))
    assert len(table) == 2
    assert table.column("params").tolist() == [1e6, 2e6]
    assert table.column("flops").tolist() == [6 * 1e6 * 2e7, 6 * 2e6 * 4e7]
    assert table.has_params
    assert table.lines == (2, 3)
    assert table.notes == ("flops was not given and is taken as 6 * params * tokens",)


@pytest.mark.parametrize(
    "header",
    ["N,D,L", "n_params,n_tokens,val/loss", "Model_Size,TRAIN_TOKENS,Final_Loss", " params , tokens , eval_loss "],
)
def test_common_spellings_are_recognised(header, tmp_path):
    table = read_runs(write(tmp_path, f"{header}\n1e6,2e7,3.5\n"))
    assert (table.runs[0].params, table.runs[0].tokens, table.runs[0].loss) == (1e6, 2e7, 3.5)


def test_tabs_and_a_byte_order_mark_are_read(tmp_path):
    table = read_runs(write(tmp_path, "\ufeffflops\tloss\n1e18\t3.5\n"))
    assert table.runs[0].flops == 1e18
    assert not table.has_params


def test_columns_can_be_mapped(tmp_path):
    path = write(tmp_path, "size,length,nll\n1e6,2e7,3.5\n")
    table = read_runs(path, {"params": "size", "tokens": "length", "loss": "nll"})
    assert table.runs[0].tokens == 2e7
    with pytest.raises(InputError, match="has no column width"):
        read_runs(path, {"params": "width"})
    with pytest.raises(InputError, match="chidu has no column colour"):
        read_runs(path, {"colour": "size"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,tokens\n1e6,2e7\n", "lacks the column loss"),
        ("params,loss\n1e6,3\n", "lacks the column tokens"),
        ("loss\n3\n", "lacks the column params and tokens"),
        ("params,tokens,loss\n1e6,2e7,-3\n", "row 2: loss is -3, but it must be positive"),
        ("params,tokens,loss\n0,2e7,3\n", "row 2: params is 0"),
        ("params,tokens,loss\n1e6,2e7,3\n1e6,lots,3\n", "row 3: tokens is 'lots', which is not a number"),
        ("params,tokens,loss\n1e6,2e7,NaN\n", "row 2: loss is NaN, not a finite number"),
        ("params,tokens,loss\n1e6,inf,3\n", "row 2: tokens is inf"),
        ("params,tokens,loss\n1e6,2e7,\n", "row 2: loss is empty"),
        ("params,tokens,loss\n1e6,2e7\n", "row 2: 2 values under 3 column names"),
        ("params,tokens,loss\n1e6,2e7,3,4\n", "row 2: 4 values under 3 column names"),
        ("params,tokens,loss\n", "no finished run"),
        ("", "is empty"),
    ],
)
def test_bad_tables_are_named_with_row_and_remedy(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_runs(write(tmp_path, text))


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_runs(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_runs(tmp_path)
    for content, words in ((b"\xff\xfe\x00\x81", "not text"), (b"params,tokens,loss\n1\x00,2,3\n", "binary")):
        path = tmp_path / "binary.csv"
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_runs(path)


def test_runs_that_did_not_finish_are_set_aside(tmp_path):
    table = read_runs(write(tmp_path, "run,params,tokens,loss,status\na,1e6,2e7,3,done\nb,1e6,2e7,nan,diverged\n"))
    assert [run.run for run in table] == ["a"]
    assert [(gone.row, gone.run, gone.reason) for gone in table.set_aside] == [(3, "b", "status is 'diverged'")]


def test_rows_set_aside_later_keep_their_lines(tmp_path):
    table = read_runs(write(tmp_path, "params,tokens,loss\n1,1,5\n\n2,2,4\n3,3,3\n"))
    assert table.lines == (2, 4, 5)
    once = table.without({0: "first"})
    twice = once.without({1: "last"})
    assert [(gone.row, gone.reason) for gone in twice.set_aside] == [(2, "first"), (5, "last")]
    assert twice.lines == (4,)


def test_missing_flops_are_filled_in(tmp_path):
    table = read_runs(write(tmp_path, "params,tokens,loss,flops\n1e6,2e7,3,\n1e6,2e7,3,1e14\n"))
    assert table.column("flops").tolist() == [1.2e14, 1e14]
    assert "not given" in table.notes[0]


def test_unknown_columns_are_kept(tmp_path):
    run = read_runs(write(tmp_path, "params,tokens,loss,colour\n1e6,2e7,3,red\n")).runs[0]
    assert run.extra == {"colour": "red"}
    assert Run.from_json(run.to_json()) == run


