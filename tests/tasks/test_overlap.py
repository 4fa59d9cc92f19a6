"""BLEU, chrF and ROUGE equal their reference libraries, whatever was answered."""

import random
from collections.abc import Sequence

import pytest
from shared_files import records

from chidu.tasks.metrics.overlap import bleu, chrf
from chidu.tasks.metrics.rouge import rouge

sacrebleu = pytest.importorskip("sacrebleu")
scorers = pytest.importorskip("rouge_score.rouge_scorer")

GERMAN = [
    ["Ein Mann schläft im Park.", "Ein Mann schläft in einem Park."],
    ["Zwei Hunde spielen, und ein dritter sieht zu.", "Zwei Hunde spielen; der dritte schaut zu."],
    ["Das ist alles!", "Mehr ist es nicht."],
]
ANSWERS = ["Ein Mann schlaeft im Park.", "Zwei Hunde spielen und sehen zu.", ""]


def spoil(text: str, rng: random.Random) -> str:
    """A worse version of a text: words dropped and swapped."""
    words = [word for word in text.split() if rng.random() > 0.2]
    if len(words) > 3:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def streams(references: Sequence[Sequence[str]]) -> list[list[str]]:
    """References as sacrebleu takes them: one list a reference."""
    return [list(column) for column in zip(*references, strict=True)]


def test_bleu_and_chrf_are_sacrebleus() -> None:
    assert bleu(ANSWERS, GERMAN).measure.value() == pytest.approx(
        sacrebleu.corpus_bleu(ANSWERS, streams(GERMAN)).score, abs=1e-6
    )
    assert chrf(ANSWERS, GERMAN).measure.value() == pytest.approx(
        sacrebleu.corpus_chrf(ANSWERS, streams(GERMAN)).score, abs=1e-6
    )


def test_the_signature_is_sacrebleus() -> None:
    metric = sacrebleu.metrics.BLEU(tokenize="13a")
    metric.corpus_score(ANSWERS, streams(GERMAN))
    assert bleu(ANSWERS, GERMAN).settings == str(metric.get_signature())
    assert "nrefs:2|" in bleu(ANSWERS, GERMAN).settings


def test_references_may_differ_in_number() -> None:
    uneven = [GERMAN[0], GERMAN[1][:1], GERMAN[2]]
    padded: list[list[str | None]] = [[r[0] for r in uneven], [uneven[0][1], None, uneven[2][1]]]
    assert bleu(ANSWERS, uneven).measure.value() == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, padded).score)


def test_chinese_takes_the_tokenizer_of_its_own() -> None:
    references = [["我们在学习机器翻译。"], ["今天天气很好。"]]
    answers = ["我们学习机器翻译。", "今天天气不好。"]
    found = bleu(answers, references)
    assert "tok:zh" in found.settings
    assert found.measure.value() == pytest.approx(
        sacrebleu.corpus_bleu(answers, streams(references), tokenize="zh").score, abs=1e-6
    )
    assert found.measure.value() > 10


@pytest.mark.parametrize(("name", "field", "tokenizer"), [("multi30k", "de", "13a"), ("tatoeba_enzh", "zh", "zh")])
def test_on_the_test_files(name: str, field: str, tokenizer: str) -> None:
    rng = random.Random(0)
    targets = [str(record[field]) for record in records(f"{name}.test.jsonl.gz", 150)]
    answers = [spoil(text, rng) if field == "de" else text[: rng.randrange(2, 20)] for text in targets]
    references = [[text] for text in targets]
    ours, theirs = bleu(answers, references), sacrebleu.corpus_bleu(answers, [targets], tokenize=tokenizer)
    assert f"tok:{tokenizer}" in ours.settings
    assert ours.measure.value() == pytest.approx(theirs.score, abs=1e-6)
    assert chrf(answers, references).measure.value() == pytest.approx(
        sacrebleu.corpus_chrf(answers, [targets]).score, abs=1e-6
    )


def test_rouge_is_rouge_scores() -> None:
    answers = ["The cats were sleeping on a mat", "Nothing"]
    references = [["A cat sleeps on the mat", "cats sleep"], ["Something else"]]
    scorer = scorers.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for metric, kind in zip(rouge(answers, references), ("rouge1", "rouge2", "rougeL"), strict=True):
        right = [scorer.score_multi(r, a)[kind].fmeasure for a, r in zip(answers, references, strict=True)]
        assert metric.measure.value() == pytest.approx(100 * sum(right) / 2, abs=1e-6)
        assert "unit:words" in metric.settings


def longest_common(a: str, b: str) -> int:
    """Length of the longest common subsequence, by the textbook's table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_chinese_rouge_counts_characters() -> None:
    answer, reference = "苦瓜皂甙提取工艺", "苦瓜皂甙快速分离纯化方法研究"
    one, two, longest = rouge([answer], [[reference]])
    shared = longest_common(answer, reference)
    assert longest.measure.value() == pytest.approx(200 * shared / (len(answer) + len(reference)), abs=1e-6)
    assert one.measure.value() == pytest.approx(200 * 4 / (8 + 14), abs=1e-6)
    assert two.measure.value() == pytest.approx(200 * 3 / (7 + 13), abs=1e-6)
    assert rouge([reference], [[reference]])[2].measure.value() == pytest.approx(100)
    assert "unit:characters" in one.settings


def test_rouge_on_the_test_file() -> None:
    found = records("scitldr.test.jsonl.gz", 60)
    answers, references = [record["title"] for record in found], [record["summaries"] for record in found]
    scorer = scorers.RougeScorer(["rougeL"], use_stemmer=True)
    right = [scorer.score_multi(r, a)["rougeL"].fmeasure for a, r in zip(answers, references, strict=True)]
    assert rouge(answers, references)[2].measure.value() == pytest.approx(100 * sum(right) / 60, abs=1e-6)
