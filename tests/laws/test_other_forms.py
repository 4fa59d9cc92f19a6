"""Forms besides Chinchilla's, from tables made by a known law: parameters found again, forecasts made or refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.backtest import backtest
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run
from chidu.laws.fit import fit
from chidu.laws.forms import FORMS
from chidu.laws.least_squares import descend
from chidu.laws.posterior import OWN_FORMS, SPLIT_FORMS, drawn_forms
from chidu.runs import Run, RunTable

TRUTH = {
    "kaplan": [6.4e13, 1.8e13, 0.076, 0.103],
    "overtraining": [1.84, 212.0, 367.0, 0.136],
    "repetition": [1.87, 521.0, 1488.0, 0.353, 15.4, 5.3],
    "moe": [1.2, 900.0, 3000.0, 0.3, 17.0, 0.4, 0.38, -0.3, 0.35, 0.2],
    "shape": [1.7, 60.0, 2.5, 900.0, 0.8, 1.0, 0.33],
}


def made(key: str, noise: float = 0.0) -> RunTable:
    """Runs over a wide design whose losses are those of the form with TRUTH's parameters."""
    form, rng = FORMS[key], np.random.default_rng(3)
    rows = []
    for size in np.geomspace(1e7, 3e9, 6):
        for ratio in (3.0, 10.0, 30.0, 100.0):
            row = {"params": size, "tokens": size * ratio}
            if key == "repetition":
                rows += [{**row, "unique_tokens": size * ratio / passes} for passes in (1, 4, 12, 40)]
            elif key == "moe":
                rows += [{**row, "active_params": size / spread} for spread in (1, 2, 5, 16)]
            elif key == "shape":
                rows += [{**row, "n_layer": depth, "d_model": np.sqrt(size / 12 / depth)} for depth in (4, 12, 32)]
            else:
                rows.append(row)
    x = np.log([[row[name] for name in form.inputs] for row in rows])
    centre = form.centre(x)
    loss = np.exp(form.log_loss(form.from_natural(np.array(TRUTH[key]), centre)[None], x - centre)[0])
    loss = loss * np.exp(noise * rng.standard_normal(len(loss)))
    return RunTable(tuple(Run(loss=float(v), **row) for v, row in zip(loss, rows, strict=True)))


@pytest.mark.parametrize("key", TRUTH)
def test_parameters_are_found_again(key):
    law = fit(made(key), form=key, draws=20)
    assert law.form == key
    assert np.abs(law.residuals).max() < 2e-3
    tight = {"moe": 0.5}.get(key, 0.03)
    assert list(law.parameters.values()) == pytest.approx(TRUTH[key], rel=tight)


@pytest.mark.parametrize("key", ["kaplan", "overtraining", "repetition"])
def test_forecasts_are_drawn_and_hold_the_truth(key):
    table = made(key, noise=0.002)
    form, truth = FORMS[key], np.array(TRUTH[key])
    law = fit(table, form=key, draws=300)
    target = {"params": 1e10, "tokens": 3e11} | ({"unique_tokens": 3e10} if key == "repetition" else {})
    x = np.log([[target[name] for name in form.inputs]])
    loss = float(np.exp(form.log_loss(form.from_natural(truth, np.zeros(x.shape[1]))[None], x)[0, 0]))
    answer = forecast_loss(law, **target, level=0.98)
    assert loss in answer.interval
    assert answer.median == pytest.approx(loss, rel=0.03)
    assert answer.flops == pytest.approx(6 * 1e10 * 3e11)


def test_repetition_forecasts_fewer_unique_tokens_as_worse_and_takes_tokens_as_fresh():
    law = fit(made("repetition", noise=0.002), form="repetition", draws=200)
    losses = [law.predict(params=1e10, tokens=3e11, unique_tokens=u).median for u in (3e11, 3e10, 3e9)]
    assert losses[0] < losses[1] < losses[2]
    assert law.predict(params=1e10, tokens=3e11).median == losses[0]
    assert law.law(1e10, 3e11, 3e9) > law.law(1e10, 3e11, 3e11)
    assert compute_optimal(law, flops=1e22).params > 0
    assert next_run(law, target=(1e11, 2e12)).flops > 0


def test_a_backtest_asks_for_repeated_runs_as_they_were():
    made_of = backtest(made("repetition", noise=0.002), form="repetition", near=3.0, alone=False)
    graded = made_of.to_json()["distances"][0]["methods"]["chidu"]
    assert graded["error"] < 0.02


def test_forms_that_only_describe_refuse_to_forecast():
    for key in ("moe", "shape"):
        law = fit(made(key), form=key, draws=20)
        with pytest.raises(Refusal, match=f"the {key} law describes runs"):
            forecast_loss(law, params=1e10, tokens=3e11)
        with pytest.raises(Refusal):
            compute_optimal(law, flops=1e22)
        assert law.to_json()["form_weights"] == {}
        assert key in str(law)


def test_every_form_says_whether_it_forecasts():
    assert drawn_forms("overtraining") == SPLIT_FORMS
    assert {key for key in FORMS if drawn_forms(key)} == {*SPLIT_FORMS, *OWN_FORMS, "overtraining"}


def test_a_missing_column_is_named():
    table = made("overtraining")
    with pytest.raises(InputError, match="needs a column unique_tokens"):
        fit(table, form="repetition")
    half = replace(table, runs=(replace(table.runs[0], unique_tokens=1e7), *table.runs[1:]), lines=tuple(range(2, 26)))
    with pytest.raises(InputError, match=re.escape("positive unique_tokens of every run, but row 3 has none")):
        fit(half, form="repetition")
    with pytest.raises(InputError, match="needs a column active_params"):
        fit(table, form="moe")
    with pytest.raises(InputError, match="needs a column d_model"):
        fit(table, form="shape")


def test_what_no_run_shows_is_refused():
    runs = made("moe").runs
    with pytest.raises(Refusal, match="no run repeats its data"):
        fit(RunTable(tuple(replace(run, unique_tokens=run.tokens) for run in runs)), form="repetition")
    with pytest.raises(Refusal, match="the same share of active params"):
        fit(RunTable(tuple(replace(run, active_params=run.params) for run in runs)), form="moe")
    with pytest.raises(Refusal, match="about the same n_layer"):
        fit(RunTable(tuple(replace(run, d_model=run.params, n_layer=12.0) for run in runs)), form="shape")


def test_repeated_runs_are_fitted_by_the_form_of_repetition_alone():
    table = made("repetition")
    assert len(fit(table, form="repetition", draws=20).runs) == len(table)
    gone = fit(table, form="tied", draws=20).runs.set_aside
    assert sum("repeats its data" in row.reason for row in gone) == len(table) // 2


def test_shape_needs_neither_params_nor_flops():
    table = made("shape")
    bare = RunTable(tuple(replace(run, params=None) for run in table))
    assert fit(bare, form="shape", draws=20).parameters == fit(table, form="shape", draws=20).parameters


def test_descend_finds_a_median_as_huber_s_loss_narrows():
    y = np.array([0.0, 0.1, 0.2, 5.0, 0.15])

    def model(theta):
        return np.full(5, theta[0]), np.ones((5, 1))

    assert descend(model, np.zeros(1), y)[0] == pytest.approx([y.mean()])
    assert descend(model, np.zeros(1), y, delta=1e-4)[0] == pytest.approx([0.15], abs=1e-3)
