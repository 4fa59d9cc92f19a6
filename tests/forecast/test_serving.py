import json
from itertools import pairwise

import numpy as np
import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.ownership import own
from chidu.forecast.serving import serving_optimal
from chidu.laws.fit import fit

E, A, B, ALPHA, BETA = 1.8, 400.0, 2000.0, 0.34, 0.36


def cheapest(loss, serve_tokens, weight=1.0):
    """Params, tokens and total of the true law by a fine grid: for each N the D that reaches the loss, then the sum."""
    params = np.geomspace(1e6, 1e13, 400_001)
    left = loss - E - A / params**ALPHA
    params, left = params[left > 0], left[left > 0]
    tokens = (B / left) ** (1 / BETA)
    total = 6 * params * tokens + 2 * weight * params * serve_tokens
    i = total.argmin()
    return params[i], tokens[i], total[i]


@pytest.mark.parametrize("served", [1e10, 1e12, 1e14])
def test_the_cheapest_model_of_a_loss_is_the_one_of_a_grid(known, served):
    made = serving_optimal(known, serve_tokens=served, loss=2.2)
    params, tokens, total = cheapest(2.2, served)
    assert made.params == pytest.approx(params, rel=0.01)
    assert made.tokens == pytest.approx(tokens, rel=0.01)
    assert made.total == pytest.approx(total, rel=1e-4)
    assert made.loss == pytest.approx(2.2, rel=1e-5)
    plain = cheapest(2.2, 0.0)
    assert made.compute_optimal == (pytest.approx(plain[0], rel=0.01), pytest.approx(plain[1], rel=0.01))
    assert made.compute_optimal_total == pytest.approx(plain[2] + 2 * plain[0] * served, rel=0.01)
    assert made.total < made.compute_optimal_total


def test_in_dollars_serving_weighs_what_its_utilisation_says(known):
    made = serving_optimal(known, serve_tokens=1e12, loss=2.2, minimise="dollars", serve_utilisation=0.05)
    params, tokens, _ = cheapest(2.2, 1e12, weight=0.40 / 0.05)
    assert made.params == pytest.approx(params, rel=0.01)
    assert made.tokens == pytest.approx(tokens, rel=0.01)
    assert made.total == pytest.approx(made.ownership.dollars, rel=1e-4)
    assert made.params < serving_optimal(known, serve_tokens=1e12, loss=2.2).params


def test_a_total_and_the_loss_that_it_reaches_are_duals(known):
    bought = serving_optimal(known, serve_tokens=1e12, flops=5e21)
    assert bought.train_flops + bought.serve_flops == pytest.approx(5e21)
    assert serving_optimal(known, serve_tokens=1e12, loss=bought.loss).total == pytest.approx(5e21, rel=1e-4)
    paid = serving_optimal(known, serve_tokens=1e12, dollars=20_000)
    assert paid.ownership.dollars == pytest.approx(20_000)
    assert serving_optimal(known, serve_tokens=1e12, loss=paid.loss, minimise="dollars").total == pytest.approx(
        20_000, rel=1e-4
    )


def test_with_nothing_served_it_is_the_compute_optimal_split(make_table):
    law = fit(make_table(noise=0.002), draws=200)
    plain = compute_optimal(law, flops=1e21)
    made = serving_optimal(law, serve_tokens=0, flops=1e21)
    assert made.params == pytest.approx(plain.params, rel=1e-9)
    assert made.tokens == pytest.approx(plain.tokens, rel=1e-9)
    assert made.loss == pytest.approx(plain.loss, rel=1e-12)
    assert made.params_interval.lower == pytest.approx(plain.params_interval.lower, rel=1e-6)
    assert made.near[0.01] == (pytest.approx(plain.near[0.01][0]), pytest.approx(plain.near[0.01][1]))
    assert made.saved == 0
    assert serving_optimal(law, serve_tokens=0, loss=plain.loss).total == pytest.approx(1e21, rel=1e-3)


def test_the_more_is_served_the_smaller_the_model_and_the_larger_the_saving(make_table):
    law = fit(make_table(noise=0.002), draws=100)
    made = [serving_optimal(law, serve_tokens=served, loss=2.3) for served in (0.0, 1e10, 1e11, 1e12, 1e13)]
    assert all(b.params < a.params for a, b in pairwise(made))
    assert all(b.tokens > a.tokens for a, b in pairwise(made))
    assert all(b.saved > a.saved for a, b in pairwise(made[1:]))
    assert "outside" in " ".join(made[-1].warnings)


def test_a_loss_at_the_floor_is_refused(known):
    with pytest.raises(Refusal, match="the law's floor"):
        serving_optimal(known, serve_tokens=1e12, loss=1.8)
    with pytest.raises(InputError, match="above that of any run"):
        serving_optimal(known, serve_tokens=1e12, loss=1e6)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ({}, "one goal"),
        ({"loss": 2.2, "flops": 1e21}, "one goal"),
        ({"loss": -2.2}, "loss must be a positive"),
        ({"flops": float("nan")}, "flops must be a positive"),
        ({"loss": 2.2, "minimise": "time"}, "flops or dollars"),
        ({"loss": 2.2, "hardware": "abacus"}, "no hardware"),
        ({"loss": 2.2, "serve_utilisation": 0.0}, "utilisation"),
    ],
)
def test_goals_are_checked(known, goal, words):
    with pytest.raises(InputError, match=words):
        serving_optimal(known, serve_tokens=1e12, **goal)


def test_served_tokens_are_checked(known):
    with pytest.raises(InputError, match="0 or more"):
        serving_optimal(known, serve_tokens=-1, loss=2.2)


def test_runs_that_cannot_split_are_refused(make_table):
    with pytest.raises(Refusal, match="compute alone"):
        serving_optimal(fit(make_table(), form="frontier", draws=50), serve_tokens=1e12, flops=1e21)


def test_it_prints_itself_and_knows_its_json(known):
    made = serving_optimal(known, serve_tokens=1e12, loss=2.2)
    assert "saved" in str(made)
    assert "an assumption" in str(made)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert value["ownership"]["dollars"] == own(made.params, made.tokens, 1e12).dollars
    assert value["train_flops"] + value["serve_flops"] == pytest.approx(value["total"])
