import json
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import compute_optimal, optimal_params
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable


@pytest.fixture
def fitted(make_table):
    return fit(make_table(noise=0.001), draws=200)


def true_optimum(flops):
    """Closed form for the ladder's own law (2203.15556, eq. 4)."""
    a, b, alpha, beta = 400.0, 2000.0, 0.34, 0.36
    return (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))


def test_the_optimum_is_the_closed_form(fitted):
    made = compute_optimal(fitted, flops=1e20)
    assert made.params == pytest.approx(true_optimum(1e20), rel=0.25)
    assert true_optimum(1e20) in made.params_interval
    assert made.reference_params == pytest.approx(true_optimum(1e20), rel=0.25)
    assert 6 * made.params * made.tokens == pytest.approx(1e20)
    assert made.tokens_per_param == pytest.approx(made.tokens / made.params)


def test_near_optimal_splits_are_nested_around_it(fitted):
    made = compute_optimal(fitted, flops=1e21)
    (low1, high1), (low2, high2) = made.near[0.001], made.near[0.01]
    assert low2 < low1 < made.params < high1 < high2
    for margin, bounds in made.near.items():
        for params in bounds:
            draws = np.log(fitted.sample(np.array([[params, 1e21 / (6 * params)]]), of="law"))
            assert np.exp(draws.mean()) == pytest.approx(made.loss * (1 + margin), rel=1e-4)


def test_the_curve_has_its_minimum_at_the_optimum(fitted):
    made = compute_optimal(fitted, flops=1e20)
    params, tokens, loss = made.curve(201)
    assert params.shape == tokens.shape == loss.shape == (201,)
    assert params[loss.argmin()] == pytest.approx(made.params, rel=0.05)
    assert 6 * params * tokens == pytest.approx(1e20)


def test_the_interval_of_the_split_widens_with_distance(fitted):
    widths = []
    for flops in (1e20, 1e22, 1e24):
        interval = compute_optimal(fitted, flops=flops).params_interval
        widths.append(np.log(interval.upper / interval.lower))
    assert widths[0] < widths[1] < widths[2]


def test_many_budgets_are_interpolated(fitted):
    flops = np.geomspace(1e19, 1e22, 40)
    params = optimal_params(fitted, flops)
    assert params[17] == pytest.approx(compute_optimal(fitted, flops=float(flops[17])).params, rel=0.05)


def test_runs_that_cannot_say_are_refused(make_table):
    table = make_table()
    frontier = fit(table, form="frontier", draws=50)
    with pytest.raises(Refusal, match="compute alone"):
        compute_optimal(frontier, flops=1e20)
    params = np.geomspace(1e7, 1e9, 8)
    one = RunTable(tuple(Run(params=p, tokens=20 * p, flops=120 * p * p, loss=2 + 40 * p**-0.2) for p in params))
    with pytest.raises(Refusal, match="20 tokens/param"):
        compute_optimal(fit(one, draws=50), flops=1e20)
    same = RunTable(tuple(replace(run, tokens=1e9, loss=2 + 40 * (run.params or 0) ** -0.2) for run in table))
    with pytest.raises(Refusal, match="same tokens"):
        compute_optimal(fit(same, draws=50), flops=1e20)


def test_a_budget_must_be_positive(fitted):
    with pytest.raises(InputError, match="positive"):
        compute_optimal(fitted, flops=0.0)


def test_an_allocation_prints_itself_and_knows_its_json(fitted):
    made = compute_optimal(fitted, flops=1e23)
    assert "within 1.0% of the best loss" in str(made)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert set(value["near"]) == {"0.001", "0.01"}
