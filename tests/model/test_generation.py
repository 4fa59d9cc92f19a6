import pytest
import torch

from chidu.errors import InputError
from chidu.model.generation import generate, generate_batch
from chidu.model.sampling import Sampling


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


@pytest.mark.parametrize("position", ["rotary", "sinusoidal", "learned", "relative"])
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


def test_an_empty_prompt(make_model):
    with pytest.raises(InputError, match="the prompt is empty"):
        next(generate(make_model(), [], tokens=1))


PROMPTS = [[5, 6, 7, 8, 9], [10], [11, 12, 13], list(range(20, 36)), list(range(15))]


@pytest.mark.parametrize("position", ["rotary", "sinusoidal", "learned", "relative"])
@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_unequal_prompts_come_out_as_if_alone_and_as_without_a_cache(make_model, position, kind, temperature):
    """Also past the context, which the rows reach at different times, and after some of them have stopped."""
    model = make_model(position=position, kind=kind, logit_scale=0.3)
    sources = [[n] * (n + 1) for n in range(5)] if kind == "encoder_decoder" else None
    sampling = Sampling(temperature=temperature, seed=3)
    together = generate_batch(model, PROMPTS, tokens=30, stop=4, sampling=sampling, sources=sources)
    for row, prompt in enumerate(PROMPTS):
        seeded = Sampling(temperature=temperature, seed=3 + row)
        source = sources[row] if sources else None
        assert together[row] == list(generate(model, prompt, tokens=30, stop=4, sampling=seeded, source=source))
    slow = generate_batch(model, PROMPTS, tokens=30, stop=4, sampling=sampling, sources=sources, cached=False)
    assert together == slow
    assert sum(map(len, together)) > 50


def test_rows_end_when_they_are_told_to(make_model):
    model = make_model()
    free = generate_batch(model, PROMPTS, tokens=12)
    cut = generate_batch(model, PROMPTS, tokens=12, ended=lambda new: len(new) == 3 or new[-1] == free[1][1])
    for row, new in enumerate(cut):
        assert new == free[row][: len(new)]
        assert len(new) <= 3
    several = generate_batch(model, PROMPTS, tokens=12, stop={free[0][2], free[2][5]})
    assert len(several[0]) <= 2
    assert len(several[2]) <= 5


def test_the_repetition_penalty_counts_prompt_and_text(make_model):
    model = make_model()
    plain = list(generate(model, [1, 2], tokens=14))
    assert len(set(plain)) < 14
    strict = list(generate(model, [1, 2], tokens=14, sampling=Sampling(repetition_penalty=1e9)))
    assert len({1, 2, *strict}) == 16


def test_prompts_and_sources_that_do_not_fit(make_model):
    with pytest.raises(InputError, match="2 prompts need as many sources, not 1"):
        generate_batch(make_model(kind="encoder_decoder"), [[1], [2]], tokens=1, sources=[[3]])
    assert generate_batch(make_model(), [], tokens=3) == []
