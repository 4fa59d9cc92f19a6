from collections.abc import Callable

import numpy as np
import pytest

from chidu.laws.fit import Fit, fit
from chidu.laws.posterior import Posterior
from chidu.runs import RunTable

E, A, B, ALPHA, BETA = 1.8, 400.0, 2000.0, 0.34, 0.36
"""The made ladder's law."""


def true_loss(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return E + A / np.asarray(params) ** ALPHA + B / np.asarray(tokens) ** BETA


def true_params(flops: float) -> float:
    """Compute-optimal params in closed form (2203.15556, eq. 4)."""
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    return float(g * (flops / 6) ** (BETA / (ALPHA + BETA)))


@pytest.fixture
def known(make_table: Callable[..., RunTable], monkeypatch: pytest.MonkeyPatch) -> Fit:
    """A fit whose drawn laws are all the true one: what is found of it can be told in closed form."""
    law = fit(make_table(), draws=50)
    draws = len(law.posterior.normal)

    def sample(self: Fit, targets: np.ndarray, of: str = "run") -> np.ndarray:
        return np.tile(true_loss(targets[:, 0], targets[:, 1]), (draws, 1))

    monkeypatch.setattr(Fit, "sample", sample)
    monkeypatch.setattr(Posterior, "floor", property(lambda self: np.full(draws, E)))
    monkeypatch.setattr(Posterior, "normal", property(lambda self: np.zeros(draws)))
    return law
