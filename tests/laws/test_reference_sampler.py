"""The fast posterior (modes, Laplace's approximation) against a long exact sampler, on three tables."""

import numpy as np
import pytest
from reference_sampler import Chains, make_proposal

from chidu.laws import posterior, priors
from chidu.laws.discrepancy import coordinates, make_features
from chidu.laws.forms import FORMS
from chidu.laws.laplace import Rows
from chidu.runs import RunTable

CHAINS, SWEEPS, BURN = 120, 40, 10


def ladder(make_table) -> RunTable:
    return make_table(noise=0.004, budgets=(1e18, 4e18, 1.6e19))


def outlier(make_table) -> RunTable:
    table = make_table(noise=0.002, seed=1, budgets=(1e18, 1e19, 1e20))
    runs = list(table.runs)
    runs[6] = type(runs[6])(**{**runs[6].__dict__, "loss": runs[6].loss * 1.04})
    return RunTable(tuple(runs))


def few(make_table) -> RunTable:
    table = make_table(noise=0.008, seed=2, budgets=(1e19, 1e20))
    return RunTable(table.runs[::2])


@pytest.mark.parametrize("make", [ladder, outlier, few])
def test_the_fast_draws_are_those_of_a_long_sampler(make_table, make):
    table = make(make_table)
    x = np.log(np.stack([table.column("params"), table.column("tokens")], axis=1))
    y = np.log(table.column("loss"))
    target = np.log(np.array([[5e9, 1e11]]))
    fast = posterior.infer(x, y, measured=None, freedom=0, draws=6000, seed=0)
    drawn = fast.log_loss(target, "law")[:, 0]
    for node in range(len(priors.NODES)):
        slow = sample_node(x, y, target, node)
        here = drawn[fast.nodes == node]
        wanted, got = (np.quantile(values, [0.05, 0.5, 0.95]) for values in (slow, here))
        width = wanted[2] - wanted[0]
        assert got == pytest.approx(wanted, abs=0.12 * width), (make.__name__, node)


def sample_node(x, y, target, node):
    """Draws of the log loss at the target within one node of the floor's prior."""
    order = np.lexsort((y, *x.T))
    x, y = x[order], y[order]
    u = coordinates(x)
    features, centre = make_features(u), x.mean(0)
    z, missed = features.at(u)
    assert missed.max() < 1e-3
    scale = np.exp(priors.TILT * (u[:, 0].max() - u[:, 0]))
    rows = Rows(x - centre, y, scale, z, missed, posterior._balance_point(centre))
    keys = posterior.SPLIT_FORMS
    parts = [posterior._modes(FORMS[key], rows, u[:, 0], None, 0) for key in keys]
    chains = Chains(rows, make_proposal(parts, keys, node, len(priors.NODES)), None, 0, CHAINS, seed=node)
    at = features.at(coordinates(target))[0][0]
    values, accepted = [], []
    for sweep in range(SWEEPS):
        accepted.append(chains.step())
        if sweep >= BURN:
            values.append(chains.log_loss((target - centre)[0], at))
    assert np.mean(accepted) > 0.05
    return np.concatenate(values)
