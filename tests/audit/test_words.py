import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chidu.audit.words import Word, merge_tokens, merge_weights, roll_out, split_units
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError

BYTES = Tokenizer()
BY_CHARACTER = importlib.util.find_spec("jieba") is None


def words_of(text: str, tokenizer: Tokenizer = BYTES) -> list[str]:
    ids, spans = tokenizer.encode_spans(text)
    return [word.text for word in merge_tokens(text, spans, [""] * len(ids))]


def test_words_of_an_alphabet_are_whole():
    assert words_of("The cat's 12 mice, naïve!") == ["The", "cat's", "12", "mice", ",", "naïve", "!"]


@pytest.mark.skipif(not BY_CHARACTER, reason="jieba cuts Chinese into words")
def test_chinese_is_cut_by_character_unless_a_token_says_otherwise():
    assert words_of("我爱学习编程。OK了") == ["我", "爱", "学", "习", "编", "程", "。", "OK", "了"]
    xue, xi = "学".encode(), "习".encode()
    merged = Tokenizer(((xue[:1], xue[1:2]), (xue[:2], xue[2:]), (xue, xi[:1])))
    assert words_of("我学习", merged) == ["我", "学习"]


def test_words_that_are_given():
    text = "我爱 学习！"
    ids, spans = BYTES.encode_spans(text)
    found = merge_tokens(text, spans, [""] * len(ids), ["我", "爱", "学习", "！"])
    assert [word.text for word in found] == ["我", "爱", "学习", "！"]
    with pytest.raises(InputError, match="学会 does not come next"):
        split_units(text, ["我", "爱", "学会"])
    with pytest.raises(InputError, match="！ at the end of the text is in no word"):
        split_units(text, ["我", "爱", "学习"])


def test_special_tokens_stand_alone():
    words = merge_tokens("ab cd", [(0, 0), (0, 2), (2, 5), (0, 0)], ["<s>", "ab", " cd", "</s>"])
    assert [(word.text, word.special) for word in words] == [
        ("<s>", True),
        ("ab", False),
        ("cd", False),
        ("</s>", True),
    ]


@given(st.text(max_size=30))
def test_every_token_is_in_one_word(text: str):
    ids, spans = BYTES.encode_spans(text)
    words = merge_tokens(text, spans, [""] * len(ids))
    assert [token for word in words for token in word.tokens] == list(range(len(ids)))
    units = split_units(text)
    assert all(first < last for first, last in units)
    assert len(words) <= len(units) + 1


@given(st.text(alphabet="a 我é😀\ud800", max_size=12))
def test_spans_are_the_characters_that_tokens_stand_for(text: str):
    ids, spans = BYTES.encode_spans(text)
    assert len(ids) == len(spans)
    for token, (first, last) in zip(ids, spans, strict=True):
        assert last - first == 1
        assert token < 256
    assert {first for first, _ in spans} <= set(range(len(text)))
    assert BYTES.decode(ids) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_attention_between_words_is_the_mean_of_sums():
    weights = np.array([[1.0, 0, 0], [0.4, 0.6, 0], [0.2, 0.3, 0.5]])
    words = [Word("a", (0,)), Word("b", (1, 2))]
    merged = merge_weights(weights, words, words)
    np.testing.assert_allclose(merged, [[1, 0], [0.3, 0.7]])
    np.testing.assert_allclose(merge_weights(weights[None], words, words)[0], merged)


def test_rolling_out_by_hand():
    layer = np.array([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]])
    half = 0.5 * layer.mean(axis=0) + 0.5 * np.eye(2)
    np.testing.assert_allclose(roll_out([layer, layer]), half @ half)
    np.testing.assert_allclose(roll_out([layer, layer]).sum(axis=1), 1)
