import json
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.metric import forecast_metric
from chidu.laws.fit import fit
from chidu.laws.metric import fit_metric, sigmoid
from chidu.runs import Run, RunTable

THETA = np.array([0.25, 0.9, 3.0, 2.6])


def table(noise=0.0, low=2.3, high=3.6, count=24, flops=True):
    """Runs along a frontier, with an accuracy that is a sigmoid of the loss."""
    rng = np.random.default_rng(0)
    compute = np.geomspace(1e17, 1e20, count)
    loss = np.linspace(high, low, count) if not flops else 1.6 + 116 * compute**-0.105
    score = sigmoid(THETA, loss)[0] + noise * rng.standard_normal(count)
    rows = zip(compute, loss, score, strict=True)
    return RunTable(tuple(Run(flops=float(c), loss=float(v), extra={"acc": repr(float(s))}) for c, v, s in rows))


def test_gradient_is_the_numeric_one():
    loss = np.array([2.0, 2.5, 2.9, 4.0])
    _, slopes = sigmoid(THETA, loss)
    for j in range(4):
        step = 1e-6 * np.eye(4)[j]
        numeric = (sigmoid(THETA + step, loss)[0] - sigmoid(THETA - step, loss)[0]) / 2e-6
        assert slopes[:, j] == pytest.approx(numeric, abs=1e-8)


def test_parameters_are_found_again():
    law = fit_metric(table(noise=0.003, flops=False), "acc", draws=50)
    assert list(law.parameters.values()) == pytest.approx(list(THETA), rel=0.05)
    assert law.noise == pytest.approx(0.003, rel=0.5)
    assert law.at(2.6) == pytest.approx(0.575, abs=0.01)
    assert law.warnings == ()
    assert "ceiling" in str(law)
    assert json.loads(json.dumps(law.to_json()))["parameters"] == law.parameters


def test_two_stages_forecast_the_metric_of_a_larger_run():
    runs = table(noise=0.003)
    law = fit_metric(runs, "acc", draws=50)
    answer = forecast_metric(fit(runs, draws=200), law, flops=1e21)
    loss = 1.6 + 116 * 1e21**-0.105
    assert answer.loss == pytest.approx(loss, rel=0.01)
    assert sigmoid(THETA, np.array([loss]))[0][0] in answer.interval
    assert any("below every fitted" in text for text in answer.warnings)
    assert "through a loss of" in str(answer)
    assert answer.to_json()["metric"] == "acc"


def test_a_metric_that_is_better_when_lower_has_its_ceiling_below():
    runs = table(noise=0.003, flops=False)
    law = fit_metric(RunTable(tuple(stretched(run, -1.0, 1.0) for run in runs)), "acc", draws=20)
    assert law.parameters["ceiling"] == pytest.approx(0.1, abs=0.03)
    assert law.parameters["floor"] == pytest.approx(0.75, abs=0.03)
    assert law.parameters["k"] > 0


def test_a_metric_at_chance_is_refused():
    flat = table(noise=0.02, flops=False, low=4.5, high=6.0)
    with pytest.raises(Refusal, match="hardly moves"):
        fit_metric(flat, "acc", draws=20)


def test_a_ceiling_that_no_run_has_neared_is_a_guess():
    law = fit_metric(table(noise=0.001, flops=False, low=2.75), "acc", draws=20)
    assert "its ceiling is a guess" in " ".join(law.warnings)


def test_the_ends_of_a_share_stay_within_it_and_those_of_others_do_not():
    runs = table(flops=False, low=2.75)
    law = fit_metric(RunTable(tuple(stretched(run, 1.3, -0.2) for run in runs)), "acc", draws=20)
    assert law.parameters["ceiling"] <= 1.0
    assert law.draws[:, 1].max() <= 1.0
    points = fit_metric(RunTable(tuple(stretched(run, 130.0, -20.0) for run in runs)), "acc", draws=20)
    assert points.parameters["ceiling"] > 1.0


def test_a_metric_at_known_chance_is_said_to_be():
    rng = np.random.default_rng(0)
    loss = np.linspace(4.0, 3.2, 14)
    flat = RunTable(tuple(Run(loss=float(x), extra={"acc": repr(0.25 + 0.01 * rng.standard_normal())}) for x in loss))
    with pytest.raises(Refusal, match=r"acc stays at chance \(0.25\)"):
        fit_metric(flat, "acc", chance=0.25)


def test_a_metric_that_falls_where_it_should_rise_is_refused():
    loss = np.linspace(4.0, 3.2, 14)
    worse = RunTable(tuple(Run(loss=float(x), extra={"acc": repr(float(0.2 * x))}) for x in loss))
    with pytest.raises(Refusal, match="hardly moves"):
        fit_metric(worse, "acc", chance=0.25, best=1.0)


@pytest.mark.parametrize(("chance", "best"), [(None, 0.5), (0.25, 0.25), (None, float("nan"))])
def test_ends_that_cannot_be_are_named(chance, best):
    with pytest.raises(InputError, match=r"of the runs goes from|cannot be"):
        fit_metric(table(flops=False), "acc", chance=chance, best=best)


def test_a_number_of_chidus_own_is_a_metric_too():
    runs = tuple(replace(run, unseen_bits_per_byte=0.5 * run.loss, extra={}) for run in table(flops=False))
    law = fit_metric(RunTable(runs), "unseen_bits_per_byte", chance=8.0, best=0.0)
    assert law.at(2.0) == pytest.approx(1.0, abs=0.05)


def stretched(run, factor, shift):
    return replace(run, extra={"acc": repr(factor * float(run.extra["acc"]) + shift)})


def test_bad_columns_are_named():
    runs = table().runs
    with pytest.raises(InputError, match="no run has a column bleu; columns that may be metrics: acc"):
        fit_metric(RunTable(runs), "bleu")
    text = Run(loss=3.0, flops=1e18, extra={"acc": "high"})
    with pytest.raises(InputError, match="run 25: acc is 'high'"):
        fit_metric(RunTable((*runs, text)), "acc")
    empty = Run(loss=3.0, flops=1e18, extra={"acc": " "})
    assert fit_metric(RunTable((*runs, empty)), "acc", draws=5).left_out == 1
    with pytest.raises(InputError, match="only 4 runs have acc"):
        fit_metric(RunTable(runs[:4]), "acc")
