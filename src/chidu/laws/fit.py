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
from chidu.errors import InputError, Refusal
from chidu.laws.design import check_enough, choose_form, make_arrays
from chidu.laws.diagnose import check_falling, diagnose
from chidu.laws.forms import FORMS, Form
from chidu.laws.pooling import keep_group, others_of_apart_groups
from chidu.laws.posterior import Posterior, drawn_forms, infer
from chidu.laws.priors import NOISE
from chidu.laws.resample import KINDS, group_rows
from chidu.laws.select import NDBool, far_above, forecast_rows, replicate_noise, select_runs, sizes_of
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
    """Its key in `forms/`, such as `chinchilla` (params, tokens) or `frontier` (flops)."""
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
    bootstrap: str
    """What the bootstrap of the parameters resamples; see `resample.py`."""
    objective: float
    """Sum of Huber's losses at the reference optimum."""
    theta: Array = field(repr=False)
    """The reference optimum as the solver sees it, [P]."""
    drawn: Posterior | None = field(repr=False)
    """What forecasts are drawn from; None for a form that only describes."""

    @property
    def posterior(self) -> Posterior:
        """What forecasts are drawn from.

        Raises:
            Refusal: chidu draws no forecasts from this form.
        """
        if self.drawn is None:
            raise Refusal(
                f"the {self.form} law describes runs, but its forecasts were never tested, so chidu makes none; "
                "forecast with form='auto'"
            )
        return self.drawn

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """90 % bootstrap interval of each parameter: of the description, not of a forecast. Computed when asked for."""
        shape = FORMS[self.form]
        x, y, centre = make_arrays(self.runs, shape)
        groups = group_rows(self.runs) if self.bootstrap == "groups" else None
        kind = self.bootstrap
        laws = bootstrap_reference(shape, self.theta, x, y, self.draws, self.seed, kind=kind, groups=groups)
        values = shape.natural(laws, centre)
        return {name: quantile_interval(values[:, j], 0.9) for j, name in enumerate(self.names)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the law reads: params and tokens, or flops, or what its form names."""
        return FORMS[self.form].inputs

    @property
    def table_hash(self) -> str:
        """Hash of the fitted rows' content."""
        names = ["params", "tokens", "flops", "loss"]
        names += [name for name in self.inputs if name not in names]
        return hash_json([[getattr(run, name) for name in names] for run in self.runs])

    @property
    def signature(self) -> str:
        """What reproduces this fit."""
        kind = "" if self.bootstrap == "runs" else f" bootstrap={self.bootstrap}"
        return f"form={self.form} runs={len(self.runs)}:{self.table_hash} seed={self.seed} draws={self.draws}{kind}"

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

        A law of repeated data reads [T, 3], unique tokens last; of two columns it takes the tokens as fresh. A target's
        draws do not depend on which other targets are asked for.
        """
        posterior, columns = self.posterior, np.asarray(targets, dtype=float)
        columns = self.complete(columns[:, None] if columns.ndim == 1 else columns)
        if columns.shape[1] != len(self.inputs):
            raise InputError(f"targets need {len(self.inputs)} columns, {' and '.join(self.inputs)}")
        if not (np.isfinite(columns) & (columns > 0)).all():
            raise InputError("a target's params, tokens and flops must be positive, finite numbers")
        return np.exp(posterior.log_loss(np.log(columns), of))

    def complete(self, targets: Array) -> Array:
        """Targets of params and tokens as the law reads them: where it reads unique tokens too, all are fresh."""
        if self.form == "repetition" and targets.shape[1] == 2:
            return np.concatenate([targets, targets[:, 1:]], axis=1)
        return targets

    def target(
        self,
        params: float | None,
        tokens: float | None,
        flops: float | None,
        unique_tokens: float | None = None,
    ) -> Array:
        """Order a target's numbers as the law reads them, [1, K]; tokens are fresh where unique_tokens is None.

        Raises:
            InputError: a number is missing.
            Refusal: chidu draws no forecasts from this form.
        """
        if self.inputs != ("flops",):
            _ = self.posterior
            if params is None or tokens is None:
                raise InputError("this law was fitted on params and tokens: give both of the target's")
            columns = self.complete(np.array([[params, tokens]], dtype=float))
            if unique_tokens is not None and columns.shape[1] == 3:
                columns[0, 2] = unique_tokens
            return columns
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
        unique_tokens: float | None = None,
        level: float = 0.9,
        of: Of = "run",
    ) -> Prediction:
        """The loss at one point with its interval: of the next run there, or of the law."""
        values = self.sample(self.target(params, tokens, flops, unique_tokens), of)[:, 0]
        return Prediction(float(np.median(values)), quantile_interval(values, level), of)

    def __str__(self) -> str:
        """The law, its parameters, what was set aside, the warnings."""
        lines = [f"{self.form} law of {len(self.runs)} runs, Huber's loss on log loss ({self.objective:.6g})"]
        over = {"runs": "", "groups": " over groups", "wild": ", wild"}[self.bootstrap]
        for name in self.names:
            interval = f"90 % bootstrap interval{over} {self.intervals[name]}"
            lines.append(f"  {name:<6} {self.parameters[name]:<10.5g} {interval}")
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
            "bootstrap": self.bootstrap,
            "noise": self.noise,
            "noise_freedom": self.noise_freedom,
            "objective": self.objective,
            "runs": len(self.runs),
            "forecast_runs": int(self.used.sum()),
            "set_aside": [{"row": gone.row, "run": gone.run, "reason": gone.reason} for gone in self.runs.set_aside],
            "form_weights": self.drawn.weights if self.drawn else {},
            "warnings": list(self.warnings),
            "signature": self.signature,
        }


def fit(
    runs: RunTable,
    *,
    form: str = "auto",
    group: str | None = None,
    seed: int = 0,
    draws: int = 1000,
    bootstrap: str = "runs",
) -> Fit:
    """Fit a law to runs.

    Args:
        runs: the table; dirty rows are set aside with reasons (`select.py`).
        group: fit the runs of this group or family alone.
        form: one of `FORMS`, or `auto`: chinchilla, or frontier where params are not known.
        seed: of the bootstrap and of the posterior draws.
        draws: number of both.
        bootstrap: what the parameters' intervals are resampled over: `runs`, `groups` of runs, or the signs of the
            residuals (`wild`); see `resample.py`.

    Raises:
        InputError: an unknown form, group or bootstrap, a form whose columns the table lacks, fewer runs than
            parameters, or too few groups.
        Refusal: the runs are all alike, or their loss does not fall with compute.
    """
    shape = choose_form(runs, form)
    if bootstrap not in KINDS:
        raise InputError(f"there is no bootstrap over {bootstrap!r}; there are {', '.join(KINDS)}")
    runs = keep_group(runs, group) if group is not None else runs
    runs = replace(runs, runs=tuple(run.with_flops() for run in runs))
    frontier = shape.inputs == ("flops",)
    sizes = sizes_of(shape.inputs)
    table = select_runs(runs, frontier=frontier, sizes=sizes)
    check_enough(table, shape)
    check_falling(table)
    table, reference = _fit_without_strangers(table, shape)
    x, y, centre = make_arrays(table, shape)
    residuals = y - shape.log_loss(reference.theta[None], x)[0]
    if bootstrap == "groups":
        group_rows(table)
    used = forecast_rows(table, shape.inputs)
    measured, freedom = replicate_noise(table, sizes)
    forms, rows = drawn_forms(shape.key), (x + centre)[used]
    posterior = (
        infer(rows, y[used], measured=measured, freedom=freedom, draws=draws, seed=seed, forms=forms) if forms else None
    )
    noise = measured if measured is not None else _residual_noise(residuals, len(shape.names), posterior)
    parameters = _parameters(shape, reference, centre)
    return Fit(
        form=shape.key,
        names=shape.names,
        parameters=parameters,
        noise=noise,
        noise_freedom=freedom,
        runs=table,
        residuals=residuals,
        used=used,
        warnings=diagnose(table, residuals, noise, used, parameters.get("E") if posterior else None),
        seed=seed,
        draws=draws,
        bootstrap=bootstrap,
        objective=reference.objective,
        theta=reference.theta,
        drawn=posterior,
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


def _residual_noise(residuals: Array, parameters: int, posterior: Posterior | None) -> float:
    """A robust sd of the residuals, corrected for the parameters; where there are too few, what is believed of it."""
    left = len(residuals) - parameters
    if left < 3:
        return float(np.median(posterior.sigma)) if posterior else NOISE
    return float(1.4826 * np.median(np.abs(residuals)) * np.sqrt(len(residuals) / left))
