from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import Refusal
from chidu.forecast.holdout import DISTANCES, EDGES, budgets, hold_out, targets_of
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable


def numbered(runs):
    return RunTable(tuple(runs), lines=tuple(range(1, len(runs) + 1)))


def cuts_of(runs, **options):
    table = numbered(runs)
    return hold_out(table, fit(table, draws=20, **options))


def test_budgets_group_nearly_equal_compute_and_keep_every_run():
    groups = budgets(np.array([3.0, 1.0, 1.15, 9.0, 3.3]))
    assert [group.tolist() for group in groups] == [[1, 2], [0, 4], [3]]
    assert [group.tolist() for group in budgets(np.array([5.0]))] == [[0]]


def test_a_ladder_is_cut_between_its_budgets(make_table):
    cuts = cuts_of(make_table(noise=0.002).runs)
    assert [cut.largest_flops for cut in cuts] == pytest.approx([3e19, 1e19, 3e18], rel=1e-6)
    assert [cut.distance for cut in cuts] == pytest.approx([10 / 3, 10, 100 / 3], rel=1e-6)
    assert [len(cut.kept) for cut in cuts] == [20, 15, 10]
    for cut in cuts:
        assert cut.about in DISTANCES
        assert all(run.flops == pytest.approx(1e20) for run in cut.targets)
        assert max(run.flops for run in cut.kept) < min(run.flops for run in cut.targets) / EDGES[0]


def test_of_a_dense_table_ten_runs_are_held_out_at_each_distance():
    rng = np.random.default_rng(0)
    runs = []
    for flops in np.geomspace(1e17, 1e21, 180):
        params = float(np.sqrt(flops / 120) * np.exp(0.5 * rng.standard_normal()))
        tokens = flops / 6 / params
        loss = (1.8 + 400 / params**0.34 + 2000 / tokens**0.36) * np.exp(0.002 * rng.standard_normal())
        runs.append(Run(params=params, tokens=tokens, flops=float(flops), loss=float(loss)))
    cuts = cuts_of(runs)
    assert [cut.about for cut in cuts] == list(DISTANCES)
    assert all(len(cut.targets) >= 10 for cut in cuts)
    for cut, low, high in zip(cuts, EDGES, EDGES[1:], strict=False):
        away = np.array([run.flops for run in cut.targets]) / cut.largest_flops
        assert (away >= low).all()
        assert (away < high).all()


def test_dirty_rows_are_kept_and_are_no_targets(make_table):
    runs = list(make_table(noise=0.002).runs)
    spoilt = [replace(runs[2], loss=9.0), replace(runs[22], loss=9.0)]
    cuts = cuts_of([*runs, *spoilt])
    assert all(spoilt[0] in cut.kept.runs for cut in cuts)
    assert all(spoilt[1] not in cut.targets for cut in cuts)
    assert all(cut.kept.set_aside == () for cut in cuts)


def test_of_a_cell_the_best_setting_is_asked_for(make_table):
    runs = [replace(run, learning_rate=1e-3) for run in make_table(noise=0.001).runs]
    worse = [replace(run, learning_rate=3e-3, loss=run.loss * 1.005) for run in runs[-5:]]
    targets = targets_of(fit(numbered([*runs, *worse]), draws=20))
    assert len(targets) == len(runs)
    assert not any(run in targets for run in worse)


def test_undertrained_runs_are_no_targets(make_table):
    runs = list(make_table(noise=0.001).runs)
    params, tokens = 5e9, 1e10
    short = Run(params=params, tokens=tokens, flops=3e20, loss=1.8 + 400 / params**0.34 + 2000 / tokens**0.36)
    assert short not in targets_of(fit(numbered([*runs, short]), draws=20))


def test_a_group_that_has_no_smaller_runs_is_not_asked_for(make_table):
    runs = list(make_table(noise=0.001).runs)
    runs = [replace(run, group="b" if i in (21, 24) else "a") for i, run in enumerate(runs)]
    cuts = cuts_of(runs)
    assert all(run.group == "a" for cut in cuts for run in cut.targets)


def test_labels_that_name_sizes_keep_no_run_out(make_table):
    cuts = cuts_of([replace(run, group=f"{run.flops:.0e}") for run in make_table(noise=0.001).runs])
    assert [len(cut.targets) for cut in cuts] == [5, 5, 5]


def test_frontiers_are_cut_too():
    runs = [Run(flops=float(c), loss=1.5 + 30 * float(c) ** -0.08) for c in np.geomspace(1e17, 1e20, 12)]
    cuts = cuts_of(runs)
    assert len(cuts) >= 3
    assert all(len({run.flops for run in cut.kept}) >= 4 for cut in cuts)


@pytest.mark.parametrize("budgets_", [(1e18, 1.2e18, 1.3e18), (1e18, 1e19)])
def test_too_small_a_table_is_refused(budgets_, make_table):
    with pytest.raises(Refusal, match="too small a table to backtest"):
        cuts_of(make_table(noise=0.002, budgets=budgets_).runs)
