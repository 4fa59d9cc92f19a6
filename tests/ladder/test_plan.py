import json
from dataclasses import replace
from pathlib import Path

import pytest

from chidu.accounting import train_flops
from chidu.errors import CorruptError, InputError
from chidu.ladder.plan import Plan, Speed
from chidu.store import write_json


def test_json_comes_back(plan: Plan, tmp_path: Path):
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    rung = json.loads((tmp_path / "plan.json").read_text())["rungs"][0]
    assert rung["id"] == plan.rungs[0].config.id
    assert rung["flops"] == 6 * rung["params"] * rung["tokens"]


def test_a_plan_prints_its_runs_and_price(plan: Plan):
    text = str(plan)
    assert text.count("\n") == len(plan.rungs) + 1
    assert f"{len(plan.rungs)} runs" in text
    assert "on 2 workers (cpu), of 600 s asked for" in text
    assert 0 < plan.flops < sum(rung.flops for rung in plan.rungs)


def test_the_law_has_no_probes(plan: Plan):
    assert {rung.role for rung in plan.law_runs} == {"rung", "replicate"}
    assert plan.largest_flops == max(rung.flops for rung in plan.rungs)


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: [],
        lambda value: None,
        lambda value: "plan",
        lambda value: {name: value[name] for name in value if name != "speed"},
        lambda value: {**value, "rungs": 3},
        lambda value: {**value, "rungs": [{}]},
        lambda value: {**value, "recipe": {**value["recipe"], "depth": 3}},
        lambda value: {**value, "speed": {"per_token": 1}},
    ],
)
def test_a_file_that_is_no_plan(plan: Plan, tmp_path: Path, damage):
    (tmp_path / "plan.json").write_text(json.dumps(damage(plan.to_json())))
    with pytest.raises(CorruptError, match=r"plan\.json is not a plan of chidu"):
        Plan.load(tmp_path / "plan.json")


def test_a_missing_a_cut_and_a_wrong_plan(plan: Plan, tmp_path: Path):
    path = tmp_path / "plan.json"
    with pytest.raises(InputError, match="does not exist"):
        Plan.load(path)
    plan.save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CorruptError, match="is not valid JSON"):
        Plan.load(path)
    value = plan.to_json()
    value["rungs"][0]["config"]["tokens"] = -1
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="tokens must be a whole number >= 1"):
        Plan.load(path)


def test_seconds_of_a_run_by_hand(plan: Plan):
    config = plan.rungs[0].config
    speed = Speed(per_step=0.01, per_token=1e-6, per_flop=1e-11, overhead=2.0, workers=2, device="cpu")
    one = train_flops(config.model, config.model.context) / config.model.context
    stepped, trained = config.steps * 0.01, config.tokens * (1e-6 + 1e-11 * one)
    assert speed.seconds(config) == pytest.approx(2 + stepped + trained)
    assert speed.seconds(config, 3 * config.tokens) == pytest.approx(2 + stepped + 2 * trained)
    assert speed.seconds(replace(config, tokens=2 * config.tokens)) == pytest.approx(2 + 2 * stepped + 2 * trained)


def test_a_plan_of_another_recipe_is_refused_by_name(plan: Plan, tmp_path: Path):
    value = plan.to_json()
    older = {name: value["recipe"][name] for name in value["recipe"] if name != "reference_ratio"}
    write_json(tmp_path / "plan.json", {**value, "recipe": {**older, "name": "chidu-1"}})
    with pytest.raises(InputError, match="the recipe chidu-1, whose rules this version lacks; plan again"):
        Plan.load(tmp_path / "plan.json")
