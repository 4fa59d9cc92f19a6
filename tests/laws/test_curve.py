import json
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.laws.curve import CurveLaw, LossCurve, _Sums, curves_of, fit_curves, make_curve
from chidu.runs import Run, RunTable

TRUTH = np.log([2.6, 0.6, 0.45, 430.0, 2.1, 0.6, 0.65])
STEP = np.arange(60, 3000, 60.0)
PEAK = 3e-4


def schedule(name):
    """Rates at the steps of STEP under a schedule."""
    if name == "cosine":
        return PEAK * (0.55 + 0.45 * np.cos(np.pi * STEP / 3000))
    if name == "drop":
        return np.where(STEP < 1500, PEAK, 0.3 * PEAK)
    if name == "decay":
        return PEAK * np.minimum(1.0, np.maximum((3100 - STEP) / 600, 0.1))
    return np.full(len(STEP), PEAK)


def curve(name, noise=0.0):
    """A curve whose losses are those of the law with TRUTH's parameters."""
    bare = make_curve(name, STEP, schedule(name), np.ones(len(STEP)), warmup=40)
    law = CurveLaw({}, 0.0, 0.0, (), 0, TRUTH)
    loss = law.loss(bare) * np.exp(noise * np.random.default_rng(len(name)).standard_normal(len(STEP)))
    return LossCurve(name, bare.step, loss, bare.rate, bare.warmup)


@pytest.fixture(scope="module")
def law():
    return fit_curves([curve(name, 3e-4) for name in ("constant", "cosine", "drop")])


def test_gradient_is_the_numeric_one():
    sums = _Sums([curve("cosine"), curve("drop")])
    _, slopes = sums.log_loss(TRUTH)
    for j in range(7):
        step = 1e-5 * np.eye(7)[j]
        numeric = (sums.log_loss(TRUTH + step)[0] - sums.log_loss(TRUTH - step)[0]) / 2e-5
        assert slopes[:, j] == pytest.approx(numeric, abs=1e-7)


def test_the_sum_is_the_published_one():
    """Step by step, as its authors' code has it, for a schedule of few changes."""
    rate = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2, 0.2]) * 1e-3
    a_curve = LossCurve("steps", np.array([1.0, 4.0, 7.0]), np.ones(3), rate)
    l_0, a, alpha, b, c, beta, gamma = np.exp(TRUTH)
    expected = []
    for s in (1, 4, 7):
        loss = l_0 + a * rate[: s + 1].sum() ** -alpha
        for k in range(1, s + 1):
            x = c * rate[k] ** -gamma * rate[k : s + 1].sum()
            loss -= b * (rate[k - 1] - rate[k]) * (1 - (1 + x) ** -beta)
        expected.append(loss)
    assert CurveLaw({}, 0.0, 0.0, (), 0, TRUTH).loss(a_curve) == pytest.approx(expected)


def test_a_curve_under_another_schedule_is_forecast(law):
    held = curve("decay", 3e-4)
    assert law.mean_error(held) < 1.5e-3
    assert law.error < 1e-3
    assert law.points == 3 * len(STEP)


def test_a_law_prints_itself_and_knows_its_json(law):
    assert "multi-power law of 3 curves" in str(law)
    assert json.loads(json.dumps(law.to_json()))["curves"] == ["constant", "cosine", "drop"]


def test_drops_at_every_step_are_taken_in_blocks_without_harm():
    sudden = np.linspace(1.0, 0.1, 3000) * PEAK
    every = LossCurve("linear", STEP, np.ones(len(STEP)), sudden)
    law = CurveLaw({}, 0.0, 0.0, (), 0, TRUTH)
    blocked = law.loss(every)
    assert len(_Sums([every]).parts[0][0]) < 200
    l_0, a, alpha, b, c, beta, gamma = np.exp(TRUTH)
    s = int(STEP[-1])
    x = c * sudden[1 : s + 1] ** -gamma * (np.cumsum(sudden)[s] - np.cumsum(sudden)[:s])
    drop = -np.diff(sudden[: s + 1])
    exact = l_0 + a * sudden[: s + 1].sum() ** -alpha - b * (drop * (1 - (1 + x) ** -beta)).sum()
    assert blocked[-1] == pytest.approx(exact, rel=1e-4)


def test_curves_are_read_from_a_table_of_checkpoints():
    runs = [
        Run(run=name, step=float(s), learning_rate=float(r), loss=3.0)
        for name in ("constant", "drop")
        for s, r in zip(STEP, schedule(name), strict=True)
    ]
    first, second = curves_of(RunTable(tuple(reversed(runs))), warmup=40)
    assert {first.name, second.name} == {"constant", "drop"}
    assert (np.diff(first.step) > 0).all()
    assert first.rate[0] == 0
    assert first.rate[40] == PEAK
    with pytest.raises(Refusal, match="of 2 sizes"):
        curves_of(RunTable((replace(runs[0], params=1e8), replace(runs[1], params=1e9))))
    with pytest.raises(InputError, match="a step and a learning_rate"):
        curves_of(RunTable((Run(loss=3.0, step=1.0),)))


def test_schedules_that_cannot_say_are_refused():
    with pytest.raises(Refusal, match="ever drops"):
        fit_curves([curve("constant")])
    with pytest.raises(InputError, match="3 losses"):
        fit_curves([make_curve("short", STEP[:3], schedule("drop")[:3], np.full(3, 3.0))])


def test_bad_curves_are_named():
    with pytest.raises(InputError, match="steps must rise"):
        LossCurve("x", np.array([2.0, 2.0]), np.ones(2), np.ones(5))
    with pytest.raises(InputError, match="a loss for each"):
        LossCurve("x", np.array([2.0]), np.ones(2), np.ones(5))
    with pytest.raises(InputError, match="losses must be positive"):
        LossCurve("x", np.array([2.0]), np.array([np.nan]), np.ones(5))
    with pytest.raises(InputError, match="rate is zero"):
        LossCurve("x", np.array([2.0]), np.ones(1), np.zeros(5))
