"""The packages of the extra `metrics`, loaded where they are needed."""

from importlib import import_module
from typing import Any

from chidu.errors import InputError


def load(name: str) -> Any:
    """Import a module of the extra.

    Raises:
        InputError: its package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise InputError(f"this needs the package {error.name}; run: pip install 'chidu[metrics]'") from None
