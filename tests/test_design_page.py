"""The section of the designs: what was taken is marked, and what came out stands beside what was expected."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from chidu.design_page import DesignStudy, draw_designs, facts, section, spread, study_design
from chidu.forecast.loss import forecast_loss
from chidu.forecast.sparing import Decision, Spared
from chidu.ladder.plan import Offer, Plan, Speed
from chidu.ladder.recipe import Recipe
from chidu.laws.fit import Fit, fit
from chidu.runs import Run, RunTable

OFFERS = (
    Offer("trunk", 15, 1e13, 1e14, 0.035, 0.028, 598.0, 5e13, 0.5),
    Offer("grid", 14, 2e13, 2e14, 0.039, 0.030, 600.0, 5.1e13, 0.22),
    Offer("optimal", 20, 9e12, 9e13, 0.031, 0.033, 590.0, 4.7e13, 0.57),
)
SPARED = (Spared("a", 5e4, 1e6, 3e11, 0.011, 40.0), Spared("b", 5e4, 2e6, 6e11, -0.002, 55.0))
LEFT_OUT = Decision(("c", "d"), 3, SPARED, 0.031, 0.0313, True)


@pytest.fixture
def study() -> DesignStudy:
    return DesignStudy(offers=OFFERS, predicted_seconds=598.0, seconds=571.0, half_width=0.0262, sparing=LEFT_OUT)


@pytest.fixture(scope="module")
def law() -> Fit:
    runs = []
    for flops in (1e18, 3e18, 1e19):
        for ratio in (5.0, 20.0, 80.0):
            params = float(np.sqrt(flops / 6 / ratio))
            loss = 1.8 + 400 / params**0.34 + 2000 / (ratio * params) ** 0.36
            runs.append(Run(params=params, tokens=ratio * params, loss=loss))
    return fit(RunTable(tuple(runs)), draws=50)


def rows(html: str, label: str) -> list[list[str]]:
    """The cells of a table's body."""
    table = html.partition(f'aria-label="{label}"')[2].partition("</table>")[0].partition("<tbody>")[2]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("</tr>")[:-1]]


def test_the_table_has_every_design_and_marks_the_one_taken(study: DesignStudy) -> None:
    made = section(study)
    assert made is not None
    found = rows(made.body, "Designs")
    assert [row[0] for row in found] == ["trunk, taken", "grid", "optimal"]
    assert found[0][1:] == ["15", "1e13", "3.50%", "2.80%", "598 s", "5e13", "50%"]
    assert "expected ±3.50% of the loss, came out ±2.62%" in made.body
    assert "predicted 598 s, took 571 s" in made.body


def test_what_was_left_out_is_listed(study: DesignStudy) -> None:
    made = section(study)
    assert made is not None
    assert rows(made.body, "Left out") == [
        ["50k", "1M", "20", "3e11", "1.10%", "40 s"],
        ["50k", "2M", "40", "6e11", "hardly", "55 s"],
    ]
    said = dict(facts(study))
    assert said["left out"] == "2 runs, 95 s of work; without them the interval is expected to be 0.9% wider"
    none = replace(study, sparing=Decision(("c",), 0, (), None, None, True))
    assert dict(facts(none))["left out"].startswith("no run")
    assert "Left out" not in section(none).body  # type: ignore[union-attr]


def test_the_figure_puts_the_narrowest_on_top_and_shows_what_came_out(study: DesignStudy) -> None:
    common, own, came_out = draw_designs(study).data
    assert list(common.y) == ["optimal", "grid", "<b>trunk, taken</b>"]
    assert list(common.x) == pytest.approx([3.3, 3.0, 2.8])
    assert list(own.x) == pytest.approx([3.1, 3.9, 3.5])
    assert (list(came_out.x), list(came_out.y)) == ([pytest.approx(2.62)], ["<b>trunk, taken</b>"])
    assert len(draw_designs(replace(study, half_width=None)).data) == 2


def test_one_design_alone_is_no_choice(study: DesignStudy) -> None:
    made = section(replace(study, offers=OFFERS[:1], sparing=None, half_width=None, seconds=None))
    assert made is not None
    assert "<figure" not in made.body
    assert "came out" not in made.body
    assert dict(facts(replace(study, offers=OFFERS[:1])))["design"].startswith("trunk, as asked for")


def test_nothing_is_said_of_a_plan_without_designs(study: DesignStudy) -> None:
    bare = replace(study, offers=(), sparing=None)
    assert section(None) is None
    assert section(bare) is None
    assert facts(bare) == []


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_what_came_out_is_the_half_width_of_the_90_percent_interval(law: Fit, level: float) -> None:
    usual = forecast_loss(law, flops=1e20, level=0.9)
    asked = forecast_loss(law, flops=1e20, level=level)
    expected = math.log(usual.interval.upper / usual.interval.lower) / 2
    assert spread(law, asked) == pytest.approx(expected, rel=0.01)
    speed = Speed(0.0, 1e-6, 1e-12, 1.0, 2, "cpu")
    plan = Plan(Recipe(), "abc", 60.0, 50.0, speed, (), 0, offers=OFFERS)
    made = study_design(plan, law, asked, 12.0, None)
    assert made.half_width == pytest.approx(expected, rel=0.01)
    assert (made.taken, made.predicted_seconds, made.seconds) == (OFFERS[0], 50.0, 12.0)
    assert study_design(plan, law, None, None, None).half_width is None


def test_it_is_json(study: DesignStudy) -> None:
    value = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert [offer["taken"] for offer in value["offers"]] == [True, False, False]
    assert value["offers"][1]["half_width"] == 0.039
    assert value["left_out"]["spared"][0]["run"] == "a"
    assert value["half_width"] == 0.0262
