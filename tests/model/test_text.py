from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model import text as text_module
from chidu.model.sampling import Sampling
from chidu.model.text import added_text, complete, find_stop, held_back, stream_text

BYTES = Tokenizer()


@pytest.fixture
def say(monkeypatch, make_model):
    """A model that says a given text, byte by byte, and then goes on for ever."""

    def make(words: str):
        ids = [*words.encode(), *[ord("x")] * 50]

        def generate(model, prompt: Sequence[int], *, tokens: int, **rest):
            yield from ids[:tokens]

        monkeypatch.setattr(text_module, "generate", generate)
        return make_model(vocab_size=BYTES.vocab_size)

    return make


@given(
    words=st.text(alphabet="ab你😀\n", max_size=12),
    stops=st.lists(st.text(alphabet="ab你😀\n", min_size=1, max_size=3), max_size=2),
)
@settings(deadline=None)
def test_pieces_are_whole_characters_and_end_before_the_first_whole_stop_string(words: str, stops: list[str]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "generate", lambda *args, tokens, **rest: iter(words.encode()))
        pieces = list(stream_text(None, BYTES, "p", tokens=99, stops=stops))  # type: ignore[arg-type]
    cuts = (find_stop(words[:length], stops) for length in range(len(words) + 1))
    assert "".join(pieces) == words[: next((cut for cut in cuts if cut is not None), None)]
    assert all(pieces)
    assert not any("\ufffd" in piece for piece in pieces)


def test_text_comes_as_soon_as_it_is_sure(say):
    pieces = list(stream_text(say("一 and END"), BYTES, "p", tokens=11, stops=["END"]))
    assert pieces == ["一", " ", "a", "n", "d", " "]


def test_bytes_that_make_no_character_are_shown_at_the_end(say, monkeypatch):
    model = say("")
    monkeypatch.setattr(text_module, "generate", lambda *args, **rest: iter([ord("a"), 0xE4]))
    assert list(stream_text(model, BYTES, "p", tokens=2)) == ["a", "\ufffd"]


def test_what_may_begin_a_stop_string_is_held_back():
    assert held_back("one two E", ["END"]) == 1
    assert held_back("one two EN", ["END", "NO"]) == 2
    assert held_back("one two EX", ["END"]) == 0
    assert find_stop("a.b,c", [",", "."]) == 1
    assert find_stop("abc", ["", "x"]) is None


def test_whole_texts_side_by_side_are_those_of_a_stream(make_model):
    model = make_model(vocab_size=BYTES.vocab_size, logit_scale=0.2)
    prompts = ["one", "", "three words here"]
    for sampling in (Sampling(), Sampling(temperature=1, top_k=40, seed=5)):
        texts = complete(model, BYTES, prompts, tokens=12, sampling=sampling)
        for row, prompt in enumerate(prompts):
            alone = Sampling(temperature=sampling.temperature, top_k=sampling.top_k, seed=sampling.seed + row)
            if prompt:
                assert texts[row] == "".join(stream_text(model, BYTES, prompt, tokens=12, sampling=alone))
    stop = next(letter for letter in texts[0] if letter.isascii())
    assert complete(model, BYTES, prompts, tokens=12, sampling=sampling, stops=[stop])[0] == texts[0].split(stop)[0]


def test_beams_search_and_do_not_draw(make_model):
    model = make_model(vocab_size=BYTES.vocab_size, logit_scale=0.3)
    greedy = complete(model, BYTES, ["abc", "d"], tokens=1)
    assert complete(model, BYTES, ["abc", "d"], tokens=1, beams=4) == greedy
    with pytest.raises(InputError, match="--beams search the likeliest text"):
        complete(model, BYTES, ["abc"], tokens=1, beams=4, sampling=Sampling(temperature=1))


def test_ids_beyond_the_vocabulary_have_no_text():
    assert added_text(BYTES, [300, 1], [104, 300, 105]) == "hi"
