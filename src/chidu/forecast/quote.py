"""What a forecast is worth at its own distance: the sentence that is printed beside it.

Two sources, both measured: `record.json`, how chidu did on published tables (written by `benchmarks/backtest.py`), and
a backtest of the very runs, where `chidu backtest` left one beside them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError
from chidu.store import read_json

SAVED = "backtest.json"
"""Its name beside the runs."""
UNTRIED = ("kaplan", "repetition")
"""Forms whose own forecasts are not those of the record."""
OPEN = 10.0
"""The last distances have no end; they say nothing of targets more than this many times beyond their beginning."""
USUAL = 0.9
"""The level that is quoted where that of the forecast was not looked at."""


@dataclass(frozen=True)
class Quote:
    """How forecasts at about some distance did."""

    of: str
    """What: `backtest of these runs`, `record on 7 published tables`."""
    nearest: float
    """The distances, times the largest fitted run's compute, from here"""
    farthest: float
    """to here; infinite where there is no end."""
    targets: int
    error: float
    """Mean of |median / loss - 1|."""
    cover: float
    """The share of the intervals that held."""
    level: float
    """What that share should be."""
    note: str = ""

    def __str__(self) -> str:
        """One sentence."""
        if self.nearest == self.farthest:
            where = f"at about {self.nearest:.2g} times"
            held = f"held {self.cover * self.targets:.0f} of {self.targets}"
        else:
            beyond = math.isinf(self.farthest)
            where = f"over {self.nearest:g} times" if beyond else f"at {self.nearest:g} to {self.farthest:g} times"
            held = f"held {self.cover:.0%} of {self.targets} times"
        note = f" ({self.note})" if self.note else ""
        return f"{self.of} {where}: mean error {self.error:.1%}, {self.level:.0%} intervals {held}{note}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where there is no farthest distance."""
        return {**asdict(self), "farthest": None if math.isinf(self.farthest) else self.farthest}


def published(distance: float, level: float) -> Quote | None:
    """How chidu did on published tables at a target's distance; None for a target within its runs.

    The intervals are those of `level` where it was looked at, else of 90 %.
    """
    record = _record()
    for part in record["distances"]:
        farthest = math.inf if part["to"] is None else part["to"]
        if part["from"] <= distance < min(farthest, OPEN * part["from"]):
            key = f"{level:g}" if f"{level:g}" in part["cover"] else f"{USUAL:g}"
            of = f"record on {part['tables']} published tables"
            figures = part["forecasts"], part["error"], part["cover"][key], float(key)
            return Quote(of, part["from"], farthest, *figures, record["note"])
    return None


@cache
def _record() -> dict[str, Any]:
    """How chidu did on published tables; read once."""
    made: dict[str, Any] = json.loads((files("chidu.forecast") / "record.json").read_text(encoding="utf-8"))
    return made


def saved(folder: Path, table: str, distance: float) -> tuple[Quote | None, str]:
    """What a backtest that was saved beside the runs says at a distance, and why it says nothing where it does not.

    Args:
        folder: where the runs are.
        table: hash of the fitted rows; a backtest of other rows is not quoted.
        distance: of the target.
    """
    path = folder / SAVED
    if not path.exists():
        return None, ""
    try:
        value = read_json(path)
        if value["table"] != table:
            return None, f"{path} is of another table and is not quoted; run chidu backtest again"
        return _nearest(value, distance), ""
    except (CorruptError, KeyError, TypeError, ValueError):
        return None, f"{path} is not a backtest that this version can read; run chidu backtest again"


def _nearest(value: Mapping[str, Any], distance: float) -> Quote | None:
    """The grade of chidu at the nearest distance of a backtest's JSON."""
    known = [part for part in value["distances"] if "chidu" in part["methods"]]
    if not known:
        return None
    part = min(known, key=lambda each: abs(math.log(each["distance"] / distance)))
    away, made = part["distance"], part["methods"]["chidu"]
    figures = made["targets"], made["error"], made["cover"], made["level"]
    return Quote("backtest of these runs", away, away, *figures)
