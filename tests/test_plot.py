import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from chidu import plot
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.loss import forecast_loss
from chidu.ladder.gates import GateReport
from chidu.ladder.rates import RateProbe
from chidu.laws.fit import Fit, fit
from chidu.runs import Run, RunTable

E, A, B, ALPHA, BETA = 1.8, 400.0, 2000.0, 0.34, 0.36
BUDGETS = (1e18, 3e18, 1e19, 3e19)


def truth(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return E + A / params**ALPHA + B / tokens**BETA


def ladder(ratios: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0, 80.0)) -> RunTable:
    """Runs at a few tokens per parameter for each budget, without noise; some budgets a few percent off."""
    runs = []
    for flops in BUDGETS:
        for j, ratio in enumerate(ratios):
            params = float(np.sqrt(flops * (1 + 0.02 * j) / (6 * ratio)))
            tokens = ratio * params
            loss = float(truth(np.array(params), np.array(tokens)))
            runs.append(Run(run=f"r{len(runs)}", params=params, tokens=tokens, flops=6 * params * tokens, loss=loss))
    return RunTable(tuple(runs))


@pytest.fixture(scope="module")
def law() -> Fit:
    return fit(ladder(), draws=200)


def test_law_points_hold_the_runs_and_follow_the_true_frontier(law: Fit) -> None:
    forecast = forecast_loss(law, flops=3e20, level=0.8)
    points = plot.law_points(law, forecast)
    assert points.runs.value.tolist() == [run.loss for run in law.runs]
    assert points.level == 0.8
    assert points.flops[0] < min(BUDGETS)
    assert points.flops[-1] == pytest.approx(2 * forecast.flops)
    params = np.geomspace(1e7, 1e11, 4000)
    for flops, median in zip(points.flops, points.median, strict=True):
        if BUDGETS[0] <= flops <= BUDGETS[-1]:
            assert median == pytest.approx(truth(params, flops / (6 * params)).min(), rel=0.01)
    assert (points.lower < points.median).all()
    assert (points.median < points.upper).all()
    width = (points.upper - points.lower) / points.median
    assert width[-1] > width[len(width) // 2], "the band widens with the distance"


def test_law_points_pass_through_the_forecast(law: Fit) -> None:
    forecast = forecast_loss(law, flops=1e20)
    points = plot.law_points(law, forecast)
    at_target = np.interp(np.log(1e20), np.log(points.flops), points.median)
    assert at_target == pytest.approx(forecast.median, rel=2e-3)


def test_budget_curves_dip_where_the_law_does(law: Fit) -> None:
    forecast = forecast_loss(law, flops=1e20)
    curves = plot.budget_curves(law, forecast)
    assert [len(curve.params) for curve in curves] == [5, 5, 5, 5, 0]
    for curve in curves[:-1]:
        expected = truth(curve.curve_params, curve.flops / (6 * curve.curve_params))
        assert np.allclose(curve.curve_loss, expected, rtol=0.01)
        assert 0 < int(curve.curve_loss.argmin()) < len(curve.curve_loss) - 1
    assert curves[-1].flops == forecast.flops
    assert curves[-1].curve_params.min() < forecast.params < curves[-1].curve_params.max()  # type: ignore[operator]
    assert len(plot.budget_curves(law)) == 4


def test_budget_curves_need_three_sizes() -> None:
    assert plot.budget_curves(fit(ladder((10.0, 40.0)), draws=50)) == []


def test_residuals_are_in_percent(law: Fit) -> None:
    points = plot.residual_points(law)
    assert np.allclose(points.value, 100 * law.residuals)
    assert np.allclose(points.value, 0, atol=0.1), "the made table lies on its law"


def test_split_points_span_the_near_optimal_ranges(law: Fit) -> None:
    allocation = compute_optimal(law, flops=1e20)
    points = plot.split_points(allocation)
    assert points.best == (allocation.params, allocation.loss)
    assert points.near == allocation.near
    lower, upper = points.near[0.01]
    assert points.params.min() < lower < points.best[0] < upper < points.params.max()
    inside = (points.params > lower) & (points.params < upper)
    assert (points.loss[inside] <= 1.0101 * allocation.loss).all()


def test_one_size_is_followed_along_that_size() -> None:
    tokens = np.geomspace(1e8, 1e10, 8)
    runs = [Run(params=1e8, tokens=float(t), loss=float(truth(np.array(1e8), t))) for t in tokens]
    law = fit(RunTable(tuple(runs)), draws=50)
    points = plot.law_points(law)
    seen = points.flops <= 6e18
    expected = truth(np.array(1e8), points.flops[seen] / 6e8)
    assert np.allclose(points.median[seen], expected, rtol=0.03)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (9e10, 2e13, [1e11, 3e11, 1e12, 3e12, 1e13]),
        (2.3e4, 1.6e5, [5e4, 1e5]),
        (1e15, 1e24, [1e15, 1e17, 1e19, 1e21, 1e23]),
        (3.1, 4.9, []),
    ],
)
def test_ticks_are_few_round_numbers_inside(low: float, high: float, expected: list[float]) -> None:
    assert plot.log_ticks(np.array([low, high])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (38_520, "38.5k"), (999_999, "1M"), (1.4e9, "1.4B"), (1.13e12, "1.13T")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert plot.short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0000214, "$0.000021"), (0.5, "$0.5"), (12.345, "$12.3"), (272809.4, "$272,809"), (0, "$0")]
)
def test_money_is_written_without_exponents(value: float, text: str) -> None:
    assert plot.dollars(value) == text


def test_labels_are_escaped() -> None:
    label = plot.describe_run(Run(run="<img src=x onerror=alert(1)>", loss=3.0, loss_se=0.01))
    assert "<img" not in label
    assert "&lt;img" in label
    assert "3.0000 ± 0.01" in label


def test_every_figure_draws(law: Fit) -> None:
    forecast = forecast_loss(law, flops=1e20)
    gates = GateReport((RateProbe(16, (0.5, 1.0, 2.0), (4.2, 4.1, None), 1.0, 0.0),), 0.0, ())
    named = {
        "law": plot.draw_law(plot.law_points(law, forecast), forecast, (1e20, 2.5), 1e-18),
        "isoflop": plot.draw_budgets(plot.budget_curves(law, forecast), forecast, (1e9, 2.5)),
        "residuals": plot.draw_residuals(plot.residual_points(law), 0.5),
        "split": plot.draw_split(plot.split_points(compute_optimal(law, flops=1e20))),
        "rates": plot.draw_rates(gates.probes),
    }
    traces = {name: {trace.name for trace in figure.data} for name, figure in named.items()}
    assert {"90% band", "law", "runs", "forecast", "trained after"} <= traces["law"]
    assert {"1e20 (target)", "forecast", "trained after"} <= traces["isoflop"]
    assert {"within 0.1%", "within 1%", "best, interval"} <= traces["split"]
    assert traces["rates"] == {"width 16"}
    assert list(named["rates"].data[0].y) == [4.2, 4.1]
    money = named["law"].layout.xaxis2
    assert money.matches == "x"
    assert all(text.startswith("$") for text in money.ticktext)
    for name, figure in named.items():
        assert f'id="{name}"' in plot.to_div(figure, name)


def test_runs_that_the_forecast_leaves_out_are_rings(law: Fit) -> None:
    some = law.used.copy()
    some[:2] = False
    figure = plot.draw_law(plot.law_points(replace(law, used=some)))
    drawn = {trace.name: trace for trace in figure.data}
    assert len(drawn["left out"].x) == 2
    assert drawn["left out"].marker.symbol == "circle-open"
    assert len(drawn["runs"].x) == len(some) - 2


def test_points_do_not_load_plotly() -> None:
    code = "import chidu.plot, chidu.report, sys; assert not {'plotly', 'rich', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
