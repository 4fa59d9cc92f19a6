"""Summaries: ROUGE-1, -2 and -L (Lin 2004) as F1 in per cent, computed by rouge-score, Chinese by character.

Of several references the best one counts, each metric by itself, as SciTLDR is scored (2004.15011, section 4).
"""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from chidu.tasks.example import is_chinese
from chidu.tasks.measure import mean_of
from chidu.tasks.metrics.libraries import load
from chidu.tasks.metrics.overlap import References
from chidu.tasks.score import Metric

KINDS = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}


class Characters:
    """The tokenizer for rouge-score that takes every character for a word; its own drops all but Latin letters."""

    def tokenize(self, text: str) -> list[str]:
        """Split into characters, lower case, without spaces."""
        return [character for character in text.lower() if not character.isspace()]


def rouge(answers: Sequence[str], references: References, by_character: bool | None = None) -> list[Metric]:
    """The three metrics; `by_character` is found out from the references where it is None. Words are stemmed."""
    if by_character is None:
        by_character = is_chinese([first for first, *_ in references])
    rows = np.array(rouge_rows(answers, references, by_character))
    unit = "characters" if by_character else "words,stemmed"
    settings = f"unit:{unit}|references:best|rouge-score:{version('rouge-score')}"
    return [
        Metric(name, mean_of(100 * column), settings, best=100.0) for name, column in zip(KINDS, rows.T, strict=True)
    ]


def rouge_rows(answers: Sequence[str], references: References, by_character: bool) -> list[tuple[float, float, float]]:
    """F1 of each kind for each example, [N][3], 0 to 1."""
    module = load("rouge_score.rouge_scorer")
    tokenizer = Characters() if by_character else None
    scorer = module.RougeScorer(list(KINDS.values()), use_stemmer=not by_character, tokenizer=tokenizer)
    rows = []
    for answer, options in zip(answers, references, strict=True):
        best = scorer.score_multi(list(options), answer)
        one, two, longest = (float(best[kind].fmeasure) for kind in KINDS.values())
        rows.append((one, two, longest))
    return rows
