import numpy as np
import pytest

from chidu.laws import priors
from chidu.laws.discrepancy import coordinates, make_features, matern
from chidu.laws.forms import FORMS
from chidu.laws.laplace import Rows, Settings, find_modes


def make_rows(count=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.log(np.stack([10 ** rng.uniform(7, 9, count), 10 ** rng.uniform(9, 10.5, count)], axis=1))
    u, centre = coordinates(x), x.mean(0)
    z, missed = make_features(u).at(u)
    theta = np.array([[0.5, 0.0, -0.3, 0.3, 0.3]])
    y = FORMS["chinchilla"].log_loss(theta, x - centre)[0] + 0.003 * rng.standard_normal(count)
    return Rows(x - centre, y, np.ones(count), z, missed, np.zeros(2)), u


def make_settings(count):
    floor = priors.Floor(fraction=0.6, sd=0.2, node_sd=0.1, evidence=0.0, discrepancy=1.0)
    mean, sd = priors.parameter_prior(FORMS["chinchilla"], floor, 0.45, 2.6, 1.5)
    sigma = np.geomspace(0.002, 0.02, count)
    return Settings(np.tile(mean, (count, 1)), np.tile(sd, (count, 1)), np.full(count, 0.03), sigma)


def test_features_reproduce_the_kernel():
    rows, u = make_rows()
    assert rows.z @ rows.z.T + np.diag(rows.missed) == pytest.approx(matern(u, u), abs=0.02)


def test_features_fade_far_away():
    features = make_features(make_rows()[1])
    _, missed = features.at(np.array([[18.0, 1.5], [60.0, 1.5]]))
    assert missed[0] < 0.01
    assert missed[1] > 0.99


def test_missed_covariance_is_a_variance_on_its_diagonal():
    features = make_features(make_rows()[1])
    away = np.array([[24.0, 1.3], [26.0, 2.0]])
    assert np.diag(features.missed_covariance(away, away)) == pytest.approx(features.at(away)[1])


def test_modes_are_stationary():
    """Around a mode, the linearised loss has no slope: the pull is small beside the curvature."""
    rows, _ = make_rows()
    form, settings = FORMS["chinchilla"], make_settings(3)
    modes = find_modes(form, rows, settings, settings.mean)
    step = np.linalg.solve(modes.local.precision, modes.local.pull[..., None])[..., 0]
    assert np.abs(step).max() < 5e-3


def test_evidence_prefers_the_true_noise():
    rows, _ = make_rows(count=80)
    settings = make_settings(7)
    modes = find_modes(FORMS["chinchilla"], rows, settings, settings.mean)
    assert 0.0015 < settings.sigma[int(np.argmax(modes.evidence))] < 0.006


def test_a_batch_is_its_settings_one_by_one():
    rows, _ = make_rows()
    form, settings = FORMS["chinchilla"], make_settings(4)
    together = find_modes(form, rows, settings, settings.mean)
    for b in range(4):
        alone = find_modes(form, rows, settings.take(np.array([b])), settings.mean[[b]])
        assert alone.theta[0] == pytest.approx(together.theta[b], abs=1e-8)
        assert alone.evidence[0] == pytest.approx(together.evidence[b], abs=1e-6)


def test_an_outlier_gets_little_weight():
    rows, _ = make_rows()
    rows.y[5] += 0.2
    settings = make_settings(1)
    modes = find_modes(FORMS["chinchilla"], rows, settings, settings.mean)
    assert modes.mixing[0, 5] < 0.05
    assert np.median(modes.mixing[0]) > 0.7


def test_the_floor_is_believed_less_the_smaller_the_compute():
    laptop, cluster = priors.floor_prior(13.0), priors.floor_prior(20.0)
    assert laptop.fraction == pytest.approx(0.25, abs=0.01)
    assert priors.floor_prior(14.6).fraction == pytest.approx(0.35, abs=0.03)
    assert laptop.sd == pytest.approx(0.5, abs=0.01)
    assert cluster.sd == pytest.approx(0.14, abs=0.001)
    assert laptop.discrepancy == pytest.approx(2.0, abs=0.02)
    assert cluster.discrepancy == pytest.approx(1.0, abs=0.01)
    assert (laptop.evidence, cluster.evidence) == (pytest.approx(0.3, abs=0.01), pytest.approx(0.15, abs=0.01))
    steps = np.diff([priors.floor_prior(c).fraction for c in np.linspace(12, 22, 201)])
    assert np.abs(steps).max() < 0.02


@pytest.mark.parametrize("key", ["chinchilla", "tied", "coupled", "frontier"])
def test_a_higher_floor_goes_with_larger_exponents(key):
    form, floor = FORMS[key], priors.floor_prior(20.0)
    lowest, exponents = 2.5, []
    for fraction in (0.4, floor.fraction, 0.75):
        mean, _ = priors.parameter_prior(form, floor, float(np.log(fraction * lowest)), lowest, 1.0)
        exponents.append(mean[form.exponents][0])
    low, centre, high = exponents
    assert centre == pytest.approx(priors.FRONTIER_EXPONENT if key == "frontier" else priors.EXPONENT)
    assert low == pytest.approx(centre * (1 - floor.fraction) / 0.6)
    assert high == pytest.approx(centre * (1 - floor.fraction) / 0.25)


def test_replicates_move_the_noise_prior():
    grid = np.array([0.001, 0.005, 0.02])
    free, measured = priors.log_noise_prior(grid, None, 0), priors.log_noise_prior(grid, 0.005, 6)
    assert np.argmax(measured) == 1
    assert (measured[1] - measured[[0, 2]] > free[1] - free[[0, 2]]).all()
