import numpy as np
import pytest

from chidu.stats import Interval, bootstrap, quantile_interval, standard_error


def test_an_interval():
    interval = Interval(1.23456, 2.0, 0.9)
    assert 2.0 in interval
    assert 1.2 not in interval
    assert str(interval) == "[1.235, 2]"
    assert interval.to_json() == {"lower": 1.23456, "upper": 2.0, "level": 0.9}


def test_quantiles_leave_the_same_on_either_side():
    interval = quantile_interval(np.arange(101.0), 0.9)
    assert (interval.lower, interval.upper, interval.level) == pytest.approx((5, 95, 0.9))


@pytest.mark.parametrize(("values", "level"), [([], 0.9), ([1.0], 0.0), ([1.0], 1.0), ([1.0], 90)])
def test_no_values_and_no_level(values, level):
    with pytest.raises(ValueError):
        quantile_interval(np.array(values), level)


def test_standard_error_by_hand():
    assert standard_error(np.array([1.0, 2.0, 4.0])) == pytest.approx(np.sqrt(((16 + 1 + 25) / 9 / 2) / 3))
    with pytest.raises(ValueError, match="two values"):
        standard_error(np.array([1.0]))


def test_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    draws = bootstrap(values, lambda sample: float(np.mean(sample)), samples=2000, seed=1)
    assert draws.shape == (2000,)
    assert float(np.std(draws)) == pytest.approx(standard_error(values), rel=0.06)
    assert np.array_equal(draws[:5], bootstrap(values, lambda s: float(np.mean(s)), samples=2000, seed=1)[:5])


def test_bootstrap_resamples_rows():
    pairs = np.arange(20.0).reshape(10, 2)
    draws = bootstrap(pairs, lambda rows: float((rows[:, 1] - rows[:, 0]).mean()), samples=20)
    assert np.array_equal(draws, np.ones(20))
    with pytest.raises(ValueError, match="no values"):
        bootstrap(np.zeros(0), np.mean)
