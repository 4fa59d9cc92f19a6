"""Beam search against a search of everything."""

import itertools
import math

import pytest
import torch

from chidu.errors import InputError
from chidu.model.beam import beam_search

STOP, SIZE = 3, 5


@torch.no_grad()
def everything(model, prompt: list[int], tokens: int, penalty: float, source: list[int] | None) -> dict[tuple, float]:
    """Scores of all continuations, those that ended and those that are cut."""
    scores = {}
    for length in range(1, tokens + 1):
        for ids in itertools.product(range(SIZE), repeat=length):
            if STOP in ids[:-1] or (ids[-1] != STOP and length < tokens):
                continue
            given = {} if source is None else {"source": torch.tensor([source])}
            logits = model(torch.tensor([[*prompt, *ids]]), **given)[0, len(prompt) - 1 : -1].log_softmax(dim=-1)
            total = float(logits[torch.arange(length), torch.tensor(ids)].sum())
            scores[tuple(token for token in ids if token != STOP)] = total / length**penalty
    return scores


@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_likeliest_of_all(make_model, kind: str, penalty: float):
    model = make_model(vocab_size=SIZE, kind=kind, logit_scale=0.3)
    prompts = [[1, 2, 4], [2]]
    sources = [[1, 2], [4, 3, 2, 1]] if kind == "encoder_decoder" else None
    found = beam_search(model, prompts, tokens=3, stop=STOP, beams=SIZE**3, length_penalty=penalty, sources=sources)
    for row, prompt in enumerate(prompts):
        scores = everything(model, prompt, 3, penalty, sources[row] if sources else None)
        best = max(scores, key=lambda ids: scores[ids])
        assert found[row][0].ids == best
        assert found[row][0].score == pytest.approx(scores[best], abs=1e-4)
        for beam in found[row]:
            assert beam.score == pytest.approx(scores[beam.ids], abs=1e-4)


def test_one_beam_is_greedy_and_rows_do_not_mind_each_other(make_model):
    model = make_model(logit_scale=0.5)
    prompts = [[5, 6, 7], [8], [9, 10]]
    together = beam_search(model, prompts, tokens=8, stop=STOP, beams=3)
    for prompt, beams in zip(prompts, together, strict=True):
        assert [beam.ids for beam in beams] == [
            beam.ids for beam in beam_search(model, [prompt], tokens=8, stop=STOP, beams=3)[0]
        ]
        assert [beam.score for beam in beams] == sorted((beam.score for beam in beams), reverse=True)
    tokens, greedy = torch.tensor([prompts[0]]), []
    with torch.no_grad():
        for _ in range(8):
            greedy.append(int(model(tokens)[0, -1].argmax()))
            tokens = torch.cat([tokens, torch.tensor([[greedy[-1]]])], dim=1)
    ended = greedy.index(STOP) if STOP in greedy else None
    assert list(beam_search(model, prompts[:1], tokens=8, stop=STOP, beams=1)[0][0].ids) == greedy[:ended]


def test_transformers_finds_the_same_beams(make_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    from chidu.model.pretrained import save_pretrained

    model = make_model(kind="encoder_decoder", position="relative", n_kv_head=4, logit_scale=0.5)
    save_pretrained(model, None, tmp_path / "t5")
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "t5").eval()
    sources = torch.randint(4, 61, (3, 6), generator=torch.Generator().manual_seed(0))
    found = beam_search(model, [[0]] * 3, tokens=10, stop=STOP, beams=4, sources=sources.tolist())
    answer = theirs.generate(
        sources, max_new_tokens=10, num_beams=4, do_sample=False, eos_token_id=STOP, pad_token_id=0,
        decoder_start_token_id=0, output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    for row, beams in enumerate(found):
        ids = [token for token in answer.sequences[row].tolist()[1:] if token != 0]
        assert ids[: ids.index(STOP) if STOP in ids else None] == list(beams[0].ids)
        assert math.isclose(float(answer.sequences_scores[row]), beams[0].score, abs_tol=1e-4)


def test_what_cannot_be_searched(make_model):
    model = make_model()
    with pytest.raises(InputError, match="--beams must be at least 1"):
        beam_search(model, [[1]], tokens=3, stop=0, beams=0)
    with pytest.raises(InputError, match="exceed the context of 16"):
        beam_search(model, [[1] * 10], tokens=8, stop=0)
    with pytest.raises(InputError, match="the prompt is empty"):
        beam_search(model, [[]], tokens=8, stop=0)
    assert beam_search(model, [[1]], tokens=0, stop=0) == [[]]
    assert beam_search(model, [], tokens=5, stop=0) == []
