import json

import pytest

from chidu.errors import InputError
from chidu.forecast.cost import price, price_seconds, read_hardware


def test_every_device_has_its_figures_and_a_source():
    table = read_hardware()
    assert {"h100", "a100", "cpu-core"} <= set(table["hardware"])
    for device in table["hardware"].values():
        assert device["dtype"] in device["peak_flops"]
        assert 0 < device["utilisation"] <= 1
        assert all(isinstance(value, float) for value in device["peak_flops"].values())
        assert device["source"]


def test_a_price_follows_from_its_assumptions():
    made = price(989.4e12 * 0.5 * 3600, hardware="h100", utilisation=0.5)
    assert made.hours == pytest.approx(1.0)
    assert made.dollars == pytest.approx(3.0)
    assert made.kwh == pytest.approx(0.7 * 1.56)
    assert made.co2e_kg == pytest.approx(0.7 * 1.56 * 0.48)
    assert "estimated" in made.assumptions[0]
    assert "TDP 700 W x time x PUE 1.56 x 480 g/kWh" in made.assumptions[2]


def test_measured_time_is_priced_as_measured():
    made = price_seconds(1800, "cpu-core", devices=2)
    assert made.hours == pytest.approx(1.0)
    assert "measured" in made.assumptions[0]


def test_twice_the_flops_cost_twice():
    assert price(2e20).dollars == pytest.approx(2 * price(1e20).dollars)
    assert price(0).dollars == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"hardware": "abacus"}, "no hardware 'abacus'"),
        ({"dtype": "int1"}, "no peak for int1"),
        ({"utilisation": 0}, "utilisation"),
        ({"utilisation": 1.2}, "utilisation"),
    ],
)
def test_wrong_assumptions_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        price(1e20, **wrong)


def test_wrong_amounts_are_named():
    with pytest.raises(InputError, match="0 or more"):
        price(float("nan"))
    with pytest.raises(InputError, match="no measurement"):
        price_seconds(-1)


@pytest.mark.parametrize("text", ["a: [", "[1, 2]", "grid: {}\nhardware: {mine: {name: x}}\n"])
def test_a_bad_table_is_named(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        price(1e20, table=path)
    with pytest.raises(InputError, match="cannot be read"):
        price(1e20, table=tmp_path / "none.yaml")


def test_a_cost_prints_itself_and_knows_its_json():
    made = price(1e21)
    assert "kg CO2e" in str(made)
    assert json.loads(json.dumps(made.to_json()))["hours"] == made.hours
