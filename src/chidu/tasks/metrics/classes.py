"""Classes: accuracy, macro-F1 and the calibration error (Naeini et al. 2015; 1706.04599, eq. 3).

Shapes: N examples, L labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from chidu.stats import Array
from chidu.tasks.measure import Tally, mean_of
from chidu.tasks.score import Metric

BINS = 15
"""Of equal width, in which confidence is compared with accuracy, as in 1706.04599."""


def accuracy(answers: Sequence[str], labels: Sequence[str]) -> Metric:
    """Share of right labels, 0 to 1."""
    return Metric("accuracy", mean_of(_equal(answers, labels)), best=1.0)


def macro_f1(answers: Sequence[str], labels: Sequence[str]) -> Metric:
    """Mean of the labels' F1, 0 to 1; a label that is neither right nor answered in a sample is left out of it."""
    names = sorted({*labels, *answers})
    index = {name: i for i, name in enumerate(names)}
    right, answered = (np.eye(len(names))[[index[name] for name in column]] for column in (labels, answers))
    rows = np.column_stack([right * answered, right + answered])

    def of_sums(sums: Array) -> float:
        hits, both = np.split(sums, 2)
        return float(np.mean(2 * hits[both > 0] / both[both > 0]))

    return Metric("macro-F1", Tally(rows, of_sums), f"labels:{len(names)}", best=1.0)


def calibration_error(probabilities: Sequence[Mapping[str, float]], labels: Sequence[str]) -> Metric:
    """Expected calibration error, 0 to 1: how far confidence is from accuracy, averaged over bins of confidence."""
    answers = [max(row, key=lambda label: row[label]) for row in probabilities]
    confidence = np.array([row[answer] for row, answer in zip(probabilities, answers, strict=True)])
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.eye(BINS)[bins] * (_equal(answers, labels) - confidence)[:, None]
    rows = np.column_stack([gaps, np.ones(len(labels))])
    return Metric(
        "calibration error", Tally(rows, lambda sums: np.abs(sums[:-1]).sum() / sums[-1]), f"bins:{BINS}", True
    )


def _equal(answers: Sequence[str], labels: Sequence[str]) -> Array:
    return np.array([float(answer == label) for answer, label in zip(answers, labels, strict=True)])
