import numpy as np
import pytest

from chidu.forecast.design_score import Prior, score_design
from chidu.forecast.optimal_design import NORMAL_90, expected_half_width
from chidu.forecast.prior_beliefs import prior_beliefs
from chidu.laws import priors


def runs_at(flops, ratios):
    return [(float(np.sqrt(c / 6 / r)), float(np.sqrt(c * r / 6))) for c in flops for r in ratios]


def target_of(flops):
    return runs_at([flops], [20.0])[0]


@pytest.fixture
def beliefs():
    points = np.log(np.array([target_of(1e19), *runs_at([1e18, 3e17], (5.0, 20.0, 60.0))]))
    return prior_beliefs(points, points[2])


def test_one_run_ahead_agrees_with_the_update(beliefs):
    seen = beliefs.after_all([1, 4])
    ahead = seen.variances_after(0)
    for point in (2, 5, 6):
        assert ahead[point] == pytest.approx(seen.after(point).variance(0))


def test_the_order_of_runs_hardly_matters(beliefs):
    """What each setting believes does not depend on it; the weights do a little, as they stand on expectations."""
    one, other = (beliefs.after_all(order) for order in ([1, 2, 6], [6, 1, 2]))
    assert one.covariance_JPP == pytest.approx(other.covariance_JPP)
    assert one.mean_IJP == pytest.approx(other.mean_IJP)
    assert one.variance(0) == pytest.approx(other.variance(0), rel=0.02)


def test_a_run_at_the_target_leaves_the_noise(beliefs):
    known = beliefs.after_all([0] * 200)
    noise = known.run_noise_J[known.truths_I[0]]
    assert beliefs.variance(0) > 2 * noise
    assert known.variance(0) == pytest.approx(noise, rel=0.2)


def test_a_quiet_ladder_is_narrower_and_a_guess_needs_replicates():
    runs, target = runs_at([1e18, 3e17, 1e17], (5.0, 10.0, 20.0, 40.0)), target_of(1e19)
    loud, quiet = (expected_half_width(runs, target, noise=noise) for noise in (0.006, 0.0015))
    assert quiet < 0.7 * loud
    assert expected_half_width(runs, target, noise=0.0015, replicates=4) < quiet


@pytest.mark.parametrize("top", [2e12, 1e20])
def test_it_orders_plans_as_playing_them_through_does(top):
    """Widths within a quarter of the simulated ones, and the same order: a square of runs, a lone ratio."""
    square = runs_at([top, top / 3, top / 9], (5.0, 10.0, 20.0, 40.0))
    ray = runs_at([top / 3**i for i in range(5)], (20.0,))
    target = target_of(10 * top)
    quick = [2 * expected_half_width(plan, target, noise=priors.NOISE) for plan in (square, ray)]
    played = [score_design(Prior(simulations=2), plan, target).width for plan in (square, ray)]
    assert quick == pytest.approx(played, rel=0.25)
    assert np.argsort(quick).tolist() == np.argsort(played).tolist()


def test_the_level_of_a_normal():
    assert pytest.approx(1.645, abs=1e-3) == NORMAL_90
