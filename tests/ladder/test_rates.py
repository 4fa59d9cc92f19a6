"""Sweeps over made-up losses whose best rates are known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chidu.config import TrainConfig
from chidu.ladder.rates import STEP, RateCheck, find_lowest, make_probe, sweep
from chidu.ladder.recipe import Recipe
from chidu.runs import Run

RECIPE = Recipe()
Train = Callable[[Sequence[TrainConfig]], list[Run]]


def losses_of(right: Callable[[TrainConfig], float], done: list[TrainConfig] | None = None) -> Train:
    """Training by formula: the loss rises with the square of the steps from the right hidden rate."""

    def train(configs: Sequence[TrainConfig]) -> list[Run]:
        runs = []
        for config in configs:
            if done is not None:
                done.append(config)
            off = math.log(config.hidden_learning_rate / right(config)) / math.log(STEP)
            loss = 3.0 + 0.01 * off**2 + 0.001 * config.seed
            runs.append(Run(loss=loss if off < 4 else math.nan, status="done" if off < 4 else "diverged"))
        return runs

    return train


def narrower(config: TrainConfig) -> float:
    """What the true best rate is in this file: it falls as one over the width."""
    return RECIPE.hidden_rate * RECIPE.base_width / config.model.d_model


def check_of(recipe: Recipe, train: Train) -> RateCheck:
    probes = [sweep(recipe, shape, 1e5, ("abc", 300), train) for shape in ((16, None), (256, 2))]
    return RateCheck(recipe.name, recipe.parametrisation, 100_000, 3, tuple(probes))


def test_the_best_rate_of_a_recipe_that_transfers():
    check = check_of(RECIPE, losses_of(lambda config: narrower(config) * STEP**0.4))
    assert [math.log(probe.best_factor) / math.log(STEP) for probe in check.probes] == pytest.approx([0.4, 0.4])
    assert [probe.lowest_factor for probe in check.probes] == [1.0, 1.0]
    assert (check.drift, check.grid_drift) == (pytest.approx(0), 0)
    assert check.transfers
    assert check.warnings == ()
    assert "it transfers" in str(check)
    assert check.probes[1].label == "width 256, 2 layers"


@dataclass(frozen=True, kw_only=True)
class Wrong(Recipe):
    """A deliberate mistake: the rate of the matrices does not fall with width."""

    def rates(self, width: int) -> tuple[float, float]:
        return self.embedding_rate, self.hidden_rate


def test_a_wrong_rate_rule_is_caught():
    check = check_of(Wrong(), losses_of(narrower))
    assert check.drift == pytest.approx(-math.log(16) / math.log(STEP))
    assert check.grid_drift == -7
    assert not check.transfers
    assert "drifts by -6.8 steps of x1.5 from width 16 to width 256, 2 layers" in check.warnings[0]
    assert "does NOT transfer" in str(check)
    assert check_of(replace(RECIPE, parametrisation="standard"), losses_of(narrower)).drift < -6


def test_a_sweep_goes_on_past_its_end_and_keeps_all_else_equal():
    done: list[TrainConfig] = []
    probe = sweep(RECIPE, (32, None), 1e5, ("abc", 300), losses_of(lambda c: narrower(c) * STEP**2.2, done), seeds=2)
    assert probe.lowest_factor == pytest.approx(STEP**2)
    assert probe.factors == pytest.approx([STEP**k for k in (-2, -1, 0, 1, 2, 3)])
    assert math.log(probe.best_factor) / math.log(STEP) == pytest.approx(2.2)
    assert probe.gain == pytest.approx(0.01 * 2.2**2 / (3.0005 + 0.01 * 2.2**2))
    assert len({(config.tokens, config.batch_tokens, config.steps) for config in done}) == 1
    assert {config.seed for config in done} == {0, 1}
    assert len({config.weight_decay for config in done}) == 1
    for config in done:
        assert config.learning_rate / config.hidden_learning_rate == pytest.approx(0.025 / 0.0034)


def test_runs_that_diverge():
    probe = sweep(RECIPE, (32, None), 1e5, ("abc", 300), losses_of(lambda c: narrower(c) * STEP**-4.5), seeds=1)
    assert probe.losses[-1] is None
    assert probe.lowest_factor < STEP**-3
    assert math.log(probe.best_factor) / math.log(STEP) == pytest.approx(-4.5)

    def never(configs: Sequence[Any]) -> list[Run]:
        return [Run(loss=math.nan, status="diverged") for _ in configs]

    lost = sweep(RECIPE, (32, None), 1e5, ("abc", 300), never, seeds=1)
    assert set(lost.losses) == {None}
    assert (lost.best_factor, lost.lowest_factor, lost.gain) == (1.0, 1.0, 1.0)


def test_the_parabola_is_that_of_the_lowest_points():
    """Far points, where a loss is no parabola, do not move the minimum."""
    factors = [2.0**k for k in (-4, -3, -2, -1, 0, 1, 2, 3)]
    losses = [9.0, 8.0, 3.4, 3.1, 3.0, 3.1, 3.4, 7.0]
    assert find_lowest(factors, losses) == pytest.approx((1.0, 3.0))
    assert find_lowest([1.0], [2.0]) == (1.0, 2.0)
    assert make_probe(16, {0.5: 4.1, 1.0: 4.0, 2.0: 4.2}).best_factor == pytest.approx(2 ** (-1 / 6))
