import numpy as np
import pytest

from chidu.forecast.beliefs import Beliefs, believe
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable

TRUTH = np.array([[1.0, 0.8], [0.8, 1.0]])


def one_node(noise=0.5):
    return Beliefs(np.ones(1), np.zeros((1, 2)), TRUTH[None], np.full(2, noise), np.zeros((2, 2)))


def two_nodes(gap, noise=0.5):
    """Two nodes that differ at the target by `gap` and at the candidate by half of it."""
    mean = np.array([[-gap / 2, -gap / 4], [gap / 2, gap / 4]])
    return Beliefs(np.array([0.5, 0.5]), mean, np.stack([TRUTH, TRUTH]), np.full(2, noise), np.zeros((2, 2)))


def test_one_node_is_linear_regression():
    after = one_node().after(1)
    assert after.variances()[0] == pytest.approx(1 - 0.8**2 / 1.5)
    assert after.variances()[1] == pytest.approx(1 - 1 / 1.5)
    assert one_node().variances_after(0)[1] == pytest.approx(after.variances()[0])


def test_an_exact_look_at_the_target_leaves_nothing():
    assert two_nodes(1.0, noise=1e-12).after(0).variances()[0] == pytest.approx(0, abs=1e-9)


def test_looking_at_all_points_tells_what_looking_at_one_would():
    beliefs = two_nodes(0.7)
    assert beliefs.variances_after(0).tolist() == pytest.approx([beliefs.after(seen).variances()[0] for seen in (0, 1)])


def test_nodes_draw_together_where_they_differed_at_what_was_seen():
    """Each node's law is pinned to the run: means m_j + k (y - c_j), so the gap shrinks by k times theirs there."""
    gap, gain = 1.0, 0.8 / 1.5
    before, after = two_nodes(gap), two_nodes(gap).after(1)
    between = [float(b.weights @ (b.mean_JP[:, 0] - b.weights @ b.mean_JP[:, 0]) ** 2) for b in (before, after)]
    assert between[0] == pytest.approx(gap**2 / 4)
    assert between[1] == pytest.approx((gap - gain * gap / 2) ** 2 / 4)


def test_looks_one_after_another_are_in_any_order():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((2, 4, 4))
    covariance = root @ np.swapaxes(root, 1, 2)
    start = Beliefs(np.array([0.3, 0.7]), np.zeros((2, 4)), covariance, np.full(4, 0.3), np.zeros((4, 4)))
    one, other = (start.after(a).after(b).covariance_JPP for a, b in ((1, 2), (2, 1)))
    assert np.allclose(one, other)


def test_a_second_look_at_one_place_helps_less():
    gains = []
    beliefs = two_nodes(0.3)
    for _ in range(3):
        after = beliefs.after(1)
        gains.append(beliefs.variances()[0] - after.variances()[0])
        beliefs = after
    assert gains[0] > gains[1] > gains[2] > 0


def test_a_fit_s_beliefs_are_those_of_its_draws(make_table):
    law = fit(make_table(noise=0.003, budgets=(1e18, 3e18, 1e19)), draws=2000)
    points = np.array([[1e10, 2e11], [3e8, 1e10], [5e7, 1e9]])
    beliefs = believe(law, points)
    log_loss = np.log(law.sample(points, of="law"))
    assert beliefs.weights @ beliefs.mean_JP == pytest.approx(log_loss.mean(0))
    missed = np.diag(law.posterior.missed_covariance(np.log(points), np.log(points)))
    assert beliefs.variances() == pytest.approx(log_loss.var(0) + missed)
    assert beliefs.noise_P[2] > beliefs.noise_P[1]


def test_what_is_expected_is_what_comes(make_table):
    """The target's spread after a refit with the run in the table, against what was expected before."""
    table = make_table(noise=0.003, budgets=(1e18, 3e18, 1e19))
    law = fit(table, draws=2000)
    target, run = np.array([[1e10, 2e11]]), np.array([[5e8, 1e10]])
    expected = np.sqrt(believe(law, np.concatenate([target, run])).variances_after(0)[1])
    loss = float(np.exp(np.log(law.sample(run, of="law")).mean()))
    grown = RunTable((*table.runs, Run(params=5e8, tokens=1e10, flops=3e19, loss=loss)))
    came = np.log(fit(grown, draws=2000).sample(target, of="law")).std()
    before = np.log(law.sample(target, of="law")).std()
    assert came < before
    assert came == pytest.approx(expected, rel=0.25)
