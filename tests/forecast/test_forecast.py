import json
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.loss import forecast_loss, forecast_targets
from chidu.forecast.targets import Target
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable


@pytest.fixture
def fitted(make_table):
    return fit(make_table(noise=0.002), draws=200)


def test_a_forecast_carries_its_distance_and_its_law(fitted):
    made = forecast_loss(fitted, params=3e9, tokens=6e10)
    assert made.flops == pytest.approx(6 * 3e9 * 6e10)
    assert made.distance == pytest.approx(made.flops / 1e20)
    truth = 1.8 + 400 / 3e9**0.34 + 2000 / 6e10**0.36
    assert truth in made.interval
    assert made.median == pytest.approx(truth, rel=0.02)
    assert made.signature == fitted.signature
    assert made.warnings == ()


def test_many_targets_are_answered_as_one_by_one(fitted):
    targets = [Target(params=10.0**e, tokens=2 * 10.0 ** (e + 1)) for e in np.linspace(8, 11, 7)]
    together = forecast_targets(fitted, targets)
    for target, answer in zip(targets, together, strict=True):
        alone = forecast_loss(fitted, params=target.params, tokens=target.tokens)
        assert alone.median == pytest.approx(answer.median, rel=1e-12)
        assert alone.interval.lower == pytest.approx(answer.interval.lower, rel=1e-12)
    assert forecast_targets(fitted, []) == []


def test_a_higher_level_is_wider_and_the_law_is_narrower(fitted):
    widths = [
        np.ptp(list(forecast_loss(fitted, params=3e9, tokens=6e10, level=level, of=of).interval.to_json().values())[:2])
        for level, of in ((0.5, "run"), (0.9, "run"), (0.99, "run"), (0.9, "law"))
    ]
    assert widths[0] < widths[1] < widths[2]
    assert widths[3] < widths[1]


def test_far_targets_and_foreign_ratios_are_warned_of(fitted):
    assert "times the largest run" in forecast_loss(fitted, params=1e11, tokens=2e12).warnings[0]
    assert "tokens/param lie outside" in forecast_loss(fitted, params=1e8, tokens=1e11).warnings[0]


def test_a_budget_alone_is_split(fitted):
    made = forecast_loss(fitted, flops=1e21)
    assert made.params is not None
    assert made.tokens is not None
    assert 6 * made.params * made.tokens == pytest.approx(1e21)
    assert "no split was given" in made.warnings[0]


def test_a_budget_is_split_at_the_one_ratio_of_the_runs(make_table):
    table = make_table(noise=0.001)
    budgets = np.geomspace(1e18, 1e20, 8)
    params = np.sqrt(budgets / 120)
    one = [replace(table.runs[0], params=p, tokens=20 * p, flops=120 * p * p, loss=2 + 40 * p**-0.2) for p in params]
    made = forecast_loss(fit(RunTable(tuple(one)), draws=50), flops=1.2e21)
    assert made.tokens == pytest.approx(20 * (made.params or 0), rel=1e-6)


def test_one_single_size_cannot_answer_for_another():
    runs = tuple(Run(params=1e8, tokens=d, flops=6e8 * d, loss=2 + 500 * d**-0.3) for d in np.geomspace(1e9, 2e10, 7))
    made = fit(RunTable(runs), draws=50)
    assert "the same params" in " ".join(made.warnings)
    assert forecast_loss(made, params=1e8, tokens=5e10).median > 2
    with pytest.raises(Refusal, match="cannot say what other params would do"):
        forecast_loss(made, params=1e9, tokens=5e10)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"params": 1e9}, "give both"),
        ({"params": 1e9, "tokens": 0.0}, "positive"),
        ({"flops": -1.0}, "positive"),
        ({"params": 1e9, "tokens": 2e10, "level": 1.5}, "level"),
        ({"params": 1e9, "tokens": 2e10, "of": "curve"}, "of is"),
        ({"params": 1e9, "flops": 1e20}, "give both"),
    ],
)
def test_wrong_questions_are_named(wrong, words, fitted):
    with pytest.raises(InputError, match=words):
        forecast_loss(fitted, **wrong)


def test_a_forecast_prints_itself_and_knows_its_json(fitted):
    made = forecast_loss(fitted, params=3e9, tokens=6e10)
    assert "nats/token" in str(made)
    assert "90% interval of one new run" in str(made)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert value["interval"]["lower"] < value["median"] < value["interval"]["upper"]
