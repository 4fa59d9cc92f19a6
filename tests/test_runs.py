import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.runs import Run, RunTable, parse_number, write_runs
from chidu.tables.read import read_runs

NUMBERS = {
    "3e9": 3e9,
    "1.4B": 1.4e9,
    "1.4 B": 1.4e9,
    "70m": 70e6,
    "12k": 12e3,
    "1.5T": 1.5e12,
    " 1_000 ": 1e3,
    "1,000": 1e3,
    "1,234,567.5": 1234567.5,
    "+2e-4": 2e-4,
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_are_read_as_people_write_them(text, value):
    assert parse_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "B", "one", "1.2.3", "1e6 params", "3,52", "1,23,456", "12,5"])
def test_what_is_no_number_is_no_number(text):
    with pytest.raises(ValueError):
        parse_number(text)


def test_a_unit_is_taken_without_rounding():
    assert parse_number("0.3", 9) == 3e8
    assert parse_number("1.1e2", 6) == pytest.approx(1.1e8)
    assert parse_number("1.4B", 9) == 1.4e9  # a number's own suffix is enough


def test_made_tables_count_their_positions():
    table = RunTable((Run(loss=3.0), Run(loss=4.0, run="b")))
    assert [(gone.row, gone.run) for gone in table.without({1: "why"}).set_aside] == [(2, "b")]
    assert math.isnan(table.column("params")[0])


positive = st.floats(min_value=1e-300, max_value=1e300, allow_nan=False)
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=12)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.builds(
            Run,
            loss=positive,
            params=positive,
            tokens=positive,
            flops=positive,
            learning_rate=st.none() | positive,
            seed=st.none() | st.integers(0, 2**31).map(float),
            run=words,
            group=st.none() | words.filter(bool),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_writing_and_reading_is_exact(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("exact") / "runs.csv"
    write_runs(path, rows)
    assert list(read_runs(path)) == rows


def test_writing_leaves_out_what_no_run_knows(tmp_path):
    write_runs(tmp_path / "runs.csv", [Run(loss=3.0, params=1e6, tokens=2e7)])
    assert (tmp_path / "runs.csv").read_text() == "run,loss,params,tokens,status\n,3,1000000,20000000,done\n"


def test_every_number_of_a_run_reads_back(tmp_path):
    numbers = {f.name: 1.25 for f in fields(Run) if "float" in str(f.type)}
    run = replace(Run(loss=1.0), **numbers)
    write_runs(tmp_path / "runs.csv", [run])
    assert read_runs(tmp_path / "runs.csv").runs == (run,)
    assert np.isfinite(read_runs(tmp_path / "runs.csv").column("n_layer")).all()
