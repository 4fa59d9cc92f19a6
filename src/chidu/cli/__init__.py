"""The command line: argument parsing and nothing else, one file a verb.

Rooms are imported inside the commands, so that a command starts as fast as what it needs.
"""

from importlib import import_module

from chidu.cli.app import app
from chidu.cli.entry import main

VERBS = (
    "run",
    "data",
    "check",
    "plan",
    "ladder",
    "train",
    "fit",
    "forecast",
    "split",
    "next",
    "backtest",
    "score",
    "generate",
    "attend",
    "tune",
    "eval",
    "export",
    "report",
)
"""In the order of the work."""

for _verb in VERBS:
    import_module(f"chidu.cli.{_verb}")

__all__ = ["VERBS", "app", "main"]
