import numpy as np
import pytest

from chidu.errors import InputError
from chidu.forecast.standard import forecast_standard
from chidu.forecast.targets import Target
from chidu.laws.forms import FORMS
from chidu.runs import Run, RunTable

TARGET = Target(params=3e9, tokens=6e10)
TRUTH = 1.8 + 400 / 3e9**0.34 + 2000 / 6e10**0.36


def test_the_optimum_of_clean_runs_is_the_law(make_table):
    said = forecast_standard(FORMS["chinchilla"], make_table(), [TARGET], (0.9,), draws=20)
    assert said.median[0] == pytest.approx(TRUTH, rel=1e-4)
    assert said.lower[0, 0] <= said.median[0] * (1 + 1e-6)


def test_intervals_grow_with_level_and_noise(make_table):
    form = FORMS["chinchilla"]
    quiet, loud = (
        forecast_standard(form, make_table(noise=noise), [TARGET], (0.5, 0.9), draws=100) for noise in (0.001, 0.01)
    )
    for said in (quiet, loud):
        assert (said.lower[1] < said.lower[0]).all()
        assert (said.upper[0] < said.upper[1]).all()
    assert (loud.upper - loud.lower)[1, 0] > 2 * (quiet.upper - quiet.lower)[1, 0]


def test_a_known_optimum_is_not_looked_for_again(make_table):
    form, table = FORMS["frontier"], make_table(noise=0.001)
    theta = form.from_natural(np.array([1.0, 100.0, 0.1]), np.log(table.column("flops")).mean(keepdims=True))
    said = forecast_standard(form, table, [Run(loss=2.0, flops=1e21)], (0.9,), draws=5, theta=theta)
    assert said.median[0] == pytest.approx(1 + 100 / 1e21**0.1)


def test_the_seed_decides(make_table):
    table = make_table(noise=0.005)
    one, same, other = (
        forecast_standard(FORMS["tied"], table, [TARGET], (0.9,), draws=30, seed=seed).lower for seed in (1, 1, 2)
    )
    assert (one == same).all()
    assert (one != other).all()


def test_too_few_runs(make_table):
    few = RunTable(make_table().runs[:4])
    with pytest.raises(InputError, match="4 runs, but the law has 5 parameters"):
        forecast_standard(FORMS["chinchilla"], few, [TARGET], (0.9,))
