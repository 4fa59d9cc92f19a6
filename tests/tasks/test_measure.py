"""Intervals come from the examples, pairs from the same resampling, and every score says what reproduces it."""

import json

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.tasks.measure import SAMPLES, Tally, Whole, interval_of, margin_of, mean_of, ratio_of
from chidu.tasks.score import Metric, Score, make_score


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    hits = np.array([1.0] * 300 + [0.0] * 700)
    interval = interval_of(mean_of(hits), 0.95, seed=0)
    spread = 1.96 * (0.3 * 0.7 / 1000) ** 0.5
    assert mean_of(hits).value() == pytest.approx(0.3)
    assert interval.lower == pytest.approx(0.3 - spread, abs=0.004)
    assert interval.upper == pytest.approx(0.3 + spread, abs=0.004)


def test_sums_and_the_whole_computed_anew_agree() -> None:
    values = np.random.default_rng(0).normal(size=60)
    whole = Whole(60, lambda picks: float(values[picks].mean()))
    assert whole.value() == pytest.approx(values.mean())
    assert np.allclose(whole.draws(3), mean_of(values).draws(3))


def test_a_ratio_is_of_sums() -> None:
    assert ratio_of(np.array([1.0, 3.0]), np.array([1.0, 1.0])).value() == 2.0
    assert len(ratio_of(np.ones(4), np.ones(4)).draws(0)) == SAMPLES


def test_a_margin_is_paired() -> None:
    base = np.random.default_rng(1).normal(size=200) * 10
    first, second = mean_of(base + 1), mean_of(base)
    margin = margin_of(first, second, 0.95, seed=0)
    assert margin.lower == pytest.approx(1.0)
    assert margin.upper == pytest.approx(1.0)
    with pytest.raises(ValueError, match="cannot be paired"):
        margin_of(first, mean_of(base[:100]), 0.95, seed=0)


def test_no_examples_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no examples"):
        interval_of(Tally(np.zeros((0, 2)), lambda sums: 0.0), 0.95, seed=0)


def test_a_score_says_everything() -> None:
    metric = Metric("accuracy", mean_of(np.array([1.0, 0.0, 1.0, 1.0])), "labels:2")
    other = Metric("accuracy", mean_of(np.array([0.0, 0.0, 1.0, 1.0])))
    score = make_score("classification", metric, baseline=("majority", other), chosen_among={"majority": 0.4})
    assert score.value == 0.75
    assert score.count == 4
    assert score.baseline is not None
    assert score.baseline.value == 0.5
    assert score.baseline.margin.lower >= 0
    assert score.signature.startswith("labels:2|level:0.95|bootstrap:sums|seed:0|chidu:")
    text = str(score)
    assert "accuracy 0.75 ± 0.22 [" in text
    assert "best simple baseline: majority 0.5 [" in text
    assert json.loads(json.dumps(score.to_json()))["baseline"]["chosen_among"] == {"majority": 0.4}
    assert isinstance(score, Score)


def test_a_level_lies_between_0_and_1() -> None:
    with pytest.raises(InputError, match="--level 95"):
        make_score("x", Metric("accuracy", mean_of(np.ones(3))), level=95)
