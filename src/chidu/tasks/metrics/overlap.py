"""Translation: BLEU (Papineni et al. 2002) and chrF (Popović 2015), both computed by sacrebleu (1804.08771)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chidu.stats import Array
from chidu.tasks.example import is_chinese
from chidu.tasks.measure import Tally
from chidu.tasks.metrics.libraries import load
from chidu.tasks.score import Metric

References = Sequence[Sequence[str]]
"""Right answers of each example, one or more: [N][references]."""


def bleu(answers: Sequence[str], references: References, tokenizer: str | None = None) -> Metric:
    """Corpus BLEU, 0 to 100. The tokenizer is sacrebleu's `13a`, or `zh` where the references are Chinese."""
    tokenizer = tokenizer or ("zh" if is_chinese([first for first, *_ in references]) else "13a")
    return _metric("BLEU", load("sacrebleu.metrics").BLEU(tokenize=tokenizer), answers, references)


def chrf(answers: Sequence[str], references: References) -> Metric:
    """Corpus chrF2, 0 to 100: character 1- to 6-grams, recall weighted twice."""
    return _metric("chrF", load("sacrebleu.metrics").CHRF(), answers, references)


def _metric(name: str, scorer: Any, answers: Sequence[str], references: References) -> Metric:
    """Sums over examples, resampled here: sacrebleu's own bootstrap gives no draws to pair with a baseline's.

    The two functions of sacrebleu that hold sums are not public ones; a test compares the value with `corpus_score`.
    """
    most = max(len(options) for options in references)
    streams = [[options[i] if i < len(options) else None for options in references] for i in range(most)]
    rows = np.array(scorer._extract_corpus_statistics(list(answers), streams), dtype=float)

    def of_sums(sums: Array) -> float:
        return float(scorer._compute_score_from_stats([int(value) for value in np.rint(sums)]).score)

    return Metric(name, Tally(rows, of_sums), str(scorer.get_signature()), best=100.0)
