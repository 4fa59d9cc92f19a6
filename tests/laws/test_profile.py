import json

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.laws.design import make_arrays
from chidu.laws.fit import fit
from chidu.laws.forms import FORMS
from chidu.laws.profile import noise_spread, profile
from chidu.laws.solver import huber
from chidu.runs import Run, RunTable


@pytest.fixture(scope="module")
def ladder():
    """A made ladder of five rungs, noise 0.3 %."""
    rng = np.random.default_rng(0)
    runs = []
    for flops in (1e18, 3e18, 1e19, 3e19, 1e20):
        for ratio in (5.0, 10.0, 20.0, 40.0, 80.0):
            params = float(np.sqrt(flops / (6 * ratio)))
            tokens = ratio * params
            loss = 1.8 + 400 / params**0.34 + 2000 / tokens**0.36
            runs.append(Run(params=params, tokens=tokens, loss=loss * float(np.exp(0.003 * rng.standard_normal()))))
    return RunTable(tuple(runs))


@pytest.fixture(scope="module")
def fitted(ladder):
    return fit(ladder, draws=20)


@pytest.mark.parametrize("name", ["E", "A", "beta", "loss"])
def test_a_profile_contains_the_optimum_and_rises_from_it(fitted, name):
    made = profile(fitted, name, params=1e10, tokens=2e11)
    best = int(np.argmin(made.objective))
    assert made.objective[best] == pytest.approx(fitted.objective, rel=1e-6)
    assert made.values[best] == pytest.approx(made.estimate, rel=1e-4)
    assert (np.diff(made.values) > 0).all()
    assert (np.diff(made.objective[: best + 1]) < 0).all()
    assert (np.diff(made.objective[best:]) > 0).all()
    assert made.lower < made.estimate < made.upper


def test_each_point_is_the_lowest_objective_with_its_value(fitted):
    """Against a plain search: with E held, the four others are free."""
    made = profile(fitted, "E")
    form = FORMS["chinchilla"]
    x, y, _ = make_arrays(fitted.runs, form)
    rng = np.random.default_rng(0)
    for i in (3, 20, 37):
        for size in (1e-2, 1e-3):
            theta = np.tile(fitted.theta, (4000, 1))
            theta += size * rng.standard_normal(theta.shape)
            theta[:, 0] = np.log(made.values[i])
            tried = huber(y - form.log_loss(theta, x), 1e-3).sum(1)
            assert tried.min() >= made.objective[i] * (1 - 1e-6)


def test_the_loss_at_a_point_is_held(fitted):
    made = profile(fitted, "loss", params=1e10, tokens=2e11)
    assert made.estimate == pytest.approx(float(fitted.law(1e10, 2e11)))
    assert made.at == {"params": 1e10, "tokens": 2e11}


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    flops = 10.0 ** np.linspace(17, 21, 30)
    inside = []
    for _ in range(25):
        loss = (2.0 + 90 * flops**-0.105) * np.exp(0.003 * rng.standard_normal(30))
        made = profile(fit(RunTable(tuple(map(run_of, flops, loss))), draws=5), "E")
        inside.append((made.lower or 0.0) <= 2.0 <= (made.upper or np.inf))
    assert np.mean(inside) >= 0.76


def run_of(flops, loss):
    return Run(flops=float(flops), loss=float(loss))


def test_a_short_lever_does_not_bound_the_floor():
    rng = np.random.default_rng(1)
    flops = 10.0 ** np.linspace(18, 18.6, 12)
    loss = (1.2 + 60 * flops**-0.09) * np.exp(0.004 * rng.standard_normal(12))
    made = profile(fit(RunTable(tuple(map(run_of, flops, loss))), draws=5), "E")
    assert made.lower is None
    assert "no lower bound" in str(made) or "do not identify" in str(made)
    assert json.loads(json.dumps(made.to_json(), allow_nan=False))["interval"]["lower"] is None


def test_noise_spread_is_the_variance_where_all_errors_are_small():
    residuals = 1e-4 * np.random.default_rng(0).standard_normal(5000)
    assert noise_spread(residuals, 0) == pytest.approx(1e-8, rel=0.1)


def test_noise_spread_is_that_of_the_median_where_they_are_large():
    """Of the median: 1 / (4 density^2), here in units of Huber's loss."""
    residuals = 0.02 * np.random.default_rng(0).standard_normal(5000)
    assert noise_spread(residuals, 0) == pytest.approx(1e-6 / (2e-3 / (0.02 * np.sqrt(2 * np.pi))), rel=0.1)


def test_a_profile_prints_itself_and_knows_its_json(fitted):
    made = profile(fitted, "E", level=0.95)
    assert "95 % likelihood-ratio interval" in str(made)
    assert "\u2581" in str(made)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert value["interval"]["level"] == 0.95
    assert len(value["values"]) == len(value["objective"]) == len(value["likelihood_ratio"])


def test_unknown_names_and_half_points_are_named(fitted):
    with pytest.raises(InputError, match="no 'k' to profile; it has E, A, B, alpha, beta, or loss"):
        profile(fitted, "k")
    with pytest.raises(InputError, match="give both"):
        profile(fitted, "loss", params=1e9)
    with pytest.raises(InputError, match="positive"):
        profile(fitted, "loss", params=1e9, tokens=-1.0)


def test_as_many_runs_as_parameters_leave_no_noise_to_tell(ladder):
    few = RunTable(ladder.runs[::6])
    with pytest.raises(Refusal, match="tell no noise"):
        profile(fit(few, draws=5), "E")
