"""How to split compute when there is only so much text (Muennighoff et al. 2305.16264, eqs. 5 and 6).

Repeated tokens are worth less and less, and so are parameters beyond what the text can feed: the law is read at

    D' = U (1 + r_D (1 - exp(-R_D / r_D))),  U = min(unique tokens, D),  R_D = D / U - 1
    N' = V (1 + r_N (1 - exp(-R_N / r_N))),  V = min(N*(U), N),          R_N = N / V - 1

N*(U) being the params for which U tokens are compute-optimal. Where the text suffices for the compute-optimal split,
that is the answer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError
from chidu.forecast.allocation import LOG10_RATIO, Line, check_split, isoflop, optima, survey, warn_split
from chidu.laws.fit import Fit
from chidu.stats import Array, Interval, quantile_interval

REPEAT_TOKENS, REPEAT_PARAMS = 15.3878, 5.3097
"""r_D and r_N as published (2305.16264, appendix A), fitted to GPT-2-like models on C4 up to 8.7e9 params."""
FITTED = "fitted to these runs"
MANY, TOO_MANY = 4.0, 16.0
"""Passes that are nearly as good as fresh text, and beyond which hardly anything is gained (2305.16264, section 5)."""
KNOTS = 7
STEP = 0.1
"""Of log params, to either side of a split."""


@dataclass(frozen=True)
class LimitedAllocation:
    """The best split of a budget over a limited text."""

    flops: float
    unique_tokens: float
    params: float
    tokens: float
    """Trained on, repeats counted."""
    loss: float
    """Of the law with repetition, nats per token."""
    loss_interval: Interval
    params_interval: Interval
    near: dict[float, tuple[float, float]]
    """Margin above the best loss -> lowest and highest params within it."""
    unlimited: tuple[float, float, float]
    """Params, tokens and loss of the compute-optimal split with enough text."""
    repeat_tokens: float
    """r_D."""
    repeat_params: float
    """r_N."""
    basis: str
    """Where these two are from, in words."""
    warnings: tuple[str, ...]

    @property
    def epochs(self) -> float:
        """Passes over the text; below 1 where part of it is left."""
        return self.tokens / self.unique_tokens

    def __str__(self) -> str:
        """The split, and what the lack of text costs."""
        params, tokens, loss = self.unlimited
        lines = [
            f"{self.unique_tokens:.3g} unique tokens: {self.params:.3g} params on {self.tokens:.3g} tokens "
            f"({self.epochs:.3g} passes), loss {self.loss:.4f} {self.loss_interval}"
        ]
        if self.epochs > 1:
            lines.append(
                f"  with enough text {params:.3g} params on {tokens:.3g} tokens, loss {loss:.4f}: "
                f"its lack costs {self.loss / loss - 1:.2%}"
            )
            lines.append(f"  r_D = {self.repeat_tokens:.4g}, r_N = {self.repeat_params:.4g}: {self.basis}")
        else:
            lines.append("  the text suffices for the compute-optimal split")
        lines.append(f"  optimal params, {self.params_interval.level:.0%} interval {self.params_interval}")
        for margin, (lower, upper) in self.near.items():
            lines.append(f"  within {margin:.1%} of the best loss: {lower:.3g} to {upper:.3g} params")
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = (
            "flops",
            "unique_tokens",
            "params",
            "tokens",
            "epochs",
            "loss",
            "repeat_tokens",
            "repeat_params",
            "basis",
        )
        return {
            **{name: getattr(self, name) for name in plain},
            "loss_interval": self.loss_interval.to_json(),
            "params_interval": self.params_interval.to_json(),
            "near": {str(margin): list(bounds) for margin, bounds in self.near.items()},
            "unlimited": dict(zip(("params", "tokens", "loss"), self.unlimited, strict=True)),
            "warnings": list(self.warnings),
        }


def effective_tokens(tokens: Array, unique: Array, repeat: float = REPEAT_TOKENS) -> Array:
    """What repeated tokens are worth in fresh ones, D' above; `unique` is at most `tokens`."""
    return unique * (1 - repeat * np.expm1(-(tokens / unique - 1) / repeat))


def effective_params(params: Array, fed: Array, repeat: float = REPEAT_PARAMS) -> Array:
    """What params beyond those that the text can feed are worth, N' above."""
    used = np.minimum(params, fed)
    return used * (1 - repeat * np.expm1(-(params / used - 1) / repeat))


def data_limited(
    fit: Fit,
    *,
    flops: float,
    unique_tokens: float,
    repeat_tokens: float | None = None,
    repeat_params: float | None = None,
    level: float = 0.9,
) -> LimitedAllocation:
    """Find the params and tokens of the lowest loss for a budget when only so many unique tokens exist.

    Args:
        fit: runs on fresh text, or of the form `repetition`, which knows its own r_D and r_N.
        flops: of training.
        unique_tokens: that there are.
        repeat_tokens: r_D; else the fitted one, or the published one, which is an assumption about your text.
        repeat_params: r_N, likewise.
        level: of the intervals.

    Raises:
        InputError: a number that is not positive.
        Refusal: the fit does not tell params from tokens.
    """
    fades, basis = _constants(fit, repeat_tokens, repeat_params)
    for name, value in (("unique_tokens", unique_tokens), ("r_D", fades[0]), ("r_N", fades[1])):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a positive number, not {value}")
    check_split(fit, flops)
    line = isoflop(fit, flops)
    best = optima(fit, flops, line)
    unlimited = (float(np.exp(best.best)), float(flops / (6 * np.exp(best.best))), float(np.exp(best.lowest)))
    if unique_tokens < unlimited[1]:
        line = _limited_line(fit, flops, unique_tokens, None if basis == FITTED else fades)
        best = optima(fit, flops, line)
    size, lowest = float(np.exp(best.best)), float(np.exp(best.lowest))
    tokens = float(flops / (6 * size))
    return LimitedAllocation(
        flops=float(flops),
        unique_tokens=float(unique_tokens),
        params=size,
        tokens=tokens,
        loss=lowest,
        loss_interval=quantile_interval(np.exp(best.log_losses), level),
        params_interval=quantile_interval(np.exp(best.log_params), level),
        near=line.near(lowest),
        unlimited=unlimited,
        repeat_tokens=float(fades[0]),
        repeat_params=float(fades[1]),
        basis=basis,
        warnings=(*_warn_passes(tokens / unique_tokens), *warn_split(fit, tokens / size, best.at_edge)),
    )


def _constants(fit: Fit, tokens: float | None, params: float | None) -> tuple[tuple[float, float], str]:
    """r_D and r_N, and where they are from."""
    if tokens is None and params is None and fit.form == "repetition":
        return (fit.parameters["R_D"], fit.parameters["R_N"]), FITTED
    published = tokens in (None, REPEAT_TOKENS) and params in (None, REPEAT_PARAMS)
    pair = REPEAT_TOKENS if tokens is None else tokens, REPEAT_PARAMS if params is None else params
    return pair, "an assumption, as published (2305.16264)" if published else "as given"


def _limited_line(fit: Fit, flops: float, unique_tokens: float, fades: tuple[float, float] | None) -> Line:
    """The laws along the splits of a budget, read at what params and tokens are worth, or by a law that knows it."""
    params = np.sqrt(flops / (6 * 10**LOG10_RATIO))[::-1]
    tokens = flops / (6 * params)
    fresh = np.minimum(tokens, unique_tokens)
    if fades is None:
        return survey(fit, params, np.stack([params, tokens, fresh], axis=1))
    worth = effective_params(params, _fed_params(fit, fresh), fades[1]), effective_tokens(tokens, fresh, fades[0])
    return survey(fit, params, np.stack(worth, axis=1))


def _warn_passes(passes: float) -> tuple[str, ...]:
    if passes > TOO_MANY:
        return (
            f"{passes:.3g} passes: beyond {TOO_MANY:.0f} hardly anything is gained, and the constants are untested",
        )
    if passes > MANY:
        return (f"{passes:.2g} passes: beyond {MANY:.0f} a repeated token is worth clearly less than a fresh one",)
    return ()


def _fed_params(fit: Fit, tokens_G: Array) -> Array:
    """Params for which so many tokens are compute-optimal under the mean law, [G]; between knots by their logs.

    That is where a step along the isoFLOP line gains nothing to either side.
    """
    knots = np.geomspace(tokens_G.min(), tokens_G.max(), KNOTS if tokens_G.max() > tokens_G.min() else 1)
    ratios = 10 ** LOG10_RATIO[::4]
    params, tokens = (grid.ravel() for grid in np.broadcast_arrays(knots[:, None] / ratios, knots[:, None]))
    more, fewer = (
        np.log(fit.sample(np.stack([params * f, tokens / f], axis=1), of="law")).mean(0)
        for f in (np.exp(STEP), np.exp(-STEP))
    )
    gain = np.maximum.accumulate((fewer - more).reshape(len(knots), len(ratios)), axis=1)
    rising = gain + 1e-12 * np.arange(len(ratios))
    best = [float(np.interp(0.0, row, np.log(ratios))) for row in rising]
    return np.exp(np.interp(np.log(tokens_G), np.log(knots), np.log(knots) - np.array(best)))
