from hypothesis import given
from hypothesis import strategies as st

from chidu.data.normalise import normalise

ROUGH = st.text(alphabet=st.sampled_from("a é́́\u0301\u0000\u0085\ufeff\ud800 \t\r\n　，①Å\u212b"), max_size=60)


@given(st.one_of(st.text(alphabet=st.characters(), max_size=60), ROUGH))
def test_twice_is_once_and_the_result_is_clean(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    once.encode()
    assert not any(bad in once for bad in ("\r", "\0", "\ufeff", " \n", "\t\n", "\n\n\n\n"))
    assert once == "" or once.strip()


def test_each_rule() -> None:
    assert normalise("\ufeffone\r\ntwo\rthree") == "one\ntwo\nthree"
    assert normalise("a\x00b\x0cc\x85d") == "abcd"
    assert normalise("e\u0301") == "é"
    assert normalise("x \t\n  y  ") == "x\n  y"
    assert normalise("\n\n  a\n\n\n\n\nb\n\n") == "  a\n\n\nb"
    assert normalise("a\ud800b") == "a\ufffdb"
    assert normalise(" \n\t\n") == ""


def test_chinese_punctuation_and_width_stay() -> None:
    text = "他说：“（１２３）ＡＢＣ”，①　㎏…"
    assert normalise(text) == text


def test_long_runs_of_space_take_linear_time() -> None:
    assert len(normalise(" " * 2_000_000 + "x")) == 2_000_001
