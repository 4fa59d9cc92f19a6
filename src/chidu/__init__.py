"""chidu: a scaling-law laboratory for language models.

    import chidu

    runs = chidu.read_runs("runs.csv")
    fit = chidu.fit(runs)
    fit.predict(params=70e9, tokens=1.4e12)
    chidu.forecast_loss(fit, params=70e9, tokens=1.4e12)
    chidu.compute_optimal(fit, flops=6e23)
    chidu.backtest(runs)

Names are loaded when they are first used, so that `import chidu` costs nothing; the rooms (`chidu.laws`, `chidu.data`,
...) are imported as usual. What is not in `__all__` may change from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chidu.config import ModelConfig, TrainConfig
    from chidu.errors import ChiduError, CorruptError, InputError, Refusal, TrainingError
    from chidu.forecast.allocation import Allocation, compute_optimal
    from chidu.forecast.approaches import compare_approaches
    from chidu.forecast.backtest import Backtest, backtest
    from chidu.forecast.cost import Cost, price
    from chidu.forecast.data_limit import data_limited
    from chidu.forecast.design_score import score_design
    from chidu.forecast.loss import Forecast, forecast_loss
    from chidu.forecast.next_run import NextRun, next_run, next_runs
    from chidu.forecast.receipt import Outcome, lock, score
    from chidu.forecast.serving import serving_optimal
    from chidu.laws.fit import Fit, Prediction, fit
    from chidu.runs import Run, RunTable
    from chidu.stats import Interval
    from chidu.tables.read import read_runs

__version__ = "0.1.0"

__all__ = [
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

_HOMES = {
    "config": ("ModelConfig", "TrainConfig"),
    "errors": ("ChiduError", "CorruptError", "InputError", "Refusal", "TrainingError"),
    "stats": ("Interval",),
    "runs": ("Run", "RunTable"),
    "tables.read": ("read_runs",),
    "laws.fit": ("Fit", "Prediction", "fit"),
    "forecast.allocation": ("Allocation", "compute_optimal"),
    "forecast.approaches": ("compare_approaches",),
    "forecast.backtest": ("Backtest", "backtest"),
    "forecast.cost": ("Cost", "price"),
    "forecast.data_limit": ("data_limited",),
    "forecast.design_score": ("score_design",),
    "forecast.loss": ("Forecast", "forecast_loss"),
    "forecast.next_run": ("NextRun", "next_run", "next_runs"),
    "forecast.receipt": ("Outcome", "lock", "score"),
    "forecast.serving": ("serving_optimal",),
}
"""Where the public names live."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted([*__all__, "__version__"])
