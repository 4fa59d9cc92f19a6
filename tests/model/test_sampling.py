import math

import pytest
import torch

from chidu.errors import InputError
from chidu.model.sampling import Sampling, choose, penalise

LOGITS = torch.tensor([0.1, 2.0, -1.0, 1.5, 0.7]).log_softmax(dim=0)


def draw_many(sampling: Sampling, count: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sampling.seed)
    drawn = torch.tensor([choose(LOGITS, sampling, generator) for _ in range(count)])
    return torch.bincount(drawn, minlength=5) / count


def test_draws_follow_the_softmax_at_a_temperature():
    for temperature in (1.0, 0.5, 2.0):
        wanted = (LOGITS / temperature).softmax(dim=0)
        torch.testing.assert_close(draw_many(Sampling(temperature=temperature)), wanted, atol=0.04, rtol=0)


def test_top_k_and_top_p_cut_the_tail():
    probabilities = LOGITS.exp()
    assert (draw_many(Sampling(temperature=1, top_k=2)) > 0).tolist() == [False, True, False, True, False]
    assert (draw_many(Sampling(temperature=1, top_k=9)) > 0).all()
    both = float(probabilities[1] + probabilities[3])
    assert (draw_many(Sampling(temperature=1, top_p=both - 0.01)) > 0).sum() == 2
    assert (draw_many(Sampling(temperature=1, top_p=both + 0.01)) > 0).sum() == 3
    kept = draw_many(Sampling(temperature=1, top_k=2))
    assert float(kept[1] / kept[3]) == pytest.approx(math.exp(0.5), rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0},
        {"repetition_penalty": math.inf},
    ],
)
def test_sampling_out_of_range(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong)).replace('_', '-')} must"):
        Sampling(**wrong)


def test_min_p_cuts_what_is_unlikely_beside_the_likeliest():
    ratio = float(LOGITS.exp()[4] / LOGITS.exp()[1])
    assert (draw_many(Sampling(temperature=1, min_p=ratio - 0.01)) > 0).tolist() == [False, True, False, True, True]
    assert (draw_many(Sampling(temperature=1, min_p=ratio + 0.01)) > 0).tolist() == [False, True, False, True, False]
    assert (draw_many(Sampling(temperature=1, min_p=1.0)) > 0).tolist() == [False, True, False, False, False]


def test_the_penalty_makes_what_was_seen_less_likely_by_sign():
    logits = torch.tensor([2.0, -1.0, 0.5])
    assert penalise(logits, 2.0, [0, 1, 1]).tolist() == [1.0, -2.0, 0.5]
    assert logits.tolist() == [2.0, -1.0, 0.5]
    sampling = Sampling(repetition_penalty=10)
    assert choose(logits, sampling, torch.Generator(), {0}) == 2
    assert choose(logits, sampling, torch.Generator()) == 0
