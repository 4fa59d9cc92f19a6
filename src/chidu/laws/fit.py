"""Runs in, a law out.

A `Fit` holds two things: the *reference optimum*, the published procedure's parameters with bootstrap intervals, which
describes the runs and compares with papers; and the *posterior*, which forecasts are drawn from, because the reference
and its bootstrap claim far too much beyond the last run (see `posterior.py`).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from chidu.accounting import law_flops
from chidu.errors import InputError
from chidu.laws.design import check_enough, choose_form, make_arrays
from chidu.laws.diagnose import diagnose
from chidu.laws.forms import FORMS, Form
from chidu.laws.pooling import keep_group, others_of_apart_groups
from chidu.laws.posterior import Posterior, infer
from chidu.laws.select import NDBool, far_above, forecast_rows, replicate_noise, select_runs
from chidu.laws.solver import Reference, bootstrap_reference, fit_reference
from chidu.runs import RunTable
from chidu.stats import Array, Interval, quantile_interval
from chidu.store import hash_json

Of = Literal["run", "law"]


@dataclass(frozen=True)
class Prediction:
    """The loss at one point, nats per token."""

    median: float
    interval: Interval
    of: Of
    """`run`: where one new run will land; `law`: where the curve is."""

    def __str__(self) -> str:
        """One line."""
        what = "one new run" if self.of == "run" else "the law"
        return f"{self.median:.4f} nats/token, {self.interval.level:.0%} interval of {what} {self.interval}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"median": self.median, "interval": self.interval.to_json(), "of": self.of}


@dataclass(frozen=True, eq=False)
class Fit:
    """A power law towards a floor, fitted to runs."""

    form: str
    """`chinchilla` (params, tokens) or `frontier` (flops); see `forms/`."""
    names: tuple[str, ...]
    parameters: dict[str, float]
    """The reference optimum (2404.10102): Huber's loss, delta 1e-3, of log losses."""
    noise: float
    """Sd of the log loss of one run around the law."""
    noise_freedom: int
    """Degrees of freedom of `noise` where replicated runs measured it; 0 where it is taken from the residuals."""
    runs: RunTable
    """The rows that were fitted; `runs.set_aside` lists the others with reasons."""
    residuals: Array
    """log(observed / fitted) at the reference optimum, [n]."""
    used: NDBool
    """Which of the rows forecasts are drawn from, [n] of bool."""
    warnings: tuple[str, ...]
    seed: int
    draws: int
    objective: float
    """Sum of Huber's losses at the reference optimum."""
    theta: Array = field(repr=False)
    """The reference optimum as the solver sees it, [P]."""
    posterior: Posterior = field(repr=False)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """90 % bootstrap interval of each parameter: of the description, not of a forecast. Computed when asked for."""
        shape = FORMS[self.form]
        x, y, centre = make_arrays(self.runs, shape)
        laws = bootstrap_reference(shape, self.theta, x, y, self.draws, self.seed)
        values = shape.natural(laws, centre)
        return {name: quantile_interval(values[:, j], 0.9) for j, name in enumerate(self.names)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the law reads: params and tokens, or flops."""
        return FORMS[self.form].inputs

    @property
    def table_hash(self) -> str:
        """Hash of the fitted rows' content."""
        return hash_json([[run.params, run.tokens, run.flops, run.loss] for run in self.runs])

    @property
    def signature(self) -> str:
        """What reproduces this fit."""
        return f"form={self.form} runs={len(self.runs)}:{self.table_hash} seed={self.seed} draws={self.draws}"

    def law(self, *inputs: Array | float) -> Array:
        """The reference curve, nats per token: `law(params, tokens)` or `law(flops)`, arrays or numbers."""
        shape = FORMS[self.form]
        if len(inputs) != len(shape.inputs):
            raise InputError(f"the {self.form} law takes {' and '.join(shape.inputs)}, not {len(inputs)} values")
        columns = np.broadcast_arrays(*[np.asarray(value, dtype=float) for value in inputs])
        x = np.log(np.stack([column.ravel() for column in columns], axis=1))
        centre = make_arrays(self.runs, shape)[2]
        return np.exp(shape.log_loss(self.theta[None], x - centre)[0]).reshape(columns[0].shape)

    def sample(self, targets: Array, of: Of = "run") -> Array:
        """Draws of the loss at targets [T, 2] of (params, tokens), or [T] or [T, 1] of flops: [draws, T].

        A target's draws do not depend on which other targets are asked for.
        """
        columns = np.asarray(targets, dtype=float)
        columns = columns[:, None] if columns.ndim == 1 else columns
        if columns.shape[1] != len(self.inputs):
            raise InputError(f"targets need {len(self.inputs)} columns, {' and '.join(self.inputs)}")
        if not (np.isfinite(columns) & (columns > 0)).all():
            raise InputError("a target's params, tokens and flops must be positive, finite numbers")
        return np.exp(self.posterior.log_loss(np.log(columns), of))

    def target(self, params: float | None, tokens: float | None, flops: float | None) -> Array:
        """Order a target's numbers as the law reads them, [1, K].

        Raises:
            InputError: a number is missing.
        """
        if len(self.inputs) == 2:
            if params is None or tokens is None:
                raise InputError("this law was fitted on params and tokens: give both of the target's")
            return np.array([[params, tokens]], dtype=float)
        if flops is None and params is not None and tokens is not None:
            flops = law_flops(params, tokens)
        if flops is None:
            raise InputError("this law was fitted on flops: give the target's flops, or its params and tokens")
        return np.array([[flops]], dtype=float)

    def predict(
        self,
        *,
        params: float | None = None,
        tokens: float | None = None,
        flops: float | None = None,
        level: float = 0.9,
        of: Of = "run",
    ) -> Prediction:
        """The loss at one point with its interval: of the next run there, or of the law."""
        values = self.sample(self.target(params, tokens, flops), of)[:, 0]
        return Prediction(float(np.median(values)), quantile_interval(values, level), of)

    def __str__(self) -> str:
        """The law, its parameters, what was set aside, the warnings."""
        lines = [f"{self.form} law of {len(self.runs)} runs, Huber's loss on log loss ({self.objective:.6g})"]
        for name in self.names:
            lines.append(f"  {name:<6} {self.parameters[name]:<10.5g} 90 % bootstrap interval {self.intervals[name]}")
        source = f"{self.noise_freedom} degrees of freedom" if self.noise_freedom else "from the residuals"
        lines.append(f"  noise  {self.noise:.2%} of loss between runs ({source})")
        if self.runs.set_aside:
            lines.append(f"  {len(self.runs.set_aside)} rows set aside:")
            lines += [f"    row {gone.row} {gone.run}: {gone.reason}" for gone in self.runs.set_aside[:10]]
            lines += ["    ..."] if len(self.runs.set_aside) > 10 else []
        return "\n".join([*lines, *[f"  warning: {text}" for text in self.warnings]])

    def to_json(self) -> dict[str, Any]:
        """Plain values; `chidu forecast` needs the runs again."""
        return {
            "form": self.form,
            "parameters": self.parameters,
            "intervals": {name: interval.to_json() for name, interval in self.intervals.items()},
            "noise": self.noise,
            "noise_freedom": self.noise_freedom,
            "objective": self.objective,
            "runs": len(self.runs),
            "forecast_runs": int(self.used.sum()),
            "set_aside": [{"row": gone.row, "run": gone.run, "reason": gone.reason} for gone in self.runs.set_aside],
            "form_weights": self.posterior.weights,
            "warnings": list(self.warnings),
            "signature": self.signature,
        }


def fit(runs: RunTable, *, form: str = "auto", group: str | None = None, seed: int = 0, draws: int = 1000) -> Fit:
    """Fit a law to runs.

    Args:
        runs: the table; dirty rows are set aside with reasons (`select.py`).
        group: fit the runs of this group or family alone.
        form: `chinchilla` (also `tied`, `coupled`), `frontier`, or `auto`: frontier where params are not known.
        seed: of the bootstrap and of the posterior draws.
        draws: number of both.

    Raises:
        InputError: an unknown form or group, a form whose columns the table lacks, or fewer runs than parameters.
        Refusal: the runs are all alike.
    """
    shape = choose_form(runs, form)
    runs = keep_group(runs, group) if group is not None else runs
    runs = replace(runs, runs=tuple(run.with_flops() for run in runs))
    table = select_runs(runs, frontier=shape.inputs == ("flops",))
    check_enough(table, shape)
    table, reference = _fit_without_strangers(table, shape)
    x, y, centre = make_arrays(table, shape)
    residuals = y - shape.log_loss(reference.theta[None], x)[0]
    used = forecast_rows(table, shape.inputs)
    measured, freedom = replicate_noise(table)
    posterior = infer((x + centre)[used], y[used], measured=measured, freedom=freedom, draws=draws, seed=seed)
    noise = measured if measured is not None else _residual_noise(residuals, len(shape.names), posterior)
    return Fit(
        form=shape.key,
        names=shape.names,
        parameters=_parameters(shape, reference, centre),
        noise=noise,
        noise_freedom=freedom,
        runs=table,
        residuals=residuals,
        used=used,
        warnings=diagnose(table, residuals, noise, used),
        seed=seed,
        draws=draws,
        objective=reference.objective,
        theta=reference.theta,
        posterior=posterior,
    )


def _parameters(shape: Form, reference: Reference, centre: Array) -> dict[str, float]:
    values = shape.natural(reference.theta[None], centre)[0]
    return {name: float(value) for name, value in zip(shape.names, values, strict=True)}


def _fit_without_strangers(table: RunTable, shape: Form) -> tuple[RunTable, Reference]:
    """Fit; set aside groups that one law cannot serve and what lies far above the law; again until nothing does."""
    while True:
        x, y, _ = make_arrays(table, shape)
        reference = fit_reference(shape, x, y)
        residuals = y - shape.log_loss(reference.theta[None], x)[0]
        gone = others_of_apart_groups(table, residuals) or far_above(residuals, len(shape.names))
        if not gone:
            return table, reference
        table = table.without(gone)
        check_enough(table, shape)


def _residual_noise(residuals: Array, parameters: int, posterior: Posterior) -> float:
    """A robust sd of the residuals, corrected for the parameters; the posterior's where there are too few."""
    left = len(residuals) - parameters
    if left < 3:
        return float(np.median(posterior.sigma))
    return float(1.4826 * np.median(np.abs(residuals)) * np.sqrt(len(residuals) / left))
