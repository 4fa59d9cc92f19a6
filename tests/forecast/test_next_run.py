import json

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable

TARGET = (1e10, 2e11)


@pytest.fixture
def table(make_table):
    return make_table(noise=0.003, budgets=(1e18, 3e18, 1e19))


def test_the_next_run_is_affordable_and_narrows(table):
    made = next_run(fit(table, draws=300), target=TARGET)
    assert made.flops <= 3.0001e19
    assert made.params is not None
    assert made.tokens is not None
    assert 6 * made.params * made.tokens == pytest.approx(made.flops)
    before, after = made.interval_before, made.interval_after
    assert after.upper - after.lower < before.upper - before.lower
    assert "per FLOP" in made.reason
    assert made.cost.dollars > 0


def test_training_it_narrows_the_interval_indeed(table):
    fitted = fit(table, draws=600)
    made = next_run(fitted, target=TARGET)
    params, tokens = made.params or 0, made.tokens or 0
    loss = 1.8 + 400 / params**0.34 + 2000 / tokens**0.36
    grown = RunTable((*table.runs, Run(params=params, tokens=tokens, flops=made.flops, loss=loss)))
    widths = [np.ptp([f.interval.lower, f.interval.upper]) for f in (forecast(fitted), forecast(fit(grown, draws=600)))]
    assert widths[1] < widths[0]


def forecast(fitted):
    return forecast_loss(fitted, params=TARGET[0], tokens=TARGET[1])


def test_runners_up_are_ranked_by_narrowing_per_flop(table):
    made = next_run(fit(table, draws=300), target=TARGET, budget_flops=5e19)
    rates = [candidate.narrowing / candidate.flops for candidate in made.runners_up]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 4
    assert all(candidate.flops <= 5.0001e19 for candidate in made.runners_up)


def test_a_frontier_has_a_next_run(table):
    flops = 10.0 ** np.arange(17, 20, 0.5)
    made = next_run(fit(RunTable(tuple(Run(flops=c, loss=2 + 90 * c**-0.105) for c in flops)), draws=200), target=1e22)
    assert (made.params, made.tokens) == (None, None)
    assert made.flops <= 3.0001 * flops[-1]


def test_a_target_within_the_budget_is_refused(table):
    with pytest.raises(Refusal, match="train it"):
        next_run(fit(table, draws=50), target=(1e8, 2e9))
    with pytest.raises(InputError, match="budget"):
        next_run(fit(table, draws=50), target=TARGET, budget_flops=-1)


def test_it_prints_itself_and_knows_its_json(table):
    made = next_run(fit(table, draws=100), target=TARGET)
    assert str(made).startswith("next: ")
    assert json.loads(json.dumps(made.to_json()))["runners_up"][0]["narrowing"] > 0
