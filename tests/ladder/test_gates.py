import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chidu.ladder.gates import gate_rungs, read_gates
from chidu.ladder.plan import Plan
from chidu.ladder.rung import Rung


def octaves(plan: Plan, rung: Rung) -> float:
    return math.log2(rung.config.learning_rate / plan.recipe.embedding_rate)


def write_gates(plan: Plan, write_run: Callable[..., None], best: dict[str, float], curvature: float = 0.2) -> None:
    """Parabolas whose lowest points lie at `best` octaves from the recipe's rate, at the narrow and the wide model."""
    rungs = gate_rungs(plan)
    narrow = min(rung.config.model.d_model for rung in rungs)
    for rung in rungs:
        where = best["narrow" if rung.config.model.d_model == narrow else "wide"]
        write_run(rung, 4.0 + curvature * (octaves(plan, rung) - where) ** 2)


def test_probes_are_read_beside_the_rungs_at_the_recipes_rates(plan: Plan):
    rungs = gate_rungs(plan)
    assert sorted(round(octaves(plan, rung)) for rung in rungs) == [-1, -1, 0, 0, 1, 1]
    assert [rung.role for rung in rungs].count("probe") == 4
    assert gate_rungs(replace(plan, rungs=plan.law_runs)) == []


def test_the_lowest_point_of_the_parabola(plan: Plan, write_run, tmp_path: Path):
    write_gates(plan, write_run, {"narrow": 0.3, "wide": -0.25})
    gates = read_gates(plan, tmp_path)
    narrow, wide = gates.probes
    assert narrow.width < wide.width
    assert narrow.factors == pytest.approx((0.5, 1.0, 2.0))
    assert math.log2(narrow.best_factor) == pytest.approx(0.3)
    assert math.log2(wide.best_factor) == pytest.approx(-0.25)
    assert narrow.gain == pytest.approx(0.2 * 0.09 / (4 + 0.2 * 0.09))
    assert gates.drift == pytest.approx(-0.55)
    assert gates.warnings == ()
    assert "drift of the best rate between widths: -0.6 octaves" in str(gates)


def test_a_drift_of_an_octave_is_said(plan: Plan, write_run, tmp_path: Path):
    write_gates(plan, write_run, {"narrow": 0.6, "wide": -0.5}, curvature=0.02)
    gates = read_gates(plan, tmp_path)
    assert gates.drift == pytest.approx(-1.1)
    assert [warning for warning in gates.warnings if "drifts by -1.1 octaves" in warning]
    assert gates.warnings[-1] in str(gates)


def test_a_rate_that_costs_loss_is_said(plan: Plan, write_run, tmp_path: Path):
    write_gates(plan, write_run, {"narrow": 0.9, "wide": 0.9}, curvature=0.2)
    gates = read_gates(plan, tmp_path)
    assert len(gates.warnings) == 2
    assert "would gain 3.9% at 1.9 times the recipe's rate" in gates.warnings[0]


@pytest.mark.parametrize("where", [-3, 3])
def test_the_best_is_kept_within_the_range_tried(plan: Plan, write_run, tmp_path: Path, where: int):
    write_gates(plan, write_run, {"narrow": where, "wide": where}, curvature=0.001)
    assert [probe.best_factor for probe in read_gates(plan, tmp_path).probes] == [2.0 ** (where / 3)] * 2


def test_a_maximum_is_no_minimum(plan: Plan, write_run, tmp_path: Path):
    """Losses that bend downwards: the best of the three is taken as it is."""
    for rung in gate_rungs(plan):
        write_run(rung, {-1: 3.99, 0: 4.0, 1: 3.98}[round(octaves(plan, rung))])
    assert [probe.best_factor for probe in read_gates(plan, tmp_path).probes] == [2.0, 2.0]


def test_probes_that_diverged(plan: Plan, write_run, tmp_path: Path):
    for rung in gate_rungs(plan):
        write_run(rung, None if octaves(plan, rung) > 0.5 else 4.0 + 0.01 * octaves(plan, rung))
    gates = read_gates(plan, tmp_path)
    assert gates.probes[0].losses == (3.99, 4.0, None)
    assert gates.probes[0].best_factor == 0.5
    for rung in gate_rungs(plan):
        write_run(rung, None if octaves(plan, rung) > -0.5 else 4.0)
    assert "would gain 100.0%" in read_gates(plan, tmp_path).warnings[0]
    for rung in gate_rungs(plan):
        write_run(rung, None)
    gates = read_gates(plan, tmp_path)
    assert (gates.probes[0].losses, gates.drift) == ((None, None, None), 0.0)
    assert gates.to_json()["probes"][0]["best_factor"] == 1.0
