import json

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.forecast.design_score import Prior, score_design
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run
from chidu.laws.fit import fit

TARGET = (1e10, 2e11)


def plan(flops, ratios=(5.0, 10.0, 20.0, 40.0, 80.0)):
    return [(float(np.sqrt(c / (6 * r))), float(np.sqrt(c * r / 6))) for c in flops for r in ratios]


@pytest.fixture(scope="module")
def prior():
    return Prior(simulations=3)


@pytest.fixture
def law(make_table):
    return fit(make_table(noise=0.003, budgets=(1e18, 3e18, 1e19)), draws=400)


def test_a_plan_of_one_run_is_what_next_says_of_it(law):
    run = (5e8, 1e10)
    made = score_design(law, [run], TARGET)
    said = next_run(law, target=TARGET, candidates=[run])
    assert made.interval_before == said.interval_before == forecast_loss(law, params=1e10, tokens=2e11).interval
    assert made.interval_after.lower == pytest.approx(said.interval_after.lower)
    assert made.interval_after.upper == pytest.approx(said.interval_after.upper)
    assert made.cost == said.cost


def test_more_runs_narrow_more(law):
    runs = plan([1e20, 3e19])
    widths = [score_design(law, runs[:count], TARGET).width for count in (1, 4, 10)]
    assert widths[0] > widths[1] > widths[2]


def test_before_any_run_a_longer_lever_is_better(prior):
    short, long = (score_design(prior, plan(flops), TARGET) for flops in ([1e17, 2e17], [1e17, 1e18, 1e19, 1e20]))
    assert short.interval_before.upper > short.interval_after.upper
    assert 0 < long.width < short.width
    assert long.flops == pytest.approx(5 * 1.111e20)
    assert long.cost.dollars > short.cost.dollars


def test_the_guess_of_the_loss_hardly_matters():
    widths = [score_design(Prior(loss=guess, simulations=3), plan([1e18, 1e19]), TARGET).width for guess in (2.4, 3.6)]
    assert widths[0] == pytest.approx(widths[1], rel=0.3)


def test_a_prior_agrees_with_the_fit_of_such_a_ladder(make_table):
    """The interval that is expected before any run, and the one of a ladder that was really fitted."""
    budgets = (1e18, 3e18, 1e19)
    runs = [(run.params, run.tokens) for run in make_table(budgets=budgets)]
    expected = score_design(Prior(loss=2.9, simulations=6), runs, TARGET).width
    forecast = forecast_loss(fit(make_table(noise=0.004, budgets=budgets), draws=600), params=1e10, tokens=2e11)
    assert expected == pytest.approx(np.log(forecast.interval.upper / forecast.interval.lower), rel=0.4)


def test_a_frontier_s_plan_is_of_compute(make_table):
    law = fit(make_table(noise=0.002), form="frontier", draws=200)
    assert score_design(law, [3e20, 3e20], 1e22).width < score_design(law, [3e20], 1e22).width


@pytest.mark.parametrize(
    ("runs", "words"), [([], "empty|positive"), ([(1e9, -1.0)], "positive"), ([(float("nan"), 1e9)], "positive")]
)
def test_plans_are_checked(law, prior, runs, words):
    for belief in (law, prior):
        with pytest.raises(InputError, match=words):
            score_design(belief, runs, TARGET)


def test_a_prior_needs_params_and_a_loss(prior):
    with pytest.raises(InputError, match="params, tokens"):
        score_design(prior, [1e20], TARGET)
    with pytest.raises(InputError, match="positive loss"):
        score_design(Prior(loss=-1.0), plan([1e18]), TARGET)


def test_it_prints_itself_and_knows_its_json(law):
    made = score_design(law, plan([1e19]), TARGET)
    assert str(made).startswith("5 runs, 5e+19 FLOPs")
    assert json.loads(json.dumps(made.to_json(), allow_nan=False))["width"] == made.width
