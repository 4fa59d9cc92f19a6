"""The standard method, to compare with: one law's reference optimum, and a bootstrap for its interval.

It is what papers do (2203.15556, 2404.10102): the median is the optimum's, the interval that of the optima of resampled
rows (Efron 1979), each with a resampled residual added for the noise of one run. Forecasts are *not* made so: see
`laws/posterior.py`.
"""

from collections.abc import Sequence

import numpy as np

from chidu.forecast.grade import Answers
from chidu.forecast.targets import Target
from chidu.laws.design import check_enough, make_arrays
from chidu.laws.forms.form import Form, bounded_exp
from chidu.laws.solver import bootstrap_reference, fit_reference
from chidu.runs import Run, RunTable
from chidu.stats import Array

BOOTSTRAPS = 1000


def forecast_standard(
    form: Form,
    table: RunTable,
    targets: Sequence[Run | Target],
    levels: tuple[float, ...],
    *,
    draws: int = BOOTSTRAPS,
    seed: int = 0,
    theta: Array | None = None,
) -> Answers:
    """Forecast the losses of targets of known size from one law alone.

    Args:
        form: the law.
        table: the rows that it is fitted to, all of them.
        targets: their params and tokens, or flops, are read; nothing else is.
        levels: probabilities of the intervals.
        draws: bootstraps.
        seed: of the bootstraps.
        theta: the reference optimum where it is known already, [P].

    Raises:
        InputError: fewer runs than the law has parameters.
        Refusal: the runs are all alike, or the bootstrap ran out of the numbers.
    """
    check_enough(table, form)
    x, y, centre = make_arrays(table, form)
    optimum = fit_reference(form, x, y).theta if theta is None else theta
    laws = bootstrap_reference(form, optimum, x, y, draws, seed)
    at = np.log([[getattr(run, name) for name in form.inputs] for run in targets]) - centre
    residuals = y - form.log_loss(optimum[None], x)[0]
    noise = np.random.default_rng([seed, 1]).choice(residuals, (draws, len(targets)))
    median = bounded_exp(form.log_loss(optimum[None], at)[0])
    tails = np.array([[(1 - level) / 2, (1 + level) / 2] for level in levels])
    ends = np.quantile(bounded_exp(form.log_loss(laws, at) + noise), tails, axis=0)
    return Answers(levels, median, ends[:, 0], ends[:, 1]).check()
