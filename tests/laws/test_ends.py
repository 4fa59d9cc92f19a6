import numpy as np
import pytest

from chidu.laws.ends import Range, draw_curves, fit_between
from chidu.laws.metric import fit_metric, sigmoid
from chidu.runs import Run, RunTable

LOSS = np.linspace(3.9, 3.2, 14)


def table(value, loss=LOSS):
    return RunTable(tuple(Run(loss=float(x), extra={"acc": repr(float(y))}) for x, y in zip(loss, value, strict=True)))


def test_a_line_of_log_odds_is_found_again():
    theta = np.array([0.25, 1.0, 1.3, 3.1])
    value = sigmoid(theta, LOSS)[0]
    a, b, misfit = fit_between(LOSS, value, np.ones((1, 14)), np.array([[0.25, 1.0]]))[0]
    assert (-b, LOSS.mean() - a / b) == pytest.approx((1.3, 3.1), rel=1e-5)
    assert misfit == pytest.approx(0, abs=1e-12)


def test_weights_say_which_runs_count():
    value = np.where(LOSS > 3.55, 0.3, sigmoid(np.array([0.25, 1.0, 1.3, 3.1]), LOSS)[0])
    weights = np.where(LOSS > 3.55, 0.0, 1.0)[None]
    a, b, _ = fit_between(LOSS, value, weights, np.array([[0.25, 1.0]]))[0]
    assert (-b, LOSS.mean() - a / b) == pytest.approx((1.3, 3.1), rel=1e-4)


@pytest.mark.parametrize(("ceiling", "least"), [(0.8, 5), (0.9, 5), (1.0, 4)])
def test_forecasts_far_beyond_the_runs_hold_the_truth(ceiling, least):
    """Least squares on such runs stops just above the best of them; the ends that are drawn do not."""
    theta, inside = np.array([0.25, ceiling, 1.6, 3.1]), 0
    truth = sigmoid(theta, np.array([2.7]))[0][0]
    for seed in range(6):
        value = sigmoid(theta, LOSS)[0] + 0.01 * np.random.default_rng(seed).standard_normal(14)
        law = fit_metric(table(value), "acc", chance=0.25, seed=seed)
        assert law.drawn
        _, lower, upper = law.band(np.array([2.7]), 0.9)[:, 0]
        inside += lower <= truth <= upper
    assert inside >= least


def test_a_floor_that_is_known_is_held_and_no_curve_leaves_what_is_possible():
    value = sigmoid(np.array([0.25, 1.0, 1.6, 3.1]), LOSS)[0] + 0.005 * np.random.default_rng(0).standard_normal(14)
    law = fit_metric(table(value), "acc", chance=0.25)
    assert law.parameters["floor"] == 0.25
    assert set(law.draws[:, 0]) == {0.25}
    assert law.draws[:, 1].min() >= value.max()
    assert law.draws[:, 1].max() <= law.best == 1.0
    assert np.ptp(law.draws[:, 1]) > 0.1


def test_an_error_rate_falls_towards_nothing():
    value = 1 - sigmoid(np.array([0.25, 1.0, 1.6, 3.1]), LOSS)[0]
    value = value + 0.005 * np.random.default_rng(0).standard_normal(14)
    law = fit_metric(table(value), "acc", chance=0.75)
    assert law.best == 0.0
    assert law.drawn
    assert law.draws[:, 1].max() <= value.min()
    assert law.draws[:, 1].min() >= 0
    assert law.parameters["floor"] == 0.75


def test_where_the_runs_show_both_ends_these_are_kept():
    loss = np.linspace(6.0, 1.5, 40)
    value = sigmoid(np.array([0.25, 0.7, 4.0, 3.5]), loss)[0] + 0.003 * np.random.default_rng(0).standard_normal(40)
    law = fit_metric(table(value, loss), "acc", chance=0.25)
    assert law.draws[:, 1] == pytest.approx(0.7, abs=0.02)


def test_ends_that_the_runs_contradict_are_dropped():
    loss = np.linspace(6.0, 1.5, 40)
    value = sigmoid(np.array([0.1, 0.7, 4.0, 3.5]), loss)[0]
    found = draw_curves(loss, value, Range(0.0, 1.0, False), 0.01, best_misfit=40 * 0.01**2, draws=50, seed=0)
    if found is not None:
        assert found[:, :2] == pytest.approx(np.tile([0.1, 0.7], (50, 1)), abs=0.06)
    assert draw_curves(loss, value, Range(0.0, 1.0, False), 1e-6, best_misfit=0.0, draws=50, seed=0) is None
