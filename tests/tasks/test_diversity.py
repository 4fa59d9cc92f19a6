"""Metrics of generated text: repetition is seen, and text that differs more scores as less like."""

import random

import numpy as np
import pytest

from chidu.tasks.metrics.divergence import frontier_area, similarity
from chidu.tasks.metrics.diversity import distinct, repetition


def test_distinct_and_repetition_by_hand() -> None:
    texts = ["a b a b", "c d"]
    assert distinct(texts, 1, False).measure.value() == pytest.approx(4 / 6)
    assert distinct(texts, 2, False).measure.value() == pytest.approx(3 / 4)
    assert repetition(texts, 2, False).measure.value() == pytest.approx((1 / 3 + 0) / 2)
    assert distinct(["天天向上"], 1, True).measure.value() == pytest.approx(3 / 4)
    assert distinct([""], 2, False).measure.value() == 0


def test_the_frontier_of_equal_and_of_disjoint_distributions() -> None:
    assert frontier_area(np.array([50, 50]), np.array([50, 50])) == pytest.approx(1)
    assert frontier_area(np.array([1000, 0]), np.array([0, 1000])) < 0.05
    ways = [frontier_area(np.array([a, 100 - a]), np.array([50, 50])) for a in (50, 70, 90)]
    assert ways[0] > ways[1] > ways[2]


def speak(rng: random.Random, words: list[str]) -> str:
    return " ".join(rng.choice(words) for _ in range(20))


def test_likeness_falls_with_the_share_of_foreign_text() -> None:
    rng = random.Random(0)
    here = ["".join(rng.choices("abcdefg", k=5)) for _ in range(40)]
    there = ["".join(rng.choices("tuvwxyz", k=5)) for _ in range(40)]
    real = [speak(rng, here) for _ in range(40)]
    values = []
    for foreign in (0, 20, 40):
        made = [speak(rng, there if i < foreign else here) for i in range(40)]
        values.append(similarity(made, real).measure.value())
    assert values[0] > 0.8
    assert values[0] > values[1] > values[2]
    assert values[2] < 0.2


def test_too_few_texts_are_not_compared() -> None:
    with pytest.raises(ValueError, match="too few"):
        similarity(["a"] * 5, ["b"] * 100)
