from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.laws.forms import FORMS
from chidu.laws.resample import group_rows, resample
from chidu.laws.solver import bootstrap_reference, fit_reference


def draw(kind, groups=None, draws=400, parts=3):
    """Tables of six rows, whose residuals are 1 to 6 thousandths, after a fit of two parameters."""
    fitted = np.zeros(6)
    made = list(resample(kind, fitted, 1e-3 * np.arange(1.0, 7.0), 2, groups, draws, 0, parts))
    return [np.concatenate([part[j] for part in made]) for j in (0, 1)]


def test_runs_are_drawn_with_replacement():
    weights, y = draw("runs")
    assert weights.shape == (400, 6)
    assert (weights.sum(1) == 6).all()
    assert weights.mean(0) == pytest.approx(np.ones(6), abs=0.2)
    assert (y == 1e-3 * np.arange(1.0, 7.0)).all()


def test_groups_are_drawn_whole():
    weights, _ = draw("groups", np.array([0, 0, 1, 1, 2, 2]))
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights[:, ::2].sum(1) == 3).all()


def test_wild_residuals_keep_their_size_and_change_their_sign():
    weights, y = draw("wild")
    assert (weights == 1).all()
    assert np.abs(y) == pytest.approx(np.tile(1e-3 * np.arange(1, 7) * np.sqrt(6 / 4), (400, 1)))
    assert (y > 0).mean(0) == pytest.approx(np.full(6, 0.5), abs=0.1)


def test_the_number_of_parts_does_not_matter():
    assert np.array_equal(draw("runs", parts=1)[0], draw("runs", parts=7)[0])
    assert np.array_equal(draw("wild", parts=1)[1], draw("wild", parts=7)[1])


def test_groups_are_the_column_or_the_sizes(make_table):
    table = make_table()
    named = replace(table, runs=tuple(replace(run, group=f"g{i % 4}") for i, run in enumerate(table.runs)))
    assert group_rows(named).tolist() == [i % 4 for i in range(25)]
    sizes = np.array([1e7, 1.001e7, 3e7, 3e7, 9e7])
    sized = replace(table, runs=tuple(replace(table.runs[i], params=n) for i, n in enumerate(sizes)))
    assert group_rows(sized).tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(InputError, match="3 groups or more"):
        group_rows(replace(sized, runs=sized.runs[:4]))


@pytest.mark.parametrize("kind", ["runs", "groups", "wild"])
def test_standard_errors_are_those_of_independent_noise(kind, make_table):
    """Of log loss at the centre of the table, where a robust mean of I independent errors is known well."""
    table = make_table(noise=0.004)
    x = np.log(np.stack([table.column("params"), table.column("tokens")], axis=1))
    x, y = x - x.mean(0), np.log(table.column("loss"))
    form = FORMS["chinchilla"]
    reference = fit_reference(form, x, y)
    groups = np.arange(len(y)) // 2 if kind == "groups" else None
    laws = bootstrap_reference(form, reference.theta, x, y, 300, 0, kind=kind, groups=groups)
    spread = form.log_loss(laws, np.zeros((1, 2))).std()
    assert 0.3 < spread / (0.004 / np.sqrt(len(y))) < 4.0
