"""Parts of a text, how alike they are to a summary, and a regression that learns which of them is one."""

import random

import pytest

from chidu.errors import InputError
from chidu.tasks import Summarisation
from chidu.tasks.example import Example
from chidu.tasks.metrics.rouge import rouge_rows
from chidu.tasks.metrics.subsequence import longest_common, rouge_l, rouge_words
from chidu.tasks.picking import fit_picker
from chidu.tasks.picking.candidates import find_candidates

WORDS = ["we", "they", "propose", "show", "models", "learning", "studies,", "(deep)", "a", "the", "networks", "which"]


def test_the_bits_count_the_longest_common_subsequence() -> None:
    assert longest_common("abcbdab", "bdcaba") == 4
    assert longest_common("", "abc") == longest_common("abc", "") == 0


@pytest.mark.parametrize("chinese", [False, True])
def test_rouge_l_is_that_of_the_library(chinese: bool) -> None:
    rng = random.Random(0)
    joint = "" if chinese else " "
    pool = list("我们提出一种新的方法研究") if chinese else WORDS
    for _ in range(50):
        answer, *references = (joint.join(rng.choices(pool, k=rng.randint(1, 12))) for _ in range(3))
        [(_, _, expected)] = rouge_rows([answer], [references], chinese)
        ours = rouge_l(rouge_words(answer, chinese), [rouge_words(one, chinese) for one in references])
        assert ours == pytest.approx(expected, abs=1e-12)


def test_sentences_are_cut_at_their_joints() -> None:
    text = "In this paper, we show a new and better method, which is fast. It is."
    found = {one.text: one for one in find_candidates(text, False)}
    assert {"We show a new and better method, which is fast.", "We show a new and better method.", "It is."} <= set(
        found
    )
    assert found["We show a new and better method."].cuts == ("opening", "end")
    assert found["It is."].place == 1


def test_chinese_clauses_stand_in_a_row() -> None:
    found = [one.text for one in find_candidates("本文研究了锂电池，提出一种方法，结果很好。", True)]
    first, second = "本文研究了锂电池", "本文研究了锂电池，提出一种方法"
    assert found[:3] == [first, second, f"{second}，结果很好"]
    assert find_candidates("短", True)[0].text == "短"


def texts(count: int, seed: int) -> list[Example]:
    """The sentence that proposes something is the summary, wherever it stands."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        thing = rng.choice(["parser", "reader", "solver", "planner"])
        right = f"In this paper, we propose a new {thing} of plain text."
        others = [f"Many {rng.choice(['people', 'machines'])} use the {thing} today.", "Results are good."]
        order = [right, *others]
        rng.shuffle(order)
        out.append(Example(source=" ".join(order), targets=(f"We propose a new {thing} of plain text.",)))
    return out


def test_the_right_part_is_learnt() -> None:
    answer = fit_picker(texts(60, 0), trees=20, leaf=5)
    test = texts(30, 1)
    found = answer(test)
    assert Summarisation().judge(test, found) > 95
    assert [one.text for one in answer(test)] == [one.text for one in found]
    with pytest.raises(InputError, match="too few"):
        fit_picker(texts(3, 0))
