import json
from itertools import pairwise

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.data_limit import data_limited, effective_params, effective_tokens
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable

E, A, B, ALPHA, BETA = 1.8, 400.0, 2000.0, 0.34, 0.36
R_D, R_N = 15.3878, 5.3097


def best_of_a_grid(flops, unique):
    """The published law by a fine grid, with N*(U) of the true law in closed form."""
    params = np.geomspace(1e6, 1e12, 400_001)
    tokens = flops / (6 * params)
    fresh = np.minimum(tokens, unique)
    fed = (ALPHA * A / (BETA * B)) ** (1 / ALPHA) * fresh ** (BETA / ALPHA)
    used = np.minimum(params, fed)
    n = used + used * R_N * (1 - np.exp(-(params / used - 1) / R_N))
    d = fresh + fresh * R_D * (1 - np.exp(-(tokens / fresh - 1) / R_D))
    loss = E + A / n**ALPHA + B / d**BETA
    i = loss.argmin()
    return params[i], loss[i]


@pytest.mark.parametrize("unique", [2e8, 2e9, 2e10])
def test_the_best_split_is_the_one_of_a_grid(known, unique):
    made = data_limited(known, flops=1e21, unique_tokens=unique)
    params, loss = best_of_a_grid(1e21, unique)
    assert made.params == pytest.approx(params, rel=0.02)
    assert made.loss == pytest.approx(loss, rel=1e-4)
    assert made.epochs > 1
    assert 6 * made.params * made.tokens == pytest.approx(1e21)


def test_with_enough_text_it_is_the_compute_optimal_split(make_table):
    law = fit(make_table(noise=0.002), draws=200)
    plain = compute_optimal(law, flops=1e21)
    for unique in (plain.tokens, 1e30):
        made = data_limited(law, flops=1e21, unique_tokens=unique)
        assert (made.params, made.loss, made.near) == (plain.params, plain.loss, plain.near)
        assert made.tokens == pytest.approx(plain.tokens)
        assert made.params_interval == plain.params_interval
        assert made.epochs <= 1
        assert "suffices" in str(made)


def test_the_answer_passes_smoothly_into_the_unlimited_one(known):
    plain = compute_optimal(known, flops=1e21)
    made = data_limited(known, flops=1e21, unique_tokens=0.999 * plain.tokens)
    assert made.loss == pytest.approx(plain.loss, rel=1e-5)
    assert made.params == pytest.approx(plain.params, rel=0.1)


def test_less_text_is_worse_and_read_more_often(make_table):
    law = fit(make_table(noise=0.002), draws=100)
    made = [data_limited(law, flops=1e21, unique_tokens=unique) for unique in (1e30, 3e10, 1e10, 3e9, 1e9, 1e8)]
    assert all(b.loss > a.loss for a, b in pairwise(made))
    assert all(b.epochs > a.epochs for a, b in pairwise(made))
    assert all(each.loss >= made[0].loss for each in made)
    assert "nearly" not in str(made[-1])
    assert "hardly anything" in " ".join(made[-1].warnings)


def test_constants_of_repetition_may_be_given(known):
    kind, harsh = (data_limited(known, flops=1e21, unique_tokens=2e9, repeat_tokens=r) for r in (1e6, 2.0))
    assert kind.loss < data_limited(known, flops=1e21, unique_tokens=2e9).loss < harsh.loss
    assert "as given" in str(harsh)


def test_a_law_of_repetition_brings_its_own():
    """Runs of the published law over 3 sizes and up to 60 passes: the fitted constants, and the split they give."""
    runs = []
    for params in np.geomspace(3e7, 3e9, 5):
        for unique in (1e9, 4e9, 1.6e10):
            for passes in (1.0, 4.0, 15.0, 60.0):
                d = unique * (1 + R_D * (1 - np.exp(-(passes - 1) / R_D)))
                fed = min(params, unique * (521 / 1488) ** (1 / 0.353))
                n = fed * (1 + R_N * (1 - np.exp(-(params / fed - 1) / R_N)))
                loss = float(1.869 + 521 / n**0.353 + 1488 / d**0.353)
                tokens = passes * unique
                runs.append(
                    Run(params=params, tokens=tokens, unique_tokens=unique, flops=6 * params * tokens, loss=loss)
                )
    law = fit(RunTable(tuple(runs)), form="repetition", draws=200)
    made = data_limited(law, flops=1e22, unique_tokens=1e10)
    assert made.basis == "fitted to these runs"
    assert made.repeat_tokens == pytest.approx(R_D, rel=0.1)
    given = data_limited(law, flops=1e22, unique_tokens=1e10, repeat_tokens=R_D, repeat_params=R_N)
    assert made.params == pytest.approx(given.params, rel=0.3)
    assert made.loss == pytest.approx(given.loss, rel=0.02)
    assert made.epochs > 1


def test_worth_of_repeats():
    unique = np.full(3, 1e9)
    tokens = np.array([1e9, 4e9, 1e15])
    worth = effective_tokens(tokens, unique)
    assert worth[0] == 1e9
    assert 0.9 * 4e9 < worth[1] < 4e9
    assert worth[2] == pytest.approx((1 + R_D) * 1e9)
    assert effective_params(np.array([5e8, 1e9, 1e15]), unique).tolist() == pytest.approx([5e8, 1e9, (1 + R_N) * 1e9])


@pytest.mark.parametrize("name", ["flops", "unique_tokens", "repeat_tokens", "repeat_params"])
def test_numbers_are_checked(known, name):
    with pytest.raises(InputError, match="positive"):
        data_limited(known, **{"flops": 1e21, "unique_tokens": 1e9, name: 0.0})


def test_runs_that_cannot_split_are_refused(make_table):
    with pytest.raises(Refusal, match="compute alone"):
        data_limited(fit(make_table(), form="frontier", draws=50), flops=1e21, unique_tokens=1e9)


def test_it_prints_itself_and_knows_its_json(known):
    made = data_limited(known, flops=1e21, unique_tokens=1e10)
    assert "as published" in str(made)
    assert "its lack costs" in str(made)
    assert json.loads(json.dumps(made.to_json(), allow_nan=False))["epochs"] == pytest.approx(made.epochs)
