from collections.abc import Callable

import numpy as np
import pytest

from chidu.runs import Run, RunTable

TRUTH = {"E": 1.8, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.36}


@pytest.fixture
def make_table() -> Callable[..., RunTable]:
    """A ladder of isoFLOP rungs whose law is known: loss = E + A / N^alpha + B / D^beta."""

    def make(
        noise: float = 0.0, seed: int = 0, budgets: tuple[float, ...] = (1e18, 3e18, 1e19, 3e19, 1e20)
    ) -> RunTable:
        rng = np.random.default_rng(seed)
        runs = []
        for flops in budgets:
            for ratio in (5.0, 10.0, 20.0, 40.0, 80.0):
                params = float(np.sqrt(flops / (6 * ratio)))
                tokens = flops / (6 * params)
                loss = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]
                loss *= float(np.exp(noise * rng.standard_normal()))
                runs.append(Run(params=params, tokens=tokens, flops=flops, loss=loss))
        return RunTable(tuple(runs))

    return make
