from dataclasses import replace

import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.groups import split_groups
from chidu.runs import RunTable


def split(runs, **options):
    return split_groups(RunTable(tuple(runs)), **{"form": "auto", "group": None, "seed": 0, **options})


@pytest.fixture
def runs(make_table):
    return [replace(run, flops=None) for run in make_table(noise=0.001).runs]


def test_a_table_that_one_law_serves_is_one_part(runs):
    ((part,), notes) = split([replace(run, group=f"g{i % 2}") for i, run in enumerate(runs)])
    assert (part.group, len(part.table), notes) == ("", 25, [])
    assert part.table.lines == tuple(range(1, 26))
    assert all(run.flops for run in part.table)


def test_groups_that_lie_apart_are_parts(runs):
    far = [replace(run, loss=1.2 * run.loss, family="other") for run in runs[:15]]
    parts, notes = split([*far, *runs])
    assert [part.group for part in parts] == ["the rows without a group", "other"]
    assert [len(part.table) for part in parts] == [25, 15]
    assert all(len({run.family for run in part.law.runs}) == 1 for part in parts)
    assert notes == ["2 groups lie apart and are backtested one by one; forecasts are of the rows without a group"]


def test_one_group_that_was_asked_for(runs):
    far = [replace(run, loss=1.2 * run.loss, group="other") for run in runs[:15]]
    ((part,), _) = split([*far, *runs], group="other")
    assert {run.group for run in part.table} == {"other"}
    with pytest.raises(InputError, match="no run is of the group 'none'"):
        split([*far, *runs], group="none")


def test_too_few_runs_are_refused(runs):
    with pytest.raises(Refusal, match="6 usable runs are too few to backtest: 7 or more"):
        split(runs[:6])
