"""The best learning rate and batch as power laws of params and tokens, from sweeps.

rate = c N^p D^q and batch = c' D^r (Step Law, Li et al. 2503.04715, eq. 1: 1.79 N^-0.713 D^0.307, and 0.58 D^0.571
tokens; N without embedding). In each sweep, a cell of equal params and tokens, the optimum is the mean of the logs of
all runs within 0.25 % of the lowest loss (their margin); lines are fitted to the sweeps' optima. The bootstrap is over
sweeps, and knows that an optimum on a grid is known to half a step of it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.laws.laplace import Index
from chidu.runs import RunTable
from chidu.stats import Array, Interval, quantile_interval

MARGIN = 0.0025
"""How far above the lowest loss of its cell a run may lie to count as optimal (their code: 0.25 %)."""
LEAST_SWEPT, LEAST_CELLS = 3, 4
"""Settings that make a cell a sweep, and sweeps that make a law."""
EDGE = 0.5
"""Share of the cells whose best run may lie at the end of what was swept, without a warning."""
IN_LINE = 0.01
"""A bootstrap whose sweeps spread less than this part of all sweeps' variance, in the narrowest direction, is left."""
RATE = ("rate_c", "rate_params", "rate_tokens")
BATCH = ("batch_c", "batch_tokens")


@dataclass(frozen=True, eq=False)
class OptimumLaw:
    """Power laws of the best rate and batch."""

    parameters: dict[str, float]
    """Means of the bootstrap: rate = rate_c N^rate_params D^rate_tokens; batch = batch_c D^batch_tokens, in tokens."""
    intervals: dict[str, Interval]
    """90 % intervals of a bootstrap over sweeps."""
    cells: int
    """Sweeps, each of which counts once."""
    near_optimal: int
    """Runs near the best of their sweep."""
    warnings: tuple[str, ...]
    draws: Array = field(repr=False)
    """Bootstrapped (log c, p, q) of the rate and (log c, r) of the batch, [draws, 5]; [draws, 3] without batches."""

    def rate(self, params: float, tokens: float, level: float = 0.9) -> tuple[float, Interval]:
        """The best peak learning rate for a run, and its interval."""
        logs = self.draws[:, :3] @ np.array([1.0, np.log(params), np.log(tokens)])
        return float(np.exp(logs.mean())), quantile_interval(np.exp(logs), level)

    def batch(self, tokens: float, level: float = 0.9) -> tuple[float, Interval]:
        """The best batch for a run, in tokens, and its interval.

        Raises:
            Refusal: the runs did not say their batch.
        """
        if self.draws.shape[1] < 5:
            raise Refusal("the runs do not say their batch, so the best one is not known; add a column batch_tokens")
        logs = self.draws[:, 3:] @ np.array([1.0, np.log(tokens)])
        return float(np.exp(logs.mean())), quantile_interval(np.exp(logs), level)

    def __str__(self) -> str:
        """The formulas, their intervals, the warnings."""
        p = self.parameters
        lines = [f"best settings of {self.cells} sweeps ({self.near_optimal} runs near their optimum)"]
        lines.append(f"  rate  = {p['rate_c']:.4g} params^{p['rate_params']:.3f} tokens^{p['rate_tokens']:.3f}")
        if "batch_c" in p:
            lines.append(f"  batch = {p['batch_c']:.4g} tokens^{p['batch_tokens']:.3f} tokens")
        lines += [f"  {name:<12} 90 % bootstrap interval {interval}" for name, interval in self.intervals.items()]
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values, the draws left out."""
        return {
            "form": "optimum",
            "parameters": self.parameters,
            "intervals": {name: interval.to_json() for name, interval in self.intervals.items()},
            "cells": self.cells,
            "near_optimal": self.near_optimal,
            "warnings": list(self.warnings),
        }


def fit_optimum(table: RunTable, *, draws: int = 1000, seed: int = 0) -> OptimumLaw:
    """Fit the laws of the best rate and batch to sweeps.

    Args:
        table: runs with params, tokens, learning_rate and, if they were swept, batch_tokens.
        draws: bootstraps over sweeps.
        seed: of the bootstrap.

    Raises:
        InputError: a column is missing.
        Refusal: too few cells were swept, or they are all of one size or length.
    """
    if not table.has_params:
        raise InputError("the law of the best rate needs params and tokens of every run")
    rate, batch = table.column("learning_rate"), table.column("batch_tokens")
    if not (rate > 0).all():
        raise InputError("the law of the best rate needs a learning_rate of every run; map it with --column")
    batches = bool((batch > 0).all())
    settings = np.log(np.stack([rate, batch], axis=1) if batches else rate[:, None])
    cells = _sweeps(table, settings)
    near = [_near_best(table, cell) for cell in cells]
    first = [cell[0] for cell in cells]
    sizes = np.log(np.stack([table.column("params"), table.column("tokens")], axis=1))[first]
    for j, name in enumerate(("params", "tokens")):
        if np.ptp(sizes[:, j]) < 0.05:
            raise Refusal(f"all sweeps are of one {name}: they cannot say how the best rate moves with it")
    best = np.array([settings[part].mean(0) for part in near])
    steps = np.array([[_step(settings[cell, j]) for j in range(settings.shape[1])] for cell in cells])
    laws = _bootstrap(sizes, best, steps, draws, seed)
    names, values = (*RATE, *BATCH)[: laws.shape[1]], laws.copy()
    for j in (0, 3)[: 1 + batches]:
        values[:, j] = np.exp(values[:, j])
    middle = laws.mean(0)
    parameters = {name: float(np.exp(middle[j]) if j in (0, 3) else middle[j]) for j, name in enumerate(names)}
    intervals = {name: quantile_interval(values[:, j], 0.9) for j, name in enumerate(names)}
    return OptimumLaw(parameters, intervals, len(cells), sum(map(len, near)), _warn(table, cells, rate), laws)


def _sweeps(table: RunTable, settings_IS: Array) -> list[Index]:
    """Positions of the runs of each cell of equal params and tokens that has several settings."""
    groups = defaultdict(list)
    for i, run in enumerate(table.runs):
        groups[(run.group, run.family, run.params, run.tokens)].append(i)
    cells = [np.array(rows) for rows in groups.values() if len(np.unique(settings_IS[rows], axis=0)) >= LEAST_SWEPT]
    if len(cells) < LEAST_CELLS:
        raise Refusal(
            f"only {len(cells)} cells of equal params and tokens were swept over {LEAST_SWEPT} rates or batches: "
            f"a law of the best ones needs {LEAST_CELLS}"
        )
    return cells


def _near_best(table: RunTable, cell: Index) -> Index:
    loss = table.column("loss")[cell]
    return cell[loss < loss.min() * (1 + MARGIN)]


def _step(logs: Array) -> float:
    """Distance of neighbours on the grid of a sweep, in logs; zero where it was not swept."""
    grid = np.unique(logs.round(6))
    return float(np.median(np.diff(grid))) if len(grid) > 1 else 0.0


def _bootstrap(sizes_S2: Array, best_SJ: Array, steps_SJ: Array, draws: int, seed: int) -> Array:
    """Lines through resampled sweeps, each optimum moved within half a step of its grid, [draws, 3]; 5 with batches."""
    rng, sweeps = np.random.default_rng(seed), len(sizes_S2)
    weights = _weights(sizes_S2, draws, rng)
    moved = best_SJ + rng.uniform(-0.5, 0.5, (draws, sweeps, best_SJ.shape[1])) * steps_SJ
    laws = [_lines(sizes_S2, moved[..., 0], weights)]
    if best_SJ.shape[1] == 2:
        laws.append(_lines(sizes_S2[:, 1:], moved[..., 1], weights))
    return np.concatenate(laws, axis=1)


def _weights(sizes_S2: Array, draws: int, rng: np.random.Generator) -> Array:
    """How often each sweep counts in each bootstrap, [draws, S]; sweeps that lie in line are drawn anew."""
    sweeps = len(sizes_S2)
    x = np.column_stack([np.ones(sweeps), sizes_S2 - sizes_S2.mean(0)])
    whole = np.linalg.eigvalsh(x.T @ x)
    if whole[0] < 1e-6 * whole[-1]:
        raise Refusal("the sweeps lie in line over params and tokens: what each does to the best rate cannot be told")
    kept: list[Array] = []
    while sum(map(len, kept)) < draws:
        weights = rng.multinomial(sweeps, np.full(sweeps, 1 / sweeps), draws).astype(float)
        least = np.linalg.eigvalsh(np.einsum("bs,sj,sk->bjk", weights, x, x))[:, 0]
        kept.append(weights[least > IN_LINE * whole[0]])
    return np.concatenate(kept)[:draws]


def _lines(sizes_SJ: Array, y_BS: Array, weights_BS: Array) -> Array:
    """Weighted least squares of intercept and slopes, [B, 1 + J]; sizes are shifted to their mean on the way."""
    shift = sizes_SJ.mean(0)
    x = np.column_stack([np.ones(len(sizes_SJ)), sizes_SJ - shift])
    moments = np.einsum("bs,sj,sk->bjk", weights_BS, x, x)
    lines = np.linalg.solve(moments, ((weights_BS * y_BS) @ x)[..., None])[..., 0]
    lines[:, 0] -= lines[:, 1:] @ shift
    return lines


def _warn(table: RunTable, cells: list[Index], rate: Array) -> tuple[str, ...]:
    """Do the best rates lie inside what was swept?"""
    loss, at_end = table.column("loss"), 0
    for cell in cells:
        best = rate[cell[int(np.argmin(loss[cell]))]]
        at_end += int(np.ptp(rate[cell]) > 0 and best in (rate[cell].min(), rate[cell].max()))
    if at_end <= EDGE * len(cells):
        return ()
    return (f"in {at_end} of {len(cells)} sweeps the best rate is the lowest or highest one tried: sweep wider",)
