"""The simple methods do what they say, and the best of them is chosen on the validation split."""

import random

import pytest

from chidu.errors import InputError
from chidu.tasks.baselines.baseline import Baseline, NothingLearntError, choose
from chidu.tasks.baselines.constant import COPY, MAJORITY
from chidu.tasks.baselines.linear import linear_baselines
from chidu.tasks.baselines.nearest import NEAREST
from chidu.tasks.baselines.sentences import LEAD, OVERLAP, PICKED, split_sentences
from chidu.tasks.example import Example, Prediction

pytest.importorskip("sklearn")


def labelled(count: int, seed: int = 0) -> list[Example]:
    """Texts whose label is told by a few of their words."""
    rng = random.Random(seed)
    words = {"sport": ["ball", "goal", "team"], "money": ["bank", "price", "stock"]}
    out = []
    for _ in range(count):
        label = rng.choice(list(words))
        text = [rng.choice(words[label]), *(rng.choice(["the", "a", "of", "day", "man"]) for _ in range(6))]
        rng.shuffle(text)
        out.append(Example(source=" ".join(text), targets=(label,)))
    return out


@pytest.mark.parametrize("baseline", linear_baselines(), ids=lambda baseline: baseline.name)
def test_a_linear_model_learns_words(baseline: Baseline) -> None:
    answers = baseline.fit(labelled(80))(test := labelled(40, seed=1))
    right = sum(answer.text == example.targets[0] for answer, example in zip(answers, test, strict=True))
    assert right >= 38
    assert sum(answers[0].probabilities.values()) == pytest.approx(1)
    assert max(answers[0].probabilities, key=lambda name: answers[0].probabilities[name]) == answers[0].text


def test_one_label_is_refused() -> None:
    with pytest.raises(InputError, match="one label"):
        linear_baselines()[0].fit([Example(source="a", targets=("x",))] * 3)


def test_majority_and_copy() -> None:
    examples = [Example(source=f"text {i}", targets=("b" if i else "a",)) for i in range(3)]
    answer = MAJORITY.fit(examples)(examples)[0]
    assert answer.text == "b"
    assert answer.probabilities == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert COPY.fit([])(examples)[1].text == "text 1"


@pytest.mark.parametrize("nearest", NEAREST, ids=lambda baseline: baseline.name)
def test_the_nearest_example_answers(nearest: Baseline) -> None:
    train = [
        Example(source="a man sleeps in the park", targets=("schlafen",)),
        Example(source="two dogs play with a ball", targets=("spielen",)),
    ]
    answer = nearest.fit(train)
    texts = ["the man is in a park", "dogs play"]
    assert [p.text for p in answer([Example(source=text) for text in texts])] == ["schlafen", "spielen"]


def test_sentences_are_cut_and_nothing_is_lost() -> None:
    english = 'Dr. Smith came, i.e. he walked. "Why?" he asked. It was 3.5 miles (Fig. 2)! The end'
    assert split_sentences(english) == [
        "Dr. Smith came, i.e. he walked.",
        '"Why?" he asked.',
        "It was 3.5 miles (Fig. 2)!",
        "The end",
    ]
    chinese = "他说：“走吧！”然后走了。谁知道呢？没有"
    assert split_sentences(chinese) == ["他说：“走吧！”", "然后走了。", "谁知道呢？", "没有"]
    assert split_sentences("") == [""]


def test_lead_and_overlap() -> None:
    passage = "The king had a daughter. The queen lived in a tower of glass. Nobody knew why."
    question = Example(source="Where did the queen live?", context=passage, targets=("x",))
    assert LEAD.fit([])([Example(source=passage)])[0].text == "The king had a daughter."
    assert OVERLAP[0].fit([])([question])[0].text == "The queen lived in a tower of glass."
    chinese = Example(source="王后住在哪里？", context="国王有一个女儿。王后住在玻璃塔里，没有人知道。", targets=("x",))
    assert OVERLAP[0].fit([])([chinese])[0].text == "王后住在玻璃塔里，没有人知道。"
    assert OVERLAP[1].fit([])([chinese])[0].text == "王后住在玻璃塔里"


def test_the_regression_finds_where_summaries_stand() -> None:
    pytest.importorskip("rouge_score")
    rng = random.Random(0)
    things = ["networks", "models", "kernels", "graphs", "trees", "images", "sounds", "games"]

    def paper() -> Example:
        a, b = rng.sample(things, 2)
        return Example(
            source=f"People like {b}. We propose a method for {a}. It is fast on {b}.", targets=(f"a method for {a}",)
        )

    answer = PICKED[0].fit([paper() for _ in range(60)])
    assert all(p.text.startswith("We propose") for p in answer([paper() for _ in range(10)]))


def judge(examples: object, predictions: list[Prediction]) -> float:
    return float(predictions[0].text)


def fixed(name: str, answers: dict[int, str], trained: bool = True) -> Baseline:
    """Answers by the number of examples, so that splits can be told apart."""
    return Baseline(name, lambda train: lambda examples: [Prediction(text=answers[len(examples)])], trained)


def test_the_best_on_validation_is_chosen() -> None:
    one = Example(source="x")
    first, second = fixed("first", {2: "1", 3: "9"}), fixed("second", {2: "2", 3: "0"})
    chosen = choose([first, second], [one], [one, one], judge)  # type: ignore[arg-type]
    assert chosen is not None
    assert chosen.name == "second"
    assert chosen.values == {"first": 1.0, "second": 2.0}
    lower = choose([first, second], [one], [one, one], judge, lower_is_better=True)  # type: ignore[arg-type]
    assert lower is not None
    assert lower.name == "first"


def test_what_finds_nothing_to_learn_does_not_compete() -> None:
    blank = [Example(source=text, targets=(label,)) for text, label in (("", "a"), (" ", "b"))]
    for baseline in (linear_baselines()[0], NEAREST[0]):
        with pytest.raises(NothingLearntError):
            baseline.fit(blank)
    chosen = choose([linear_baselines()[0], MAJORITY], blank, blank, lambda *given: 1.0)
    assert chosen is not None
    assert chosen.name == MAJORITY.name


def test_without_a_validation_split_only_what_learns_nothing_competes() -> None:
    one = Example(source="x")
    trained, plain = fixed("trained", {1: "9"}), fixed("plain", {1: "1"}, trained=False)
    chosen = choose([trained, plain], [one], [], judge)  # type: ignore[arg-type]
    assert chosen is not None
    assert chosen.name == "plain"
    assert choose([trained], [one], [], judge) is None  # type: ignore[arg-type]
