"""What must hold of any table, tried on several."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from chidu.forecast.loss import forecast_loss
from chidu.laws.fit import fit
from chidu.runs import RunTable

SIZE = {"params": 3e9, "tokens": 6e10}
SEEDS = (0, 1, 2)


def shuffled(table: RunTable, seed: int) -> RunTable:
    order = np.random.default_rng(seed).permutation(len(table))
    return RunTable(tuple(table.runs[i] for i in order))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_changes_nothing(make_table, seed):
    table = make_table(noise=0.004, seed=seed)
    plain, mixed = fit(table, draws=300), fit(shuffled(table, seed), draws=300)
    assert mixed.predict(**SIZE).median == pytest.approx(plain.predict(**SIZE).median, rel=1e-9)
    assert mixed.predict(**SIZE).interval.upper == pytest.approx(plain.predict(**SIZE).interval.upper, rel=1e-9)
    for name, value in plain.parameters.items():
        assert mixed.parameters[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_saying_every_row_twice_narrows_nothing(make_table, seed):
    table = make_table(noise=0.004, seed=seed)
    twice = RunTable(tuple(run for run in table for _ in range(2)))
    assert fit(twice, draws=300).predict(**SIZE) == fit(table, draws=300).predict(**SIZE)


@pytest.mark.parametrize("seed", SEEDS)
def test_repeating_every_run_with_another_seed_narrows_no_more_than_twice_the_runs_could(make_table, seed):
    one, other = make_table(noise=0.004, seed=seed), make_table(noise=0.004, seed=seed + 100)
    both = RunTable((*(replace(run, seed=0.0) for run in one), *(replace(run, seed=1.0) for run in other)))
    once, twice = (fit(table, draws=1000).predict(**SIZE).interval for table in (one, both))
    assert twice.upper - twice.lower > (once.upper - once.lower) / np.sqrt(2) * 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_or_longer_run_is_not_forecast_worse(make_table, seed):
    made = fit(make_table(noise=0.004, seed=seed), draws=500)
    for name in SIZE:
        grid = SIZE[name] * np.geomspace(0.1, 10, 9)
        medians = [forecast_loss(made, **{**SIZE, name: float(value)}).median for value in grid]
        assert (np.diff(medians) < 0).all()


def test_intervals_are_nested_in_their_level(make_table):
    made = fit(make_table(noise=0.004), draws=1000)
    levels = (0.5, 0.8, 0.9, 0.95, 0.99)
    intervals = [forecast_loss(made, **SIZE, level=level).interval for level in levels]
    for inner, outer in pairwise(intervals):
        assert outer.lower < inner.lower < inner.upper < outer.upper


def test_the_run_interval_holds_the_law_interval(make_table):
    made = fit(make_table(noise=0.004), draws=1000)
    law, run = (forecast_loss(made, **SIZE, of=of).interval for of in ("law", "run"))
    assert run.upper - run.lower > law.upper - law.lower
