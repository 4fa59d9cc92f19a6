import numpy as np
import pytest

from chidu.forecast.isoflop import find_minima


def parabola(flops, centre, sizes=7, spread=1.0, bend=0.02, noise=0.0, rng=None):
    """A group whose log loss is a parabola of log params exactly."""
    log_params = centre + np.linspace(-spread, spread, sizes)
    noise = 0.0 if rng is None else noise * rng.standard_normal(sizes)
    return np.exp(log_params), np.full(sizes, flops), 1.0 + bend * (log_params - centre) ** 2 + noise


def join(*groups):
    return [np.concatenate(column) for column in zip(*groups, strict=True)]


def test_the_minimum_of_a_parabola_is_found_exactly():
    columns = join(parabola(1e18, 18.0), parabola(1e19, 19.0))
    minima, without = find_minima(*columns, draws=50, seed=0)
    assert [m.log_params for m in minima] == pytest.approx([18.0, 19.0], abs=1e-6)
    assert without == []
    assert all(np.abs(m.draws - m.log_params).max() < 1e-4 for m in minima)


def test_compute_that_differs_within_a_group_is_taken_out():
    columns = join(parabola(1e18, 18.0), parabola(1e19, 19.0), parabola(1e20, 20.0))
    rng = np.random.default_rng(0)
    off = 1 + 0.1 * rng.random(len(columns[0]))
    columns[2] = columns[2] - 0.05 * np.log(off)
    columns[1] = columns[1] * off
    minima, _ = find_minima(*columns, draws=10, seed=0)
    assert [m.log_params for m in minima] == pytest.approx([18.0, 19.0, 20.0], abs=1e-4)


def test_the_bootstrap_is_as_wide_as_the_error():
    rng = np.random.default_rng(1)
    errors, spreads = [], []
    for _ in range(60):
        minima, _ = find_minima(*parabola(1e18, 18.0, noise=0.002, rng=rng), draws=200, seed=0)
        errors.append(minima[0].log_params - 18.0)
        spreads.append(minima[0].draws.std())
    assert 0.6 < np.median(spreads) / np.std(errors) < 1.6


def test_a_group_without_a_minimum_inside_is_named():
    log_params = np.linspace(17, 19, 6)
    falling = np.exp(log_params), np.full(6, 1e18), 1.0 + 0.02 * (log_params - 21) ** 2 / 10
    upward = np.exp(log_params), np.full(6, 1e19), 1.0 - 0.001 * (log_params - 18) ** 2
    minima, without = find_minima(*join(falling, upward, parabola(1e20, 20.0)), draws=10, seed=0)
    assert len(minima) == 1
    assert "1e+18" in without[0]
    assert "outside its runs" in without[0]
    assert "no minimum" in without[1]


def test_three_sizes_are_too_few():
    assert find_minima(*parabola(1e18, 18.0, sizes=3), draws=10, seed=0) == ([], [])
