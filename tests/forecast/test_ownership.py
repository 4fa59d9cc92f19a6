import json

import pytest

from chidu.errors import InputError
from chidu.forecast.cost import price
from chidu.forecast.ownership import own


def test_it_is_training_and_serving_each_at_its_own_utilisation():
    made = own(1e9, 2e10, 1e12, hardware="a100", serve_utilisation=0.2)
    assert made.training == price(6 * 1e9 * 2e10, hardware="a100")
    assert made.serving == price(2 * 1e9 * 1e12, hardware="a100", utilisation=0.2)
    assert made.dollars == made.training.dollars + made.serving.dollars
    assert made.kwh == made.training.kwh + made.serving.kwh
    assert made.co2e_kg == made.training.co2e_kg + made.serving.co2e_kg
    assert made.dollars_per_million == pytest.approx(made.dollars / 1e6)


def test_serving_at_half_the_utilisation_costs_twice():
    dear, cheap = (own(1e9, 2e10, 1e12, serve_utilisation=part) for part in (0.1, 0.2))
    assert dear.serving.dollars == pytest.approx(2 * cheap.serving.dollars)
    assert dear.training == cheap.training


def test_a_model_that_serves_nothing_costs_its_training():
    made = own(1e9, 2e10, 0)
    assert made.dollars == made.training.dollars > 0
    assert made.dollars_per_million is None
    assert json.loads(json.dumps(made.to_json(), allow_nan=False))["dollars_per_million"] is None


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0, 1e9, 1e9), "params and tokens"),
        ((1e9, float("inf"), 1e9), "params and tokens"),
        ((1e9, 1e9, -1), "served tokens"),
        ((1e9, 1e9, float("nan")), "served tokens"),
    ],
)
def test_numbers_are_checked(numbers, words):
    with pytest.raises(InputError, match=words):
        own(*numbers)


def test_it_says_what_is_assumed():
    assert "that utilisation is an assumption" in str(own(1e9, 2e10, 1e12))
