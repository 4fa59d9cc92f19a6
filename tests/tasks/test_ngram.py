"""The n-gram model is a distribution, equals the textbook's formula, and prefers text like its own."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from chidu.tasks.baselines.ngram import NgramModel


def text(seed: int, length: int, vocab: int) -> np.ndarray:
    """A chain in which a token is mostly followed by the next one."""
    rng = np.random.default_rng(seed)
    out = [0]
    for _ in range(length - 1):
        out.append(int((out[-1] + 1) % vocab if rng.random() < 0.7 else rng.integers(vocab)))
    return np.array(out)


@pytest.mark.parametrize("context", [[], [3], [3, 4], [9, 9, 9], [1, 2, 3, 4], [5, 5, 0, 1, 2, 3]])
def test_what_may_come_next_sums_to_one(context: list[int]) -> None:
    model = NgramModel.fit(text(0, 400, 10), 12)
    after = model.next_probabilities(context[-4:])
    assert after.sum() == pytest.approx(1)
    assert after.min() > 0


def test_both_ways_of_asking_agree() -> None:
    model = NgramModel.fit(text(0, 300, 8), 8)
    asked = text(1, 30, 8)
    logs = model.log_probabilities(asked)
    for i in range(len(asked)):
        after = model.next_probabilities(asked[max(0, i - 4) : i].tolist())
        assert logs[i] == pytest.approx(np.log(after[asked[i]]))


def test_bigrams_by_the_formula() -> None:
    tokens = text(2, 200, 5)
    model = NgramModel.fit(tokens, 5, order=2)
    pairs, followed = Counter(pairwise(tokens)), Counter(tokens[:-1])
    kinds = Counter(right for _, right in pairs)

    def discounts(counts: list[int]) -> list[float]:
        n1, n2, n3, n4 = (max(sum(c == n for c in counts), 0) for n in (1, 2, 3, 4))
        if not n1:
            return [0.5, 0.5, 0.5]
        rate = n1 / (n1 + 2 * n2)
        raw = [(1, n2, n1), (2, n3, n2), (3, n4, n3)]
        return [min(max(n - (n + 1) * rate * a / b, 0.05), n - 0.05) if a and b else 0.5 for n, a, b in raw]

    low, high = discounts(list(kinds.values())), discounts(list(pairs.values()))

    def unigram(w: int) -> float:
        total = sum(kinds.values())
        freed = sum(low[min(c, 3) - 1] for c in kinds.values())
        return (kinds[w] - low[min(kinds[w], 3) - 1]) / total + freed / total / 5

    def bigram(v: int, w: int) -> float:
        freed = sum(high[min(c, 3) - 1] for (a, _), c in pairs.items() if a == v)
        count = pairs[v, w]
        kept = count - high[min(count, 3) - 1] if count else 0.0
        return kept / followed[v] + freed / followed[v] * unigram(w)

    for v in range(5):
        right = [bigram(v, w) for w in range(5)]
        assert np.allclose(model.next_probabilities([v]), right)


def test_a_longer_memory_helps_and_other_text_is_worse() -> None:
    tokens, other = text(0, 3000, 20), np.random.default_rng(5).integers(20, size=500)
    one, five = (NgramModel.fit(tokens, 20, order=k) for k in (1, 5))
    fresh = text(7, 500, 20)
    assert five.log_probabilities(fresh).mean() > one.log_probabilities(fresh).mean() + 0.5
    assert five.log_probabilities(other).mean() < five.log_probabilities(fresh).mean()


def test_short_text_and_unseen_tokens_are_no_fault() -> None:
    model = NgramModel.fit(np.array([1, 2, 1, 2, 1]), 6)
    assert np.isfinite(model.log_probabilities(np.array([5, 5]))).all()
    assert len(model.log_probabilities(np.array([1]))) == 1
    with pytest.raises(ValueError, match="too few"):
        NgramModel.fit(np.array([1, 2]), 6)


def test_samples_follow_their_seed_and_stop() -> None:
    model = NgramModel.fit(text(0, 400, 10), 10)
    assert model.sample(30, seed=1) == model.sample(30, seed=1)
    assert model.sample(30, seed=1) != model.sample(30, seed=2)
    assert 4 not in model.sample(200, stop=4, seed=0)
    assert len(model.sample(200, stop=4, seed=0)) < 200
