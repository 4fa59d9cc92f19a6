from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import Refusal
from chidu.laws.diagnose import diagnose
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable


def warnings_of(table, residuals=None, noise=0.003):
    residuals = np.zeros(len(table)) if residuals is None else residuals
    return " | ".join(diagnose(table, residuals, noise, np.ones(len(table), dtype=bool)))


def test_a_good_ladder_has_no_warnings(make_table):
    assert fit(make_table(noise=0.002), draws=50).warnings == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: replace(t, runs=t.runs[::5]), "only 5 runs"),
        (lambda t: replace(t, runs=t.runs[:10]), "span only 0.5 decades"),
        (lambda t: replace(t, runs=t.runs[2::5]), "cannot be told apart"),
        (lambda t: replace(t, runs=tuple(replace(r, params=1e8) for r in t)), "the same params"),
        (lambda t: replace(t, runs=tuple(replace(r, tokens=1e9) for r in t)), "the same tokens"),
        (lambda t: replace(t, runs=tuple(replace(r, tokens=r.params) for r in t)), "25 of 25 runs have fewer than 3"),
        (lambda t: replace(t, runs=tuple(replace(r, group="ab"[i % 2]) for i, r in enumerate(t))), "2 groups pooled"),
    ],
)
def test_each_weakness_is_named_with_its_number(change, words, make_table):
    assert words in warnings_of(change(make_table()))


def test_outliers_are_named(make_table):
    residuals = np.full(25, 0.001) * (-1) ** np.arange(25)
    residuals[3] = 0.08
    assert "1 of 25 runs are outliers" in warnings_of(make_table(), residuals)
    assert "+8.0%" in warnings_of(make_table(), residuals)


def test_a_bend_at_the_end_is_named(make_table):
    residuals = np.full(25, -0.001)
    residuals[-5:] = 0.012
    assert "a bend at the end" in warnings_of(make_table(), residuals)
    assert "bend" not in warnings_of(make_table(), -residuals)


def test_runs_whose_loss_does_not_fall_are_refused(make_table):
    table = make_table(noise=0.002)
    worse = sorted(table, key=lambda run: run.flops)
    worse = tuple(replace(run, loss=3 + 0.01 * i) for i, run in enumerate(worse))
    with pytest.raises(Refusal, match="does not fall with compute over these 25 runs"):
        fit(RunTable(worse), draws=50)


def test_scatter_of_several_kinds_is_named(make_table):
    assert "scatter by 2.0% around the law" in " ".join(diagnose(make_table(), np.zeros(25), 0.02, np.ones(25, bool)))
    assert "scatter" not in " ".join(diagnose(make_table(), np.zeros(25), 0.01, np.ones(25, bool)))


def test_a_frontier_is_not_asked_for_tokens_per_param():
    runs = tuple(Run(flops=10.0 ** (15 + i / 4), loss=3.0 - i / 9) for i in range(9))
    assert warnings_of(RunTable(runs)) == ""


def test_a_floor_that_the_runs_do_not_show_is_named(make_table):
    table = make_table()
    every = np.ones(len(table), dtype=bool)
    lowest = min(run.loss for run in table)

    def said(floor: float | None) -> str:
        return " ".join(diagnose(table, np.zeros(len(table)), 0.003, every, floor))

    assert "do not show the floor: the plain fit puts E at 1e-10" in said(1e-10)
    assert "floor" not in said(0.06 * lowest)
    assert "floor" not in said(None)
