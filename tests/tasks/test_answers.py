"""Exact match and F1, classes and their calibration, pass@k and completions: against values worked out by hand."""

import math

import numpy as np
import pytest

from chidu.tasks.metrics.classes import accuracy, calibration_error, macro_f1
from chidu.tasks.metrics.matching import exact, match, shared_f1, words_of
from chidu.tasks.metrics.modelling import bits_per_byte
from chidu.tasks.metrics.programs import pass_at_k, passes, validity


def test_answers_are_normalised_as_squads_are() -> None:
    assert words_of("The  Cat, an animal!", by_character=False) == ["cat", "animal"]
    assert exact("the cat.", ["A cat", "dog"], by_character=False) == 1
    assert exact("cats", ["A cat", "dog"], by_character=False) == 0


def test_f1_counts_shared_words_and_takes_the_best_reference() -> None:
    assert shared_f1("the red cat", ["red dog", "a red cat sat"], by_character=False) == pytest.approx(2 * 2 / (2 + 3))
    assert shared_f1("", ["x"], by_character=False) == 0
    assert shared_f1("the", ["a"], by_character=False) == 1


def test_chinese_is_matched_by_character() -> None:
    assert words_of("1998年，Python 3.0发布+。", by_character=True) == ["1998", "年", "python", "30", "发", "布"]
    assert words_of("ω-force的", by_character=True) == ["ωforce", "的"]
    assert shared_f1("1998年", ["1998年6月"], by_character=True) == pytest.approx(2 * 2 / (2 + 4))
    assert exact("《红楼梦》", ["红楼梦"], by_character=True) == 1


def test_both_are_means_in_per_cent() -> None:
    f1, hits = match(["a cat", "dog"], [["cat"], ["big dog"]], by_character=False)
    assert f1.measure.value() == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert hits.measure.value() == pytest.approx(50)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = rng.choice(list("abc"), size=200, p=[0.7, 0.2, 0.1]).tolist()
    answers = [label if rng.random() < 0.6 else str(rng.choice(list("abc"))) for label in labels]
    assert macro_f1(answers, labels).measure.value() == pytest.approx(
        metrics.f1_score(labels, answers, average="macro"), abs=1e-9
    )
    assert accuracy(answers, labels).measure.value() == pytest.approx(metrics.accuracy_score(labels, answers))


def test_calibration_error_compares_confidence_with_accuracy() -> None:
    sure, unsure = {"a": 0.9, "b": 0.1}, {"a": 0.6, "b": 0.4}
    rows, labels = [sure] * 10 + [unsure] * 10, ["a"] * 5 + ["b"] * 5 + ["a"] * 6 + ["b"] * 4
    assert calibration_error(rows, labels).measure.value() == pytest.approx((0.4 * 10 + 0.0 * 10) / 20)
    certain = [{"a": 1.0, "b": 0.0}] * 4
    assert calibration_error(certain, ["a"] * 4).measure.value() == 0


def test_pass_at_k_is_the_share_of_draws_that_hold_a_pass() -> None:
    for samples, passed, k in [(5, 2, 1), (5, 2, 3), (7, 1, 4), (10, 10, 10), (6, 0, 6)]:
        right = 1 - math.comb(samples - passed, k) / math.comb(samples, k)
        assert pass_at_k(samples, passed, k) == pytest.approx(right)
    assert passes([4, 4], [4, 0], 1).measure.value() == 0.5
    with pytest.raises(ValueError, match="pass@5"):
        pass_at_k(4, 1, 5)


def test_only_a_whole_program_is_valid() -> None:
    prompt = "def f(x):\n    y = x\n"
    found = validity([prompt] * 4, ["    return y\n", "", "    return (y", "    return y\n"], [True, True, True, False])
    values = {metric.name: metric.measure.value() for metric in found}
    assert values == {
        "valid": 0.25,
        "parses": 0.75,
        "stops by itself": 0.75,
        "empty": 0.25,
        "parses when empty": 1.0,
    }


def test_bits_per_byte_counts_bytes_and_not_characters() -> None:
    metric = bits_per_byte([math.log(2) * 6, math.log(2) * 2], ["汉", "ab"])
    assert metric.measure.value() == pytest.approx(8 / 5)
    assert metric.lower_is_better
