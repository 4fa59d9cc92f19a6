import json
from dataclasses import replace

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.laws.optimum import fit_optimum
from chidu.runs import Run, RunTable


def sweeps(sizes=(1e8, 3e8, 1e9), ratios=(20.0, 100.0), rates=np.geomspace(1e-4, 3e-2, 17)):
    """Bowls around the published optimum: each doubling away from it costs half a percent or so."""
    runs = []
    for params in sizes:
        for ratio in ratios:
            tokens = params * ratio
            best_rate, best_batch = 1.79 * params**-0.713 * tokens**0.307, 0.58 * tokens**0.571
            for rate in rates:
                for batch in np.geomspace(3e4, 4e6, 12):
                    away = np.log2(rate / best_rate) ** 2 + 0.5 * np.log2(batch / best_batch) ** 2
                    loss = (1.7 + 400 / params**0.34 + 2000 / tokens**0.36) * (1 + 0.004 * away)
                    runs.append(
                        Run(params=params, tokens=tokens, learning_rate=rate, batch_tokens=batch, loss=float(loss))
                    )
    return RunTable(tuple(runs))


def test_the_law_of_the_optimum_is_found_again():
    law = fit_optimum(sweeps(), draws=200)
    assert law.cells == 6
    assert law.parameters["rate_params"] == pytest.approx(-0.713, abs=0.06)
    assert law.parameters["rate_tokens"] == pytest.approx(0.307, abs=0.06)
    assert law.parameters["batch_tokens"] == pytest.approx(0.571, abs=0.06)
    rate, interval = law.rate(3e9, 6e10)
    assert rate == pytest.approx(1.79 * 3e9**-0.713 * 6e10**0.307, rel=0.15)
    assert rate in interval
    assert law.batch(6e10)[0] == pytest.approx(0.58 * 6e10**0.571, rel=0.15)
    assert law.warnings == ()
    assert "rate  = " in str(law)
    assert json.loads(json.dumps(law.to_json()))["cells"] == 6


def test_the_same_seed_gives_the_same_law():
    assert np.array_equal(fit_optimum(sweeps(), draws=50).draws, fit_optimum(sweeps(), draws=50).draws)


def test_without_batches_only_the_rate_has_a_law():
    table = sweeps()
    law = fit_optimum(RunTable(tuple(replace(run, batch_tokens=None) for run in table)), draws=50)
    assert set(law.parameters) == {"rate_c", "rate_params", "rate_tokens"}
    with pytest.raises(Refusal, match="do not say their batch"):
        law.batch(1e10)


def test_a_sweep_that_ends_at_its_best_is_told():
    law = fit_optimum(sweeps(rates=np.geomspace(1e-5, 2e-4, 8)), draws=50)
    assert "sweep wider" in " ".join(law.warnings)


def test_tables_that_cannot_say_are_refused():
    table = sweeps()
    with pytest.raises(InputError, match="learning_rate"):
        fit_optimum(RunTable(tuple(replace(run, learning_rate=None) for run in table)))
    with pytest.raises(InputError, match="params and tokens"):
        fit_optimum(RunTable((Run(flops=1e18, loss=3.0, learning_rate=1e-3),)))
    with pytest.raises(Refusal, match="only 2 cells"):
        fit_optimum(sweeps(sizes=(1e8,)))
    with pytest.raises(Refusal, match="all sweeps are of one params"):
        fit_optimum(sweeps(sizes=(1e8,), ratios=(10.0, 20.0, 40.0, 80.0)))
    with pytest.raises(Refusal, match="in line"):
        fit_optimum(sweeps(sizes=(1e8, 2e8, 4e8, 8e8), ratios=(20.0,)))
