"""What a model costs over its life: its training, and the tokens that it serves.

Serving takes 2 FLOPs a parameter and token (Kaplan et al. 2001.08361, section 2.1), prompt and answer alike, at its own
part of the device's peak (Sardana et al. 2401.00448, section 4, who price training, prompts and answers apart).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import InputError
from chidu.forecast.cost import Cost, price, say_dollars

SERVE_FLOPS = 2.0
"""FLOPs for each parameter and served token: the forward pass alone."""
SERVE_UTILISATION = 0.1
"""Part of the peak that serving reaches. An assumption: prompts are read at about training's utilisation, answers are
written at a few percent of it, and batches lie in between. Measure yours; it decides how small a model pays."""


@dataclass(frozen=True)
class Ownership:
    """Training and serving of one model, priced."""

    params: float
    tokens: float
    """Trained on."""
    serve_tokens: float
    """Served over its life, prompts and answers."""
    training: Cost
    serving: Cost

    @property
    def dollars(self) -> float:
        """Of both."""
        return self.training.dollars + self.serving.dollars

    @property
    def kwh(self) -> float:
        """Of both."""
        return self.training.kwh + self.serving.kwh

    @property
    def co2e_kg(self) -> float:
        """Of both."""
        return self.training.co2e_kg + self.serving.co2e_kg

    @property
    def dollars_per_million(self) -> float | None:
        """Of both, for each million served tokens; None where none is served."""
        return 1e6 * self.dollars / self.serve_tokens if self.serve_tokens else None

    def __str__(self) -> str:
        """The sum, its parts, the assumptions."""
        each = "" if self.dollars_per_million is None else f", ${self.dollars_per_million:.3g} a million served tokens"
        lines = [
            f"{say_dollars(self.dollars)} in all: {say_dollars(self.training.dollars)} training on {self.tokens:.3g} "
            f"tokens, {say_dollars(self.serving.dollars)} serving {self.serve_tokens:.3g}{each}",
            f"  {self.kwh:.3g} kWh, {self.co2e_kg:.3g} kg CO2e on {self.training.hardware}",
            f"  training {self.training.assumptions[0]}",
            f"  serving {self.serving.assumptions[0]}; that utilisation is an assumption",
            *[f"  {text}" for text in self.training.assumptions[1:]],
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "params": self.params,
            "tokens": self.tokens,
            "serve_tokens": self.serve_tokens,
            "dollars": self.dollars,
            "kwh": self.kwh,
            "co2e_kg": self.co2e_kg,
            "dollars_per_million": self.dollars_per_million,
            "training": self.training.to_json(),
            "serving": self.serving.to_json(),
        }


def own(
    params: float,
    tokens: float,
    serve_tokens: float,
    *,
    hardware: str = "h100",
    serve_utilisation: float = SERVE_UTILISATION,
    table: str | Path | None = None,
) -> Ownership:
    """Price the training and the serving of a model.

    Args:
        params: of the model.
        tokens: that it is trained on.
        serve_tokens: that it serves over its life, prompts and answers; 0 for training alone.
        hardware: the device for both (`hardware.yaml`).
        serve_utilisation: part of the device's peak that serving reaches.
        table: another file like `hardware.yaml`.

    Raises:
        InputError: an unknown device, or a number out of range.
    """
    check_served(serve_tokens)
    if not all(np.isfinite(value) and value > 0 for value in (params, tokens)):
        raise InputError(f"params and tokens must be positive numbers, not {params} and {tokens}")
    training = price(law_flops(params, tokens), hardware=hardware, table=table)
    flops = SERVE_FLOPS * params * serve_tokens
    serving = price(flops, hardware=hardware, utilisation=serve_utilisation, table=table)
    return Ownership(float(params), float(tokens), float(serve_tokens), training, serving)


def check_served(serve_tokens: float) -> None:
    """Served tokens are a number of 0 or more.

    Raises:
        InputError: they are not.
    """
    if not (np.isfinite(serve_tokens) and serve_tokens >= 0):
        raise InputError(f"served tokens must be a number of 0 or more, not {serve_tokens}")
