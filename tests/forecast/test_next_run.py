import json
from itertools import pairwise

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.cost import price
from chidu.forecast.design_score import score_design
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run, next_runs
from chidu.forecast.regret import expected_regret
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


def test_a_batch_of_one_is_the_next_run(table):
    law = fit(table, draws=300)
    one, batch = next_run(law, target=TARGET), next_runs(law, 1, target=TARGET)
    (first,) = batch.runs
    assert (first.params, first.tokens, first.flops) == (one.params, one.tokens, one.flops)
    assert first.interval_after == one.interval_after == batch.interval_after
    assert batch.interval_before == one.interval_before
    assert batch.cost == one.cost


def test_each_run_of_a_batch_narrows_further_and_the_first_is_the_next_run(table):
    law = fit(table, draws=300)
    batch = next_runs(law, 4, target=TARGET)
    widths = [run.interval_after.upper - run.interval_after.lower for run in batch.runs]
    assert len(widths) == 4
    assert all(b < a for a, b in pairwise(widths))
    assert batch.runs[0] == next_runs(law, 1, target=TARGET).runs[0]
    assert batch.flops == pytest.approx(sum(run.flops for run in batch.runs))
    plan = [(run.params or 0.0, run.tokens or 0.0) for run in batch.runs]
    assert score_design(law, plan, TARGET).narrowing == pytest.approx(batch.narrowing, rel=0.02)


def test_a_batch_ends_where_nothing_is_left_to_learn(table):
    batch = next_runs(fit(table, draws=200), 60, target=TARGET, candidates=[(6e8, 1.2e10)])
    assert 1 <= len(batch.runs) < 60
    assert "another would narrow it by less" in batch.reason


def test_candidates_may_be_given(table):
    law = fit(table, draws=300)
    given = [(1e8, 2e9), (6e8, 1.2e10), (1e9, 2e10)]
    made = next_run(law, target=TARGET, candidates=given)
    assert (made.params, made.tokens) in given
    assert "of the 3 candidates" in made.reason
    cheap = next_run(law, target=TARGET, candidates=given, budget_flops=5e19)
    assert (cheap.params, cheap.tokens) in given[:2]
    with pytest.raises(InputError, match="no candidate is within"):
        next_run(law, target=TARGET, candidates=given, budget_flops=1e17)
    with pytest.raises(InputError, match="empty"):
        next_run(law, target=TARGET, candidates=[])
    with pytest.raises(InputError, match="positive"):
        next_run(law, target=TARGET, candidates=[(1e8, -1.0)])


def test_gain_is_given_per_flop_and_per_dollar(table):
    law = fit(table, draws=300)
    for hardware in ("h100", "l4"):
        made = next_runs(law, 1, target=TARGET, hardware=hardware).runs[0]
        assert made.dollars == pytest.approx(price(made.flops, hardware=hardware).dollars)
        assert made.narrowing_per_dollar == pytest.approx(made.narrowing / made.dollars)
        assert made.to_json()["narrowing_per_flop"] == pytest.approx(made.narrowing / made.flops)


def test_regret_is_a_criterion(table):
    law = fit(table, draws=400)
    made = next_run(law, target=TARGET, criterion="regret")
    assert "expected regret of the target's split" in made.reason
    now, after = expected_regret(law, 6 * TARGET[0] * TARGET[1], np.array([(made.params, made.tokens)]))
    assert f"from {now:.3%} to {after[0]:.3%}" in made.reason
    with pytest.raises(InputError, match="criterion"):
        next_run(law, target=TARGET, criterion="luck")  # type: ignore[arg-type]


def test_the_number_of_runs_is_checked(table):
    with pytest.raises(InputError, match="between 1 and 100"):
        next_runs(fit(table, draws=50), 0, target=TARGET)


def test_a_batch_prints_itself_and_knows_its_json(table):
    batch = next_runs(fit(table, draws=100), 2, target=TARGET)
    assert str(batch).startswith("next 2 runs")
    value = json.loads(json.dumps(batch.to_json(), allow_nan=False))
    assert len(value["runs"]) == 2
