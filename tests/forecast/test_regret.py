import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.regret import expected_regret
from chidu.laws.fit import fit

FLOPS = 1e22
RUNS = np.array([[1e9, 5e9], [2e8, 2.5e10], [2e8, 4e9], [2e7, 4e8]])


@pytest.fixture
def law(make_table):
    return fit(make_table(noise=0.004, budgets=(1e18, 3e18, 1e19)), draws=1000)


def test_the_regret_of_today_is_that_of_the_draws(law):
    now, _ = expected_regret(law, FLOPS, RUNS)
    params = compute_optimal(law, flops=FLOPS).params
    grid = np.sqrt(FLOPS / (6 * np.geomspace(0.3, 1e4, 400)))
    every = np.concatenate([[params], grid])
    losses = np.log(law.sample(np.stack([every, FLOPS / (6 * every)], axis=1), of="law"))
    assert now == pytest.approx(float((losses[:, 0] - losses.min(1)).mean()), rel=0.1)
    assert now > 0


def test_a_run_never_raises_it_and_a_better_run_lowers_it_more(law):
    now, after = expected_regret(law, FLOPS, RUNS)
    assert (after <= now).all()
    assert (after >= 0).all()
    assert after[0] < after[3]
    assert after[1] < after[3]


def test_a_known_law_has_none(known):
    now, after = expected_regret(known, FLOPS, RUNS)
    assert now == pytest.approx(0, abs=1e-12)
    assert after == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_split_has_no_regret(make_table):
    with pytest.raises(Refusal, match="compute alone"):
        expected_regret(fit(make_table(), form="frontier", draws=50), FLOPS, np.array([[1e20]]))
    with pytest.raises(InputError, match="positive"):
        expected_regret(fit(make_table(), draws=50), 0.0, RUNS)
