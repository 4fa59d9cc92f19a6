"""Designs are offered with their price and worth, and each keeps its promises."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.designs import KINDS, PART, parse_target, plan_ladder
from chidu.errors import InputError
from chidu.forecast.optimal_design import SPREAD
from chidu.ladder.design import Corpus, Design, design
from chidu.ladder.gates import gate_rungs
from chidu.ladder.plan import Plan, Speed

SPEED = Speed(per_step=0.001, per_token=1e-6, per_flop=2e-11, overhead=1.5, workers=2, device="cpu")
CORPUS = Corpus("0123456789ab", vocab_size=1024, train_tokens=50_000_000, evaluation_tokens=200_000)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_ladder(600, CORPUS, SPEED)


def ratios(plan: Plan) -> list[float]:
    return [rung.tokens / rung.params for rung in plan.law_runs]


def test_the_narrowest_design_is_taken(plan: Plan):
    assert {offer.design for offer in plan.offers} == {"isoflop", "grid", "trunk", "optimal"}
    taken, *others = plan.offers
    assert taken.design == plan.design
    assert all(taken.common_half_width <= 1.01 * other.common_half_width for other in others)
    assert (plan.asked, plan.target) == ("auto", "10x")


def test_an_offer_is_the_plan_s(plan: Plan):
    offer = plan.offers[0]
    assert offer.runs == len(plan.rungs)
    assert offer.target_flops == 10 * plan.largest_flops == 10 * offer.largest_flops
    assert (offer.seconds, offer.flops) == (plan.seconds, plan.flops)
    assert 0.01 < offer.half_width < 0.06
    assert 0 < offer.share < 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "auto"])
def test_every_design_by_name(kind: str):
    made = plan_ladder(600, CORPUS, SPEED, kind=kind)
    assert [offer.design for offer in made.offers] == [made.design] == [kind]
    assert made.seconds <= 600
    assert max(ratios(made)) >= SPREAD * min(ratios(made))
    roles = Counter(rung.role for rung in made.rungs)
    assert roles["probe"] == 4
    assert roles["replicate"] >= 2
    probes = [rung for rung in gate_rungs(made) if rung.role == "probe"]
    assert len({rung.config.model.d_model for rung in probes}) == 2
    assert len({rung.config.id for rung in made.rungs}) == len(made.rungs)


def test_optimal_costs_half_of_its_target_and_beats_the_isoflop():
    """At ten times the largest rung, and for one target in FLOPs."""
    found = plan_ladder(1200, CORPUS, SPEED, kind="optimal").offers[0]
    assert found.share == pytest.approx(0.1 / PART, rel=0.3)
    wanted = f"{found.target_flops:.4g}"
    best, usual = (
        plan_ladder(1200, CORPUS, SPEED, kind=kind, target=wanted).offers[0] for kind in ("optimal", "isoflop")
    )
    assert best.target_flops == usual.target_flops == float(wanted)
    assert best.half_width < 0.95 * usual.half_width


def test_a_quieter_ladder_is_expected_to_be_narrower():
    loud, quiet = (plan_ladder(600, CORPUS, SPEED, kind="optimal", noise=noise).offers[0] for noise in (0.004, 0.0015))
    assert quiet.half_width < 0.9 * loud.half_width


@given(
    budget=st.floats(20, 1e5),
    workers=st.integers(1, 8),
    vocab=st.sampled_from([257, 8192]),
    tokens=st.integers(10**6, 10**9),
    target=st.sampled_from(["10x", "30x", "1e14", "1e16"]),
)
@settings(max_examples=6, deadline=None)
def test_any_optimal_design_keeps_its_promises_or_says_why_not(budget, workers, vocab, tokens, target):
    corpus = Corpus("x", vocab, tokens, 100_000)
    made, refused = None, ""
    try:
        made = plan_ladder(budget, corpus, replace(SPEED, workers=workers), kind="optimal", target=target)
    except InputError as why:
        refused = str(why)
    if made is None:
        assert any(words in refused for words in ("too small", "the corpus is smaller", "no optimal design"))
        return
    assert made.seconds <= budget
    assert max(rung.tokens for rung in made.rungs) <= tokens
    assert max(ratios(made)) >= 0.99 * SPREAD * min(ratios(made))
    if not target.endswith("x"):
        assert 1.9 * made.largest_flops <= float(target)


def test_json_and_table(plan: Plan, tmp_path: Path):
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    thinned = replace(plan, spare=0.03)
    thinned.save(tmp_path / "thinned.json")
    assert Plan.load(tmp_path / "thinned.json") == thinned
    assert "at most 3.0% wider" in str(thinned)
    assert "wider" not in str(plan)
    offers = json.loads((tmp_path / "plan.json").read_text())["offers"]
    assert {"half_width", "seconds", "flops", "share", "target_flops"} <= offers[0].keys()
    text = str(plan)
    for offer in plan.offers:
        assert f"±{offer.half_width:.1%}" in text
    assert text.splitlines()[-1].startswith(f"design {plan.design}: expected half-width")


def test_a_plan_from_before_there_was_a_choice(tmp_path: Path):
    old = design(600, CORPUS, SPEED)
    value = {k: v for k, v in old.to_json().items() if k not in ("design", "asked", "target", "offers", "spare")}
    (tmp_path / "plan.json").write_text(json.dumps(value))
    assert Plan.load(tmp_path / "plan.json") == old


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "square"}, "there is no design 'square'; there are auto, isoflop"),
        ({"target": "tenfold"}, "--target tenfold"),
        ({"kind": "optimal", "target": "1e10"}, "no optimal design fits a budget of 600 s for --target 1e10"),
    ],
)
def test_questions_that_cannot_be(options, words: str):
    with pytest.raises(InputError, match=words):
        plan_ladder(600, CORPUS, SPEED, **options)


def test_a_target_in_words():
    assert parse_target("10x", 2e12) == 2e13
    assert parse_target("1e15", 2e12) == 1e15


def test_shapes_are_what_they_say():
    grid = plan_ladder(600, CORPUS, SPEED, kind="grid").law_runs
    lengths = {rung.config.model.d_model: set[int]() for rung in grid}
    for rung in grid:
        lengths[rung.config.model.d_model].add(round(rung.tokens / max(r.tokens for r in grid) * 4))
    assert all(found <= {1, 2, 4} for found in lengths.values())
    trunk = plan_ladder(600, CORPUS, SPEED, kind="trunk", shape=Design(trunk_budgets=2)).law_runs
    assert Counter(rung.config.trunk for rung in trunk if rung.role == "rung").most_common(1)[0][1] == 2
