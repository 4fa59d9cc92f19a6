"""Several classifiers together: a product of powers of their probabilities, the powers fitted on the validation split.

This is logistic stacking (Wolpert 1992) of log-probabilities with weights that are not negative: a member that adds
nothing gets none. Shapes: K members, N examples, L labels.
"""

from collections.abc import Sequence

import numpy as np

from chidu.stats import Array
from chidu.tasks.example import Example, Prediction

PENALTY = 1e-4
"""Of the squared weights, against an accidental fit to a small split."""
LEAST = 1e-6
"""Probability below which a member's word is not taken."""


def fit_weights(members: Sequence[Sequence[Prediction]], valid: Sequence[Example]) -> list[float]:
    """The weight of each member, from what it predicts for the validation split.

    Args:
        members: K lists of predictions with probabilities, one an example.
        valid: the examples with their labels.

    Raises:
        ValueError: a member gives no probabilities.
    """
    from scipy.optimize import minimize

    labels = _labels(members)
    logs_KNL = np.array([_logs(member, labels) for member in members])
    right_N = np.array([labels.index(example.targets[0]) if example.targets[0] in labels else -1 for example in valid])
    known = right_N >= 0
    logs_KNL, right_N = logs_KNL[:, known], right_N[known]

    def loss(weights: Array) -> tuple[float, Array]:
        logs = np.einsum("k,knl->nl", weights, logs_KNL)
        logs = logs - logs.max(axis=1, keepdims=True)
        shares = np.exp(logs)
        shares /= shares.sum(axis=1, keepdims=True)
        rows = np.arange(len(right_N))
        slopes = np.einsum("nl,knl->kn", shares, logs_KNL) - logs_KNL[:, rows, right_N]
        value = -np.log(np.maximum(shares[rows, right_N], 1e-300)).mean() + PENALTY * np.sum(weights**2)
        return float(value), slopes.mean(axis=1) + 2 * PENALTY * weights

    start = np.full(len(members), 1 / len(members))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(members))
    return [float(weight) for weight in found.x]


def combine(members: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
    """Predictions of all members together."""
    labels = _labels(members)
    logs = sum(weight * _logs(member, labels) for weight, member in zip(weights, members, strict=True))
    shares = np.exp(logs - np.max(logs, axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return [
        Prediction(text=labels[int(row.argmax())], probabilities=dict(zip(labels, row.tolist(), strict=True)))
        for row in shares
    ]


def _labels(members: Sequence[Sequence[Prediction]]) -> list[str]:
    """The labels that any member knows."""
    found = sorted({label for member in members for label in member[0].probabilities})
    if not found or not all(member[0].probabilities for member in members):
        raise ValueError("every member of an ensemble must give probabilities")
    return found


def _logs(member: Sequence[Prediction], labels: Sequence[str]) -> Array:
    """Log-probabilities, [N, L]."""
    return np.log([[max(LEAST, prediction.probabilities.get(label, 0.0)) for label in labels] for prediction in member])
