"""Forecasts locked before the run is trained, and scored after it.

A receipt is a JSON file named by the hash of its own content. Nothing in it can be changed afterwards without the name
betraying it; outcomes are written beside it, never into it, and the folder's ledger has a line for each (`ledger.py`).
"""

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError
from chidu.forecast.ledger import append, check_chain
from chidu.forecast.loss import Forecast
from chidu.laws.fit import Fit
from chidu.runs import Run
from chidu.store import hash_json, read_json, write_json

SAME = 0.02
"""How far a run's params, tokens or flops may be from the forecast's to be its outcome."""


@dataclass(frozen=True)
class Outcome:
    """How a locked forecast did."""

    receipt: str
    """Id of the receipt."""
    loss: float
    """Of the run, nats per token."""
    median: float
    error: float
    """median / loss - 1: positive where the forecast was too high."""
    inside: bool
    """Whether the loss lies in the interval."""

    def __str__(self) -> str:
        """One line."""
        where = "inside" if self.inside else "outside"
        return f"receipt {self.receipt}: forecast {self.median:.4f}, loss {self.loss:.4f}, {self.error:+.2%}, {where}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in ("receipt", "loss", "median", "error", "inside")}


def lock(forecast: Forecast, folder: Path, *, fit: Fit | None = None) -> Path:
    """Write a receipt into a folder, `<id>.json`, and its line into the folder's ledger; never overwritten.

    It holds the forecast with its target and the signature of its fit, the time, the version, and, where the fit is
    given, the hash and the number of the rows that it was fitted to.

    Raises:
        InputError: there is such a receipt already, or the fit is not the one behind the forecast.
        CorruptError: the folder's ledger was changed.
    """
    content: dict[str, Any] = {
        "chidu": version("chidu"),
        "time": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "forecast": forecast.to_json(),
    }
    if fit is not None:
        if fit.signature != forecast.signature:
            raise InputError(f"the fit {fit.signature} is not the one behind the forecast, {forecast.signature}")
        content["table"] = {"hash": fit.table_hash, "runs": len(fit.runs), "set_aside": len(fit.runs.set_aside)}
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


def misses(forecast: dict[str, Any], run: Run) -> str:
    """Say where a run is not of the size that was forecast; empty where it is, as far as both are known."""
    for name in ("params", "tokens", "flops"):
        wanted, got = forecast[name], getattr(run, name)
        known = name != "flops" or forecast["params"] is None
        if known and wanted is not None and got is not None and abs(got / wanted - 1) > SAME:
            return f"{name}={got:.4g}, but {wanted:.4g} was forecast"
    return ""


def score(receipt_path: Path, run: Run) -> Outcome:
    """Score a locked forecast with the run that was trained; the outcome is written beside the receipt.

    Raises:
        CorruptError: the receipt or the ledger was changed after it was locked.
        InputError: the run is not the one that was forecast, or its loss is no result.
    """
    forecast = read_receipt(receipt_path)["forecast"]
    if not (math.isfinite(run.loss) and run.loss > 0):
        raise InputError(f"a loss of {run.loss:g} scores nothing: it must be a positive number, in nats per token")
    check_chain(receipt_path.parent)
    if wrong := misses(forecast, run):
        raise InputError(f"the run has {wrong} in {receipt_path}; name its own run")
    interval = forecast["interval"]
    outcome = Outcome(
        receipt=receipt_path.stem,
        loss=run.loss,
        median=forecast["median"],
        error=forecast["median"] / run.loss - 1,
        inside=interval["lower"] <= run.loss <= interval["upper"],
    )
    record = {**outcome.to_json(), "run": run.run, "params": run.params, "tokens": run.tokens, "flops": run.flops}
    path = receipt_path.with_name(f"{receipt_path.stem}.outcome-{hash_json(record)}.json")
    write_json(path, record)
    append(path.parent, "outcome", path)
    return outcome
