"""What was set before a run, from a file beside its log: a log itself seldom knows its params and tokens."""

from pathlib import Path

from chidu.tables.files import read_json, read_yaml
from chidu.tables.sheet import flatten

NAMES = ("config", "hparams", "args", "params")
SUFFIXES = (".json", ".yaml", ".yml")

HOW = 'write what the logs do not say into a config.json beside each: {"params": 124e6, "batch_tokens": 491520}'
"""Advice where a log does not know a column."""


def read_settings(folder: Path, stem: str = "") -> dict[str, str]:
    """The settings of a run, `config/NAME` -> text, from the first of `STEM.json`, `config.json`, `hparams.yaml`, ...

    Raises:
        InputError: the file is not valid.
    """
    for name in (*((stem,) if stem else ()), *NAMES):
        for suffix in SUFFIXES:
            path = folder / f"{name}{suffix}"
            if path.is_file():
                value = read_json(path) if suffix == ".json" else read_yaml(path)
                return flatten(value, "config/") if isinstance(value, dict) else {}
    return {}
