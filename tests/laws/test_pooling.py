from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.laws.fit import fit
from chidu.laws.pooling import describe_groups, keep_group, others_of_apart_groups
from chidu.runs import Run, RunTable


def two_data_sets(table: RunTable, by: float = 0.1, column: str = "group") -> RunTable:
    """Every other run is of data whose loss lies higher; the last run, one of the largest, is of group a."""
    return RunTable(
        tuple(replace(run, **{column: "ab"[i % 2]}, loss=run.loss * (1 + by * (i % 2))) for i, run in enumerate(table))
    )


@pytest.mark.parametrize("column", ["group", "family"])
def test_of_groups_that_lie_apart_the_one_with_the_largest_run_is_fitted(make_table, column):
    made = fit(two_data_sets(make_table(noise=0.001), column=column), draws=50)
    assert {getattr(run, column) for run in made.runs} == {"a"}
    assert len(made.runs) == 13
    reasons = {gone.reason for gone in made.runs.set_aside}
    assert len(reasons) == 1
    assert f"of another {column} than a" in reasons.pop()
    assert any("--group" in text for text in made.warnings)


def test_another_count_of_params_is_told_by_its_slope(make_table):
    """Family b counts its embedding, family a does not: apart where models are small, alike where they are large."""
    table = make_table(noise=0.002)
    runs = [
        replace(run, family="ab"[i % 2], params=run.params + (i % 2) * 4000 * run.params**0.5, flops=None)
        for i, run in enumerate(table)
    ]
    made = fit(RunTable(tuple(runs)), draws=50)
    assert len({run.family for run in made.runs}) == 1
    assert "of another family" in made.runs.set_aside[0].reason


def test_the_forecast_is_that_of_the_group_alone(make_table):
    pooled = two_data_sets(make_table(noise=0.001))
    alone = RunTable(tuple(run for run in pooled if run.group == "a"))
    size = {"params": 5e9, "tokens": 1e11}
    assert fit(pooled, draws=200).predict(**size) == fit(alone, draws=200).predict(**size)


def test_groups_that_lie_together_are_pooled_and_said(make_table):
    made = fit(two_data_sets(make_table(noise=0.001), by=0.002), draws=50)
    assert len(made.runs) == 25
    assert any("2 groups pooled in one law (a, b)" in text for text in made.warnings)


def test_a_group_of_two_runs_says_too_little():
    runs = RunTable(tuple(Run(loss=3.0, params=1e6, tokens=1e7, flops=6e13 * 2**i, group="aabbb"[i]) for i in range(5)))
    assert others_of_apart_groups(runs, np.array([0.5, 0.5, 0.0, 0.0, 0.0])) == {}
    assert "2 groups pooled" in describe_groups(runs, np.zeros(5))


def test_a_group_can_be_chosen(make_table):
    table = two_data_sets(make_table(noise=0.001))
    made = fit(table, group="b", draws=50)
    assert {run.group for run in made.runs} == {"b"}
    assert made.runs.set_aside[0].reason == "not of the group b that was asked for"
    with pytest.raises(InputError, match="no run is of the group 'c'; there are a, b"):
        keep_group(table, "c")
    with pytest.raises(InputError, match="none is named"):
        keep_group(make_table(), "c")
