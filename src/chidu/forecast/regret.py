"""What a run would teach about the *decision*: how to split a budget between params and tokens.

The regret of a split is its loss over the best split's, under the law that turns out to be true. A run is worth what it
is expected to take off that regret: the knowledge gradient (Frazier, Powell and Dayanik 2008), here with the expected
minimum over splits taken by quadrature over where the run lands. All in log loss, so that 0.01 is 1 % of the loss.
The law's draws know of no error in the optimum beyond their own (`allocation.SPLIT_SD`), so regrets are low estimates.
"""

import numpy as np

from chidu.forecast.allocation import check_split
from chidu.forecast.beliefs import believe
from chidu.laws.fit import Fit
from chidu.stats import Array

SPLITS = np.linspace(-0.5, 4.0, 46)
"""Tokens per parameter among which is chosen, log10."""
NODES = 24
"""Of the quadrature (Gauss and Hermite)."""


def expected_regret(fit: Fit, flops: float, points_CK: Array) -> tuple[float, Array]:
    """Expected regret of the best split of a budget, now, and after a run at each of some points, [C].

    Raises:
        InputError: flops that are not positive.
        Refusal: the fit does not tell params from tokens.
    """
    check_split(fit, flops)
    params = np.sqrt(flops / (6 * 10**SPLITS))
    splits = fit.complete(np.stack([params, flops / (6 * params)], axis=1))
    log_loss = np.log(fit.sample(splits, of="law"))
    beliefs = believe(fit, np.concatenate([splits, points_CK]))
    mean = beliefs.weights @ beliefs.mean_JP
    best_known = float(log_loss.min(1).mean())
    now = float(log_loss.mean(0).min()) - best_known
    split, run = slice(len(splits)), slice(len(splits), None)
    gain = np.einsum("j,jpc->pc", beliefs.weights, beliefs.gains())[split, run]
    landing = np.sqrt(beliefs.variances()[run] + beliefs.noise_P[run])
    place, weight = np.polynomial.hermite_e.hermegauss(NODES)
    told = mean[split, None, None] + gain[..., None] * (landing[:, None] * place)
    saved = mean[split].min() - told.min(0) @ (weight / weight.sum())
    return now, now - np.clip(saved, 0.0, now)
