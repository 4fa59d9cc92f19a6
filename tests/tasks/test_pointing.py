"""Spans that answer questions: what is read of a passage, how its units are scored, and the ranking that is learnt."""

import random

import numpy as np
import pytest

from chidu.errors import InputError
from chidu.tasks import Answering
from chidu.tasks.example import Example
from chidu.tasks.metrics.matching import shared_f1
from chidu.tasks.pointing import fit_pointer
from chidu.tasks.pointing.clues import Clues, find_clues
from chidu.tasks.pointing.evidence import FAR, Number, since, until
from chidu.tasks.pointing.labels import locate, nearness
from chidu.tasks.pointing.questions import KINDS, ask
from chidu.tasks.pointing.reading import count_rarity, match, read
from chidu.tasks.pointing.scorer import Scores
from chidu.tasks.pointing.spans import find_spans, promise

PASSAGE = "The old cat slept. A dog ate the blue fish, then left. It rained."
CHINESE = "天气很好。康忠在永禄5年被任命为知行，后来隐居。"


def question(text: str, context: str = PASSAGE, answer: str = "", start: int = -1) -> Example:
    return Example(source=text, context=context, targets=(answer,), starts=(start,))


def clues_of(example: Example, chinese: bool = False) -> Clues:
    reading = read(example, chinese)
    return find_clues(reading, count_rarity([reading]), 8)


@pytest.mark.parametrize("chinese", [False, True])
def test_units_know_their_place(chinese: bool) -> None:
    context = CHINESE if chinese else PASSAGE
    reading = read(question("谁？" if chinese else "Who?", context), chinese)
    assert reading.text(0, len(reading.units) - 1) == context
    dots = [i for i, unit in enumerate(reading.units) if unit in ".。"]
    assert [int(reading.sentence_N[i]) for i in dots] == list(range(len(dots)))
    assert read(question("", ""), chinese).text(0, 0) == ""


@pytest.mark.parametrize(
    ("text", "chinese", "kind", "focus"),
    [
        ("他得到什么奖项？", True, "what", "奖项"),
        ("他在哪一年出生？", True, "when", "出生"),
        ("楚昭辅是在哪里出生的？", True, "where", "出生"),
        ("有多少运动员？", True, "how many", "运动"),
        ("王金璐是谁的弟子？", True, "who", "弟子"),
        ("How did the lady feel after that?", False, "feeling", "after"),
        ("What did the king do every month?", False, "deed", "every"),
        ("Which river is it?", False, "which", "river"),
        ("Is it?", False, "other", ""),
    ],
)
def test_a_question_says_what_it_asks_for(text: str, chinese: bool, kind: str, focus: str) -> None:
    asked = ask(text, chinese)
    assert (KINDS[asked.kind], asked.focus[0]) == (kind, focus)


def test_a_sentence_covers_what_it_shares() -> None:
    reading = read(question("What did the dog eat?", "Cats sleep. The dog eats the fish. A dog barks."), False)
    found = match(reading, count_rarity([reading]))
    assert found.cover_S[1] > found.cover_S[2] > found.cover_S[0] == 0
    reading = read(question("康忠何时被任命？", CHINESE), True)
    found = match(reading, count_rarity([reading]))
    assert found.back_NM.max() == 3
    assert found.cover_S[1] == pytest.approx(found.worth_NM.max(axis=0).sum() / found.total)


def test_numbers_stand_beside_what_is_shared() -> None:
    clues = clues_of(question("康忠何时被任命为知行？", CHINESE), True)
    first = clues.reading.units.index("永")
    row = dict(zip(Number, clues.numbers_KD[first].tolist(), strict=True))
    assert row[Number.ASKED_BEFORE_LEFT] > 0 == row[Number.ASKED_AFTER_LEFT]
    assert row[Number.ASKED_AFTER_RIGHT] > 0 == row[Number.ASKED_BEFORE_RIGHT]
    assert (row[Number.SINCE_SHARED], row[Number.FROM_BEGIN], row[Number.RUN]) == (2, 3, 0)
    last = clues.reading.units.index("年")
    assert clues.numbers_KD[last, Number.MEET_RIGHT] == 6
    assert clues.numbers_KD[first, Number.SINCE_PAUSE] == FAR


def test_distances_end_at_sentences() -> None:
    flags, groups = np.array([True, False, False, True, False]), np.array([0, 0, 1, 1, 1])
    assert since(flags, groups).tolist() == [FAR, 1, FAR, FAR, 1]
    assert until(flags, groups).tolist() == [FAR, FAR, 1, FAR, FAR]


def test_the_answer_is_found_or_what_is_nearest_to_it() -> None:
    reading = read(question("What did it eat?", answer="the blue fish", start=PASSAGE.index("the blue")), False)
    assert reading.text(*(locate(reading) or (0, 0))) == "the blue fish"
    reading = read(question("What?", answer="It ate a blue fish."), False)
    assert reading.text(*(locate(reading) or (0, 0))) == "ate the blue fish"
    assert locate(read(question("What?", answer="nothing of that kind"), False)) is None


@pytest.mark.parametrize("chinese", [False, True])
def test_nearness_is_the_f1_of_the_score(chinese: bool) -> None:
    context, answer = (CHINESE, "永禄5年后康忠") if chinese else (PASSAGE, "It ate a fish, the blue fish.")
    reading = read(question("?", context, answer), chinese)
    spans = np.array([(a, b) for a in range(len(reading.units)) for b in range(a, len(reading.units))])
    expected = [shared_f1(reading.text(a, b), [answer], chinese) for a, b in spans]
    assert nearness(reading, spans).tolist() == pytest.approx(expected)


def test_spans_stay_in_sentences_and_what_is_promised_is_an_f1() -> None:
    clues = clues_of(question("What did the dog eat?"))
    count = len(clues.kept_K)
    rng = np.random.default_rng(0)
    likely = np.log(rng.dirichlet(np.ones(count), 2))
    inside = np.zeros(count)
    inside[5:8] = 1
    scores = Scores(likely[0], likely[1], inside)
    spans = find_spans(clues, scores)
    sentences = clues.reading.sentence_N[clues.kept_K]
    assert (sentences[spans[:, 0]] == sentences[spans[:, 1]]).all()
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert len({tuple(span) for span in spans.tolist()}) == len(spans)
    assert promise(scores, np.array([5, 5, 0]), np.array([7, 6, 3])).tolist() == pytest.approx([1, 0.8, 0])
    texts = {clues.reading.text(*clues.kept_K[span]) for span in spans}
    assert {"A dog ate the blue fish, then left", "A dog ate the blue fish", "then left"} <= texts


def passages(count: int, seed: int) -> list[Example]:
    """Who owns what, among sentences about others."""
    rng = random.Random(seed)
    things, out = ["boat", "house", "horse", "garden", "mill", "cart"], []
    for _ in range(count):
        owners = {
            thing: f"{rng.choice('BDKLMRST')}{rng.choice('aeiou')}{rng.choice(['n', 'rr', 'll'])}" for thing in things
        }
        order = rng.sample(things, 4)
        context = " ".join(f"{owners[thing]} {rng.choice(['gladly', 'now'])} owns the old {thing}." for thing in order)
        asked = rng.choice(order)
        out.append(question(f"Who owns the {asked}?", context, owners[asked], context.index(owners[asked])))
    return out


def test_the_right_span_is_learnt() -> None:
    pytest.importorskip("sklearn")
    answer = fit_pointer(passages(90, 0), trees=20, leaf=5)
    test = passages(40, 1)
    found = answer(test)
    overlap = Answering().baselines(test)[0].fit([])(test)
    assert Answering().judge(test, found) > 90 > 2 * Answering().judge(test, overlap)
    assert [one.text for one in answer(test)] == [one.text for one in found]
    again = fit_pointer(passages(90, 0), trees=20, leaf=5)(test)
    assert [one.text for one in again] == [one.text for one in found]


def test_what_cannot_be_learnt_from_is_said() -> None:
    with pytest.raises(InputError, match="no passage"):
        fit_pointer([Example(source="Who?", targets=("me",), starts=(-1,))])
    with pytest.raises(InputError, match="too few"):
        fit_pointer(passages(2, 0))
