"""Forecasts locked before the run is trained, and scored after it: of its loss, or of a task's metric.

A receipt is a JSON file named by the hash of its own content. Nothing in it can be changed afterwards without the name
betraying it; outcomes are written beside it, never into it, and the folder's ledger has a line for each (`ledger.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError
from chidu.forecast.ledger import append, check_chain
from chidu.forecast.loss import Forecast
from chidu.forecast.metric import MetricForecast
from chidu.laws.fit import Fit
from chidu.laws.metric import MetricLaw
from chidu.runs import NUMBERS, Run
from chidu.store import hash_json, read_json, write_json

SAME = 0.02
"""How far a run's params, tokens or flops may be from the forecast's to be its outcome."""
LOSS = "loss"
"""The quantity of a receipt that names none, as those of before do not: the loss, in nats per token."""


@dataclass(frozen=True)
class Outcome:
    """How a locked forecast did."""

    receipt: str
    """Id of the receipt."""
    value: float
    """What the run reached: its loss in nats per token, or its value of the metric."""
    median: float
    error: float
    """Of a loss median / value - 1, of a metric median - value: positive where the forecast was too high."""
    inside: bool
    """Whether the value lies in the interval."""
    quantity: str = LOSS
    """What was forecast: the loss, or the column of a metric."""

    def __str__(self) -> str:
        """One line."""
        where = "inside" if self.inside else "outside"
        error = f"{self.error:+.2%}" if self.quantity == LOSS else f"{self.error:+.4f}"
        said = f"forecast {self.median:.4f}, {self.quantity} {self.value:.4f}, {error}, {where}"
        return f"receipt {self.receipt}: {said}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a loss in the form of before, so that outcomes keep their names."""
        plain = {name: getattr(self, name) for name in ("median", "error", "inside")}
        if self.quantity == LOSS:
            return {"receipt": self.receipt, "loss": self.value, **plain}
        return {"receipt": self.receipt, "quantity": self.quantity, "value": self.value, **plain}


def error_of(quantity: str, median: float, value: float) -> float:
    """How far a forecast was off: of a loss as a part of it, of a metric, which may be 0, the difference."""
    return median / value - 1 if quantity == LOSS else median - value


def lock(
    forecast: Forecast | MetricForecast,
    folder: Path,
    *,
    fit: Fit | None = None,
    curve: MetricLaw | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a receipt into a folder, `<id>.json`, and its line into the folder's ledger; never overwritten.

    It holds what is forecast, the forecast with its target and the signature of its fit, the time, the version, and,
    where the fit is given, the hash and the number of the rows that it was fitted to.

    Args:
        forecast: of a loss or a metric.
        folder: the receipts.
        fit: the law of the loss behind it.
        curve: of a metric, its law.
        about: of a metric, what says which questions it counts.

    Raises:
        InputError: there is such a receipt already, or the fit is not the one behind the forecast.
        CorruptError: the folder's ledger was changed.
    """
    content: dict[str, Any] = {
        "chidu": version("chidu"),
        "time": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "quantity": forecast.metric if isinstance(forecast, MetricForecast) else LOSS,
        "forecast": forecast.to_json(),
    }
    if fit is not None:
        if fit.signature != forecast.signature:
            raise InputError(f"the fit {fit.signature} is not the one behind the forecast, {forecast.signature}")
        content["table"] = {"hash": fit.table_hash, "runs": len(fit.runs), "set_aside": len(fit.runs.set_aside)}
    if curve is not None:
        content["curve"] = curve.to_json()
    if about is not None:
        content["about"] = dict(about)
    check_chain(folder)
    path = folder / f"{hash_json(content)}.json"
    if path.exists():
        raise InputError(f"{path} exists already and is not overwritten")
    write_json(path, content)
    append(folder, "lock", path)
    return path


def read_receipt(path: Path) -> dict[str, Any]:
    """Read a receipt and check it against its name.

    Raises:
        InputError: there is none.
        CorruptError: its content is not what was locked.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "forecast" not in content or hash_json(content) != path.stem:
        raise CorruptError(f"{path} was changed after it was locked: its content does not hash to its name")
    return content


def quantity_of(receipt: Mapping[str, Any]) -> str:
    """What a receipt forecasts: `loss`, or the column of a metric."""
    return str(receipt.get("quantity", LOSS))


def value_of(run: Run, quantity: str) -> float:
    """What a run reached of a quantity; its loss as it stands.

    Raises:
        InputError: its row has no such number.
    """
    if quantity == LOSS:
        return run.loss
    own = getattr(run, quantity) if quantity in NUMBERS else None
    text = run.extra.get(quantity, "") if own is None else str(own)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        named = f"run {run.run}" if run.run else "the run"
        raise InputError(f"{named} has {text!r} for {quantity}, which is no number; name a table with it, or --value")
    return value


def misses(forecast: dict[str, Any], run: Run) -> str:
    """Say where a run is not of the size that was forecast; empty where it is, as far as both are known."""
    for name in ("params", "tokens", "flops"):
        wanted, got = forecast[name], getattr(run, name)
        known = name != "flops" or forecast["params"] is None
        if known and wanted is not None and got is not None and abs(got / wanted - 1) > SAME:
            return f"{name}={got:.4g}, but {wanted:.4g} was forecast"
    return ""


def score(receipt_path: Path, landed: Run | float) -> Outcome:
    """Score a locked forecast with the run that was trained; the outcome is written beside the receipt.

    Args:
        receipt_path: the receipt.
        landed: the run; or only what it reached of the quantity that was forecast.

    Raises:
        CorruptError: the receipt or the ledger was changed after it was locked.
        InputError: the run is not the one that was forecast, or what it reached is no result.
    """
    receipt = read_receipt(receipt_path)
    forecast, quantity = receipt["forecast"], quantity_of(receipt)
    value = value_of(landed, quantity) if isinstance(landed, Run) else landed
    if quantity == LOSS and not (math.isfinite(value) and value > 0):
        raise InputError(f"a loss of {value:g} scores nothing: it must be a positive number, in nats per token")
    if not math.isfinite(value):
        raise InputError(f"a value of {value:g} scores nothing: it must be a finite number")
    check_chain(receipt_path.parent)
    run = landed if isinstance(landed, Run) else None
    if run is not None and (wrong := misses(forecast, run)):
        raise InputError(f"the run has {wrong} in {receipt_path}; name its own run")
    interval = forecast["interval"]
    outcome = Outcome(
        receipt=receipt_path.stem,
        value=value,
        median=forecast["median"],
        error=error_of(quantity, forecast["median"], value),
        inside=interval["lower"] <= value <= interval["upper"],
        quantity=quantity,
    )
    about = run or Run(loss=value)
    record = {**outcome.to_json(), **{name: getattr(about, name) for name in ("run", "params", "tokens", "flops")}}
    path = receipt_path.with_name(f"{receipt_path.stem}.outcome-{hash_json(record)}.json")
    write_json(path, record)
    append(path.parent, "outcome", path)
    return outcome
