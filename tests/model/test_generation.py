import math

import pytest
import torch

from chidu.errors import InputError
from chidu.model.generation import generate
from chidu.model.sampling import Sampling, choose

LOGITS = torch.tensor([0.1, 2.0, -1.0, 1.5, 0.7]).log_softmax(dim=0)


def draw_many(sampling: Sampling, count: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sampling.seed)
    drawn = torch.tensor([choose(LOGITS, sampling, generator) for _ in range(count)])
    return torch.bincount(drawn, minlength=5) / count


@torch.no_grad()
def uncached(model, prompt: list[int], tokens: int) -> list[int]:
    """Greedy, with a whole forward pass for each token; a full context is cut to its later half."""
    context, seen = model.config.context, list(prompt)
    window = seen[-context:]
    for _ in range(tokens):
        token = int(model(torch.tensor([window]))[0, -1].argmax())
        seen.append(token)
        window = seen[-(context // 2) :] if len(window) == context else [*window, token]
    return seen[len(prompt) :]


@pytest.mark.parametrize("position", ["rotary", "sinusoidal", "learned"])
@pytest.mark.parametrize("length", [1, 5, 16, 40])
def test_the_cache_changes_nothing_also_past_the_context(make_model, position: str, length: int):
    model = make_model(position=position)
    prompt = torch.randint(61, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    assert list(generate(model, prompt, tokens=45)) == uncached(model, prompt, 45)


def test_a_context_of_one_token(make_model):
    model = make_model(context=1)
    first = next(generate(model, [5], tokens=1))
    assert list(generate(model, [3, 4, 5], tokens=2)) == [first, *generate(model, [first], tokens=1)]


def test_it_stops_before_the_stop_token(make_model):
    model = make_model()
    free = list(generate(model, [1, 2], tokens=20))
    stop = free[7]
    assert list(generate(model, [1, 2], tokens=20, stop=stop)) == free[: free.index(stop)]
    assert list(generate(model, [1, 2], tokens=0)) == []


def test_the_same_seed_draws_the_same_text(make_model):
    model = make_model(logit_scale=0.1)
    texts = [list(generate(model, [1], tokens=30, sampling=Sampling(temperature=1, seed=s))) for s in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]
    greedy = list(generate(model, [1], tokens=30))
    assert list(generate(model, [1], tokens=30, sampling=Sampling(temperature=1.5, top_k=1))) == greedy
    assert list(generate(model, [1], tokens=30, sampling=Sampling(temperature=1.5, top_p=1e-9))) == greedy


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
    "wrong", [{"temperature": -1}, {"temperature": math.nan}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.5}]
)
def test_sampling_out_of_range(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong)).replace('_', '-')} must"):
        Sampling(**wrong)


def test_an_empty_prompt(make_model):
    with pytest.raises(InputError, match="the prompt is empty"):
        next(generate(make_model(), [], tokens=1))
