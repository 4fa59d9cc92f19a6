import json

import pytest

from chidu.errors import Refusal
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.approaches import compare_approaches
from chidu.forecast.cost import price
from chidu.forecast.data_limit import data_limited
from chidu.forecast.serving import serving_optimal
from chidu.forecast.split import split_budget
from chidu.laws.fit import fit


@pytest.fixture
def law(make_table):
    return fit(make_table(noise=0.002), draws=100)


def test_it_is_the_answers_side_by_side(law):
    made = split_budget(law, flops=1e21, serve_tokens=1e12, unique_tokens=1e10, minimise="dollars", hardware="a100")
    plain = compute_optimal(law, flops=1e21)
    assert made.optimal.to_json() == plain.to_json()
    assert made.approaches == compare_approaches(law, flops=1e21)
    assert made.served == serving_optimal(law, serve_tokens=1e12, loss=plain.loss, minimise="dollars", hardware="a100")
    assert made.limited == data_limited(law, flops=1e21, unique_tokens=1e10)
    assert made.cost == price(1e21, hardware="a100")


def test_what_is_not_asked_is_not_answered(law):
    made = split_budget(law, flops=1e21)
    assert (made.served, made.limited) == (None, None)
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert (value["served"], value["limited"]) == (None, None)
    assert "compute-optimal" in str(made)
    assert "3 parametric law" in str(made)


def test_what_cannot_be_split_is_refused(make_table):
    with pytest.raises(Refusal, match="compute alone"):
        split_budget(fit(make_table(), form="frontier", draws=50), flops=1e21)
