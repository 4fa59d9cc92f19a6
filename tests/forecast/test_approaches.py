import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.approaches import compare_approaches
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable
from chidu.tables.read import read_runs

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "runs" / "porian_isoflop.csv"
E, A, B = 1.8, 400.0, 2000.0
BUDGETS = (1e18, 1e19, 1e20, 1e21)


def ladder(law=(400.0, 2000.0, 0.34, 0.36), off=1.0, spread=4.0, sizes=9, noise=0.0, budgets=BUDGETS[:3], drift=0.0):
    """IsoFLOP groups around the true optimum, `off` times as large at the first budget, drifting away from it after."""
    a, b, alpha, beta = law
    rng = np.random.default_rng(0)
    runs = []
    for flops in budgets:
        for step in np.geomspace(1 / spread, spread, sizes):
            params = float(optimum(law, flops)[1] * step * off * (flops / budgets[0]) ** drift)
            tokens = flops / (6 * params)
            loss = (E + a / params**alpha + b / tokens**beta) * np.exp(noise * rng.standard_normal())
            runs.append(Run(params=params, tokens=tokens, flops=flops, loss=float(loss)))
    return RunTable(tuple(runs))


def optimum(law, flops):
    """Exponent and params in closed form (2203.15556, eq. 4)."""
    a, b, alpha, beta = law
    return beta / (alpha + beta), (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (
        beta / (alpha + beta)
    )


def test_all_three_find_the_exponent_of_a_known_law(make_table):
    law = fit(make_table(noise=0.001), draws=200)
    made = compare_approaches(law, flops=1e21)
    true = 0.36 / 0.70
    assert made.refused == {}
    assert made["3"].a == pytest.approx(true, abs=0.03)
    assert made["2"].a == pytest.approx(true, abs=0.05)
    assert made["1"].a == pytest.approx(true, abs=0.25)
    for name in ("1", "2", "3", "forecast"):
        assert made[name].a + made[name].b == pytest.approx(1)
        assert true in made[name].a_interval
        assert 1 - true in made[name].b_interval
        assert made[name].params in made[name].params_interval


def test_the_third_is_the_closed_form():
    law = fit(ladder(), draws=100)
    made = compare_approaches(law, flops=1e21)["3"]
    alpha, beta = law.parameters["alpha"], law.parameters["beta"]
    assert made.a == pytest.approx(beta / (alpha + beta))
    g = (alpha * law.parameters["A"] / (beta * law.parameters["B"])) ** (1 / (alpha + beta))
    assert made.params == pytest.approx(g * (1e21 / 6) ** made.a)


def test_the_stated_bias_is_the_one_that_a_known_law_shows():
    """Wide, off-centre, drifting grids of an asymmetric law without noise: what is wrong is bias alone."""
    truth = (1470.0, 100.0, 0.5, 0.25)
    law = fit(ladder(truth, off=1.5, spread=8.0, drift=0.05, budgets=BUDGETS), draws=100)
    made = compare_approaches(law, flops=1e22)["2"]
    a, params = optimum(truth, 1e22)
    assert abs(made.a - a) > 0.003
    assert made.a_bias == pytest.approx(made.a - a, abs=0.002)
    assert made.params_bias == pytest.approx(made.params / params - 1, abs=0.03)
    assert "its bias on the fitted law" in str(made)


def test_a_centred_grid_of_a_symmetric_law_has_no_bias():
    law = fit(ladder((400.0, 2000.0, 0.35, 0.35)), draws=100)
    made = compare_approaches(law, flops=1e21)["2"]
    assert made.a == pytest.approx(0.5, abs=1e-3)
    assert made.a_bias == pytest.approx(0.0, abs=1e-3)
    assert made.params_bias == pytest.approx(0.0, abs=0.01)


def test_noise_widens_the_intervals():
    quiet, loud = (compare_approaches(fit(ladder(noise=noise), draws=200), flops=1e21) for noise in (0.0005, 0.004))
    for name in ("2", "3"):
        narrow, wide = quiet[name].a_interval, loud[name].a_interval
        assert wide.upper - wide.lower > 2 * (narrow.upper - narrow.lower)


def test_training_curves_make_an_envelope():
    """The first approach in its first form: the lowest of the curves of several sizes."""
    runs = []
    for j, params in enumerate(np.geomspace(2e7, 2e9, 13)):
        for ratio in np.geomspace(2, 300, 24):
            tokens = ratio * params
            loss = E + A / params**0.34 + B / tokens**0.36
            runs.append(Run(run=f"s{j}", params=params, tokens=tokens, flops=6 * params * tokens, loss=loss))
    made = compare_approaches(fit(RunTable(tuple(runs)), draws=50), flops=1e20)["1"]
    assert "13 training curves" in made.based_on
    assert made.a == pytest.approx(0.36 / 0.70, abs=0.05)


def test_a_table_without_isoflop_groups_is_refused_two_of_three():
    rng = np.random.default_rng(0)
    runs = []
    for flops in np.geomspace(1e18, 1e20, 20):
        params = float(np.sqrt(flops / 120) * np.exp(0.7 * rng.standard_normal()))
        tokens = flops / (6 * params)
        runs.append(Run(params=params, tokens=tokens, flops=flops, loss=E + A / params**0.34 + B / tokens**0.36))
    made = compare_approaches(fit(RunTable(tuple(runs)), draws=50), flops=1e21)
    assert set(made.refused) == {"1 envelope", "2 isoFLOP parabolas"}
    assert "four sizes or more" in made.refused["2 isoFLOP parabolas"]
    assert "these runs have 0" in str(made)
    assert made["3"].a == pytest.approx(0.36 / 0.70, abs=0.02)
    with pytest.raises(KeyError):
        made["2"]


def test_groups_whose_minimum_is_cut_off_are_refused():
    """Half of the budgets are tried at sizes that are all too small."""
    good = ladder(budgets=(1e18, 1e19, 1e20))
    cut = ladder(budgets=(3e18, 3e19, 2e20, 6e20), off=0.15, spread=3.0)
    made = compare_approaches(fit(RunTable((*good.runs, *cut.runs)), draws=50), flops=1e21)
    assert "cut off" in made.refused["2 isoFLOP parabolas"]


def test_one_exponent_is_no_answer(make_table):
    made = compare_approaches(fit(make_table(), form="tied", draws=50), flops=1e21)
    assert "1/2 by construction" in made.refused["3 parametric law"]


def test_the_coupled_law_has_its_optimum_too(make_table):
    law = fit(make_table(noise=0.0005), form="coupled", draws=100)
    made = compare_approaches(law, flops=1e21)["3"]
    params = np.geomspace(made.params / 3, made.params * 3, 2001)
    assert params[law.law(params, 1e21 / (6 * params)).argmin()] == pytest.approx(made.params, rel=0.01)


def test_what_cannot_be_split_is_refused(make_table):
    with pytest.raises(Refusal, match="compute alone"):
        compare_approaches(fit(make_table(), form="frontier", draws=50), flops=1e21)
    with pytest.raises(InputError, match="positive"):
        compare_approaches(fit(make_table(), draws=50), flops=-1.0)


def test_it_knows_its_json(make_table):
    made = compare_approaches(fit(make_table(noise=0.001), draws=50), flops=1e21)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert [each["name"].split()[0] for each in value["answered"]] == ["1", "2", "3", "forecast"]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published runs are not here")
@pytest.mark.parametrize(
    ("experiment", "published"),
    [
        (("base", "long", "kaplan", "kaplan"), 0.834),
        (("base", "long", "kaplan", "standard"), 0.701),
        (("base", "short", "kaplan", "standard"), 0.604),
        (("base", "short", "chinchilla", "standard"), 0.571),
        (("tuned", "short", "const", "standard"), 0.497),
    ],
)
def test_published_exponents_come_out(experiment, published):
    """Porian et al. (2406.19146), by isoFLOP minima on refinedweb, each correction of Kaplan's setting on its own."""
    table = read_runs(PUBLISHED)
    columns = ("hparams", "warmup", "decay", "param_count")
    runs = [r for r in table if r.group == "refinedweb" and tuple(r.extra[c] for c in columns) == experiment]
    made = compare_approaches(fit(replace(table, runs=tuple(runs), lines=()), draws=100), flops=1e20)
    assert made["2"].a == pytest.approx(published, abs=0.03)
    assert made["1"].a == pytest.approx(published, abs=0.03)
