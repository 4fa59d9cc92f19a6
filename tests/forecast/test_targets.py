import csv
from dataclasses import dataclass

import pytest

from chidu.errors import InputError
from chidu.forecast.targets import read_targets, write_forecasts
from chidu.stats import Interval


@dataclass(frozen=True)
class Answer:
    median: float
    interval: Interval


def write(folder, text):
    path = folder / "targets.csv"
    path.write_text(text)
    return path


def test_targets_are_read_with_their_own_columns(tmp_path):
    first, second = read_targets(write(tmp_path, "name,N,D\nbig,70B,1.4T\nsmall,1e9,2e10\n"))
    assert (first.params, first.tokens, first.flops) == (70e9, 1.4e12, None)
    assert first.columns == {"name": "big", "N": "70B", "D": "1.4T"}
    assert second.params == 1e9


def test_targets_may_be_flops_alone_or_mapped(tmp_path):
    assert read_targets(write(tmp_path, "flops\n1e21\n"))[0].flops == 1e21
    path = write(tmp_path, "size,length\n1e9,2e10\n")
    assert read_targets(path, {"params": "size", "tokens": "length"})[0].tokens == 2e10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,loss\n1e9,3\n", "neither params and tokens nor flops"),
        ("params,tokens\n", "no rows"),
        ("params,tokens\n1e9,many\n", "row 2: tokens is 'many'"),
        ("params,tokens\n-1,2e10\n", "must be positive"),
        ("params,tokens\n1e9,\n", "row 2: neither"),
        ("params,tokens\nnan,1e9\n", "not a finite number"),
        ("params,tokens\n1e9\n", "row 2: 1 values under 2"),
        ("", "is empty"),
    ],
)
def test_bad_targets_are_named(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_targets(write(tmp_path, text))


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="has no column size"):
        read_targets(write(tmp_path, "a,b\n1,2\n"), {"params": "size", "tokens": "b"})
    with pytest.raises(InputError, match="does not exist"):
        read_targets(tmp_path / "none.csv")


def test_answers_stand_beside_the_rows_own_columns(tmp_path):
    targets = read_targets(write(tmp_path, 'name,params,tokens,median\n"a, b",1e9,2e10,old\n'))
    write_forecasts(tmp_path / "out.csv", targets, [Answer(2.5, Interval(2.4, 2.7, 0.9))])
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"name": "a, b", "params": "1e9", "tokens": "2e10", "median": "2.5", "lower": "2.4", "upper": "2.7"}
    ]
