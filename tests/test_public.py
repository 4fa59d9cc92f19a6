"""The public list is short, and is what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

import chidu

EXAMPLE = Path(__file__).parents[1] / "docs" / "example_runs.csv"
PUBLIC = [
    "Allocation",
    "Backtest",
    "ChiduError",
    "CorruptError",
    "Cost",
    "Fit",
    "Forecast",
    "InputError",
    "Interval",
    "ModelConfig",
    "NextRun",
    "Outcome",
    "Prediction",
    "Refusal",
    "Run",
    "RunTable",
    "TrainConfig",
    "TrainingError",
    "backtest",
    "compare_approaches",
    "compute_optimal",
    "data_limited",
    "fit",
    "forecast_loss",
    "lock",
    "next_run",
    "next_runs",
    "price",
    "read_runs",
    "score",
    "score_design",
    "serving_optimal",
]


def test_the_list() -> None:
    assert chidu.__all__ == PUBLIC
    assert set(PUBLIC) < set(dir(chidu))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(chidu, name)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        chidu.nothing  # noqa: B018


def test_rooms_are_imported_beside_the_names() -> None:
    code = (
        "import chidu.laws, chidu.forecast, chidu.data; import chidu; chidu.fit; assert chidu.laws.fit.Fit is chidu.Fit"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_readme_example_from_python() -> None:
    runs = chidu.read_runs(EXAMPLE)
    fit = chidu.fit(runs)
    prediction = fit.predict(params=1e9, tokens=20e9)
    forecast = chidu.forecast_loss(fit, params=1e9, tokens=20e9)
    split = chidu.compute_optimal(fit, flops=1.2e20)
    assert forecast.median == prediction.median
    assert forecast.interval.lower < forecast.median < forecast.interval.upper
    assert 1e8 < split.params < 1e10
