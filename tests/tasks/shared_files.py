"""Where the development data lie; what needs them skips where they are absent."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the development data, or skip."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} of the development data is not here")
    return path


def records(name: str, most: int) -> list[dict[str, Any]]:
    """The first records of a file."""
    with gzip.open(shared(name), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(most), lines, strict=False)]
