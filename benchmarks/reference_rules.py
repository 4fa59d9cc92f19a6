"""Metrics as their references compute them, for `reference_metrics.py`: libraries, and scripts' rules written anew.

No function of chidu's metrics is used here. Each function takes answers and the right answers of each, and gives
figures by the names that chidu gives them.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chidu.tasks.example import is_chinese

References = Sequence[Sequence[str]]
PUNCTUATION = {c for c in map(chr, range(sys.maxunicode)) if unicodedata.category(c)[0] == "P"} | {*string.punctuation}
"""As in MLQA's script (`mlqa_evaluation_v1.py`)."""
CMRC_PUNCTUATION = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』") | {"……"}
"""As in CMRC 2018's script (`cmrc2018_evaluate.py`); the ellipsis of two characters never matches one there either."""


def sacrebleu_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """BLEU and chrF of sacrebleu, the missing references of an example as None."""
    import sacrebleu

    most = max(map(len, references))
    streams: Any = [[options[i] if i < len(options) else None for options in references] for i in range(most)]
    tokenizer = "zh" if is_chinese([options[0] for options in references]) else "13a"
    return {
        "BLEU": sacrebleu.corpus_bleu(list(answers), streams, tokenize=tokenizer).score,
        "chrF": sacrebleu.corpus_chrf(list(answers), streams).score,
    }


def rouge_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """ROUGE of rouge-score, the best reference of each metric taken here."""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
    chinese = is_chinese([options[0] for options in references])
    scorer = RougeScorer(list(kinds.values()), use_stemmer=not chinese)
    read = spell if chinese else str
    sums = dict.fromkeys(kinds, 0.0)
    for answer, options in zip(answers, references, strict=True):
        found = [scorer.score(read(option), read(answer)) for option in options]
        for name, kind in kinds.items():
            sums[name] += max(one[kind].fmeasure for one in found)
    return {name: 100 * value / len(answers) for name, value in sums.items()}


def spell(text: str) -> str:
    """Each character but spaces as a word of Latin letters and digits, which rouge-score's own tokenizer keeps."""
    return " ".join(f"c{ord(c)}" for c in text.lower() if not c.isspace())


def squad_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """SQuAD's script: lower case, no ASCII punctuation, no articles, single spaces; words counted with repeats."""

    def words(text: str) -> list[str]:
        plain = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", plain).split()

    def f1(answer: list[str], right: list[str]) -> float:
        if not answer or not right:
            return float(answer == right)  # of 2.0; 1.1 gives 0
        return _harmonic(sum((Counter(answer) & Counter(right)).values()), len(answer), len(right))

    return _best(answers, references, words, words, f1)


def mlqa_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """MLQA's script for `zh`: no articles, each ideograph from 一 to 龥 a word, the rest split at spaces."""

    def words(text: str) -> list[str]:
        out, rest = [], ""
        for character in "".join(c for c in text.lower() if c not in PUNCTUATION):
            if "\u4e00" <= character <= "\u9fa5":
                out += [*rest.split(), character]
                rest = ""
            else:
                rest += character
        return [*out, *rest.split()]

    def f1(answer: list[str], right: list[str]) -> float:
        return _harmonic(sum((Counter(answer) & Counter(right)).values()), len(answer), len(right))

    return _best(answers, references, words, words, f1)


def cmrc_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """CMRC 2018's script: F1 of the longest common substring of words; what is not Chinese split at spaces.

    The script takes nltk's words there; exact match compares texts without its punctuation.
    """

    def plain(text: str) -> str:
        return "".join(c for c in text.lower().strip() if c not in CMRC_PUNCTUATION)

    def words(text: str) -> list[str]:
        return re.sub(r"([\u4e00-\u9fa5])", r" \1 ", plain(text)).split()

    def f1(answer: list[str], right: list[str]) -> float:
        longest, row = 0, [0] * (len(right) + 1)
        for word in answer:
            row = [0, *(row[j] + 1 if word == other else 0 for j, other in enumerate(right))]
            longest = max(longest, *row)
        return _harmonic(longest, len(answer), len(right))

    return _best(answers, references, words, plain, f1)


def class_figures(answers: Sequence[str], references: References) -> dict[str, float]:
    """Accuracy and macro-F1 of scikit-learn."""
    from sklearn.metrics import accuracy_score, f1_score

    right = [options[0] for options in references]
    return {
        "accuracy": float(accuracy_score(right, answers)),
        "macro-F1": float(f1_score(right, answers, average="macro")),
    }


def _best(
    answers: Sequence[str],
    references: References,
    words: Callable[[str], list[str]],
    same: Callable[[str], object],
    f1: Callable[[list[str], list[str]], float],
) -> dict[str, float]:
    """Means of the best F1 and of the best exact match, in per cent; of an answer, what stands after its last ####."""
    shared, hits = 0.0, 0
    for answer, options in zip(answers, references, strict=True):
        said = answer.split("####")[-1].strip()
        rights = [option.split("####")[-1].strip() for option in options]
        shared += max(f1(words(said), words(right)) for right in rights)
        hits += any(same(said) == same(right) for right in rights)
    return {"F1": 100 * shared / len(answers), "exact match": 100 * hits / len(answers)}


def _harmonic(shared: int, answer: int, right: int) -> float:
    """F1 of the shared words."""
    if not shared:
        return 0.0
    precision, recall = shared / answer, shared / right
    return 2 * precision * recall / (precision + recall)
