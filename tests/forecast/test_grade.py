import numpy as np
import pytest

from chidu.errors import Refusal
from chidu.forecast.grade import LEVELS, Answers, coverage, grade, mark, percent


def answers(median, half, levels=(0.5, 0.9)):
    """Intervals of half a width `half` at the first level, twice that at the second."""
    median = np.array(median)
    halves = half * np.arange(1, len(levels) + 1)[:, None]
    return Answers(levels, median, median - halves, median + halves)


def test_marks_are_those_of_the_formulas():
    marks = mark(np.array([2.0, 2.2]), np.array([1.9, 2.1]), np.array([2.1, 2.3]), np.array([2.0, 2.0]), 0.9)
    assert marks.error == pytest.approx([0.0, 0.1])
    assert marks.inside.tolist() == [True, False]
    assert marks.width == pytest.approx([0.1, 0.1])
    assert marks.score == pytest.approx([0.1, (0.2 + 20 * 0.1) / 2])


def test_ends_of_an_interval_are_inside():
    assert mark(np.array([2.0]), np.array([1.5]), np.array([2.5]), np.array([2.5]), 0.5).inside.all()


def test_a_grade_counts_every_target_alike():
    made = grade([answers([2.0, 2.0], 0.1), answers([2.0], 0.1)], [np.array([2.0, 2.5]), np.array([1.6])], 0.9)
    assert (made.targets, made.held, made.level) == (3, 1, 0.9)
    assert made.error == pytest.approx((0 + 0.2 + 0.25) / 3)
    assert made.bias == pytest.approx((0 - 0.2 + 0.25) / 3)
    assert made.cover == pytest.approx(1 / 3)
    assert made.to_json()["cover"] == made.cover
    assert "90% intervals held 1 of 3" in str(made)


def test_coverage_is_looked_at_for_every_level():
    rng = np.random.default_rng(0)
    loss = rng.standard_normal(4000) + 10
    tails = np.quantile(rng.standard_normal(100_000), [[(1 - p) / 2, (1 + p) / 2] for p in LEVELS])
    ends = np.broadcast_to(10 + tails[..., None], (len(LEVELS), 2, len(loss)))
    held = coverage([Answers(LEVELS, np.full(len(loss), 10.0), ends[:, 0], ends[:, 1])], [loss])
    assert held == pytest.approx(LEVELS, abs=0.03)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_answers_that_are_none_are_refused(wrong):
    assert answers([2.0], 0.1).check()
    with pytest.raises(Refusal, match="no finite interval"):
        answers([wrong], 0.1).check()
    with pytest.raises(Refusal, match="no finite interval"):
        answers([2.0], -0.1).check()


def test_percent_stays_short():
    assert [percent(0.01234), percent(-0.5, "+"), percent(3e20)] == ["1.23", "-50.00", "3e+22"]
