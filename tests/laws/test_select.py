import math
from dataclasses import replace

import numpy as np
import pytest

from chidu.laws.select import far_above, forecast_rows, replicate_noise, select_runs
from chidu.runs import Run, RunTable


def cell(*losses, **known):
    """Runs of one size, with one other known value each."""
    values = {name: list(column) for name, column in known.items()}
    runs = [
        Run(loss=loss, params=1e6, tokens=2e7, flops=1.2e14, **{k: v[i] for k, v in values.items()})
        for i, loss in enumerate(losses)
    ]
    return RunTable(tuple(runs))


def test_a_clean_table_is_left_alone(make_table):
    table = make_table(noise=0.003)
    assert select_runs(table, frontier=False) == replace(table, lines=tuple(range(1, 26)))


def test_the_best_of_a_sweep_is_kept():
    kept = select_runs(cell(3.2, 3.0, 3.1), frontier=False)
    assert [run.loss for run in kept] == [3.0]
    assert [gone.row for gone in kept.set_aside] == [1, 3]
    assert "swept" in kept.set_aside[0].reason
    assert "+6.7%" in kept.set_aside[0].reason


def test_copies_are_set_aside():
    kept = select_runs(cell(3.0, 3.0, 3.01, seed=[0, 0, 0]), frontier=False)
    assert [run.loss for run in kept] == [3.0, 3.01]
    assert [(gone.row, gone.reason) for gone in kept.set_aside] == [(2, "a copy of row 1: same size, setting and loss")]
    assert len(select_runs(cell(3.0, 3.0, seed=[0, 1]), frontier=False)) == 2


def test_seeds_are_all_kept():
    assert len(select_runs(cell(3.0, 3.01, 2.99), frontier=False)) == 3
    assert len(select_runs(cell(3.0, 3.2, seed=[0, 1]), frontier=False)) == 2


def test_groups_are_not_a_sweep():
    assert len(select_runs(cell(3.0, 3.4, group=["c4", "code"]), frontier=False)) == 2


def test_seeds_of_the_best_rate_are_kept():
    table = cell(3.2, 3.05, 3.0, 3.3, learning_rate=[0.01, 0.005, 0.005, 0.02], seed=[0, 0, 1, 0])
    assert [run.loss for run in select_runs(table, frontier=False)] == [3.05, 3.0]


def test_a_diverged_run_is_set_aside(make_table):
    table = make_table()
    runs = list(table.runs)
    runs[12] = replace(runs[12], loss=9.5, run="boom")
    kept = select_runs(RunTable(tuple(runs)), frontier=False)
    assert len(kept) == 24
    assert [(gone.row, gone.run) for gone in kept.set_aside] == [(13, "boom")]
    assert "diverged" in kept.set_aside[0].reason


def test_a_group_of_higher_losses_has_not_diverged(make_table):
    table = make_table()
    pair = (
        *(replace(run, group="a") for run in table),
        *(replace(run, group="b", loss=run.loss * 1.5) for run in table),
    )
    assert len(select_runs(RunTable(pair), frontier=False)) == 50


def test_runs_that_repeat_their_data_are_set_aside_unless_all_do(make_table):
    table = make_table()
    some = RunTable(
        tuple(replace(r, unique_tokens=(r.tokens or 0) / (40 if i < 5 else 1)) for i, r in enumerate(table))
    )
    kept = select_runs(some, frontier=False)
    assert len(kept) == 20
    assert "40 times" in kept.set_aside[0].reason
    every = RunTable(tuple(replace(r, unique_tokens=(r.tokens or 0) / 40) for r in table))
    assert len(select_runs(every, frontier=False)) == 25


def test_a_frontier_takes_the_best_at_each_compute(make_table):
    kept = select_runs(make_table(), frontier=True)
    assert len(kept) == 5
    assert "frontier" in kept.set_aside[0].reason
    assert (np.diff(kept.column("loss")) < 0).all()


def test_only_runs_far_above_a_law_are_called_diverged():
    residuals = np.full(20, 0.002) * (-1) ** np.arange(20)
    assert far_above(residuals, 5) == {}
    residuals[4], residuals[5] = 0.3, -0.3
    assert list(far_above(residuals, 5)) == [4]
    assert far_above(residuals[:6], 5) == {}


def test_undertrained_rows_are_not_forecast_from_unless_too_few_are_left():
    runs = [Run(loss=3.0, params=1e6, tokens=r * 1e6, flops=6e12 * r) for r in (1, 2, 5, 10, 20, 40, 80, 160)]
    inputs = ("params", "tokens")
    assert forecast_rows(RunTable(tuple(runs)), inputs).tolist() == [False] * 2 + [True] * 6
    assert forecast_rows(RunTable(tuple(runs[:7])), inputs).all()
    assert forecast_rows(RunTable(tuple(runs)), ("flops",)).all()


def test_replicates_measure_the_noise():
    noise, freedom = replicate_noise(cell(3.0, 3.0 * math.exp(0.01)))
    assert (noise, freedom) == (pytest.approx(0.01 / math.sqrt(2)), 1)
    assert replicate_noise(cell(3.0)) == (None, 0)
