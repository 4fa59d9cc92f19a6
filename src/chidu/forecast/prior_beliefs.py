"""What is believed about the losses of a ladder before its first run, and what a plan of runs would teach.

The forecast's posterior (`laws/posterior.py`) made linear around the law that its prior expects: within a node of the
floor's prior, for one size of the discrepancy and of the noise, log losses are jointly Gaussian, and a run at one point
moves every other as in linear regression (Chaloner and Verdinelli 1995, section 2: Bayesian linear design). No loss is
drawn, so a plan is judged in milliseconds, and plans can be searched through. `score_design` plays a plan through.

Suffixes: J settings of the forecaster, nodes x discrepancies x noises, flattened in that order; I nodes that the truth
is taken to lie in, P points, V variances.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chidu.laws import priors
from chidu.laws.discrepancy import coordinates, matern
from chidu.laws.forms import FORMS
from chidu.stats import Array, Index

FORM = FORMS["chinchilla"]


@dataclass(frozen=True, eq=False)
class PriorBeliefs:
    """Beliefs about the log losses at P points after some runs, in expectation over where these will land."""

    covariance_JPP: Array
    mean_IJP: Array
    """What setting J believes where the truth is the law of node I."""
    evidence_IJ: Array
    """Log of setting J's prior and evidence, expected where the truth is I."""
    truths_I: Index
    """The settings that are taken to be true: each node with the lesser discrepancy and the guessed noise."""
    noise_JP: Array
    """Variance with which setting J expects a run at a point to scatter."""
    run_noise_J: Array
    """Variance of the log loss of one new run near the target."""
    power: float
    """At which the runs' evidence re-weighs the nodes."""

    def after(self, point: int) -> "PriorBeliefs":
        """Beliefs once a run at a point is observed."""
        column_JP = self.covariance_JPP[:, :, point]
        seen_J = column_JP[:, point] + self.noise_JP[:, point]
        gain_JP = column_JP / seen_J[:, None]
        miss_IJ = self._misses()[..., point]
        return replace(
            self,
            covariance_JPP=self.covariance_JPP - gain_JP[:, :, None] * column_JP[:, None],
            mean_IJP=self.mean_IJP + miss_IJ[..., None] * gain_JP,
            evidence_IJ=self.evidence_IJ + _surprise(miss_IJ, seen_J[self.truths_I], seen_J),
        )

    def after_all(self, points: Sequence[int]) -> "PriorBeliefs":
        """Beliefs once runs at all of these points are observed, in any order."""
        beliefs = self
        for point in points:
            beliefs = beliefs.after(point)
        return beliefs

    def variance(self, point: int = 0) -> float:
        """Expected variance of the log loss of one new run at a point."""
        within_J = self.covariance_JPP[:, point, point]
        return float(self._mix(within_J[:, None], self.mean_IJP[..., point, None], self.evidence_IJ[..., None])[0])

    def variances_after(self, point: int = 0) -> Array:
        """`variance` at a point once a run at each of the points is observed, [P]."""
        seen_JP = np.einsum("jpp->jp", self.covariance_JPP) + self.noise_JP
        row_JP, miss_IJP = self.covariance_JPP[:, point], self._misses()
        within_JP = row_JP[:, point, None] - row_JP**2 / seen_JP
        mean_IJP = self.mean_IJP[:, :, point, None] + miss_IJP * (row_JP / seen_JP)
        evidence_IJP = self.evidence_IJ[..., None] + _surprise(miss_IJP, seen_JP[self.truths_I], seen_JP)
        return self._mix(within_JP, mean_IJP, evidence_IJP)

    def _misses(self) -> Array:
        """How far each setting is from each truth, [I, J, P]."""
        truth_IP = self.mean_IJP[np.arange(len(self.truths_I)), self.truths_I]
        return truth_IP[:, None] - self.mean_IJP

    def _mix(self, within_JV: Array, mean_IJV: Array, evidence_IJV: Array) -> Array:
        """Variance of the mixture of settings, one new run's noise in it, mean over the truths, [V]."""
        truths, _, cases = evidence_IJV.shape
        evidence = evidence_IJV - evidence_IJV.max(1, keepdims=True)
        weight = np.exp(evidence).reshape(truths, len(priors.NODES), -1, cases)
        total = np.maximum(weight.sum(2, keepdims=True), 1e-300)
        node = priors.NODE_WEIGHTS[:, None, None] * total**self.power
        weight = (weight / total * node / node.sum(1, keepdims=True)).reshape(evidence.shape)
        middle = (weight * mean_IJV).sum(1, keepdims=True)
        each_JV = within_JV + self.run_noise_J[:, None]
        spread_IV = (weight * (each_JV + (mean_IJV - middle) ** 2)).sum(1)
        return priors.NODE_WEIGHTS @ spread_IV


def _surprise(miss: Array, expected: Array, seen: Array) -> Array:
    """Expected log density, up to a constant, of what lands `miss` away on average with a variance of `expected`."""
    expected = expected[:, None]
    return -0.5 * ((miss**2 + expected) / seen + np.log(seen))


def prior_beliefs(
    log_points: Array, largest: Array, *, noise: float = priors.NOISE, replicates: int = 0
) -> PriorBeliefs:
    """The beliefs at some points before any run.

    Args:
        log_points: logs of params and tokens, [P, 2].
        largest: those of the plan's largest run, [2].
        noise: a guess of the sd of the log loss of one run near it.
        replicates: further seeds of a run, which will measure the noise.
    """
    u = coordinates(log_points)
    top = float(coordinates(largest[None])[0, 0])
    floor, kernel = priors.floor_prior(top), matern(u, u)
    sigmas = priors.NOISE_GRID.copy()
    guessed = int(np.abs(np.log(sigmas / noise)).argmin())
    sigmas[guessed] = noise
    measured = noise if replicates else None
    noise_prior = priors.log_noise_prior(sigmas, measured, replicates)
    taus = priors.DISCREPANCY_GRID * floor.discrepancy
    means, covariances = [], []
    for offset in priors.NODES:
        log_floor = float(min(np.log(floor.fraction) + offset * floor.sd, np.log(0.93)))
        mean, covariance, share = _node(floor, log_floor, log_points - largest, largest)
        missed = np.outer(share, share) * kernel
        means += [mean] * len(taus)
        covariances += [covariance + tau**2 * missed for tau in taus]
    nodes, each = len(priors.NODES), len(sigmas)
    mean_JP = np.repeat(np.array(means), each, axis=0)
    below = np.maximum(top - u[:, 0], 0.0)
    noise_JP = np.tile((sigmas[:, None] * np.exp(priors.TILT * below)) ** 2, (nodes * len(taus), 1))
    return PriorBeliefs(
        covariance_JPP=np.repeat(np.array(covariances), each, axis=0),
        mean_IJP=np.broadcast_to(mean_JP, (nodes, *mean_JP.shape)),
        evidence_IJ=np.broadcast_to(np.tile(noise_prior, nodes * len(taus)), (nodes, len(mean_JP))),
        truths_I=np.arange(nodes) * len(taus) * each + guessed,
        noise_JP=noise_JP,
        run_noise_J=np.tile(sigmas**2 + priors.RUN_FLOOR**2, nodes * len(taus)),
        power=floor.evidence,
    )


def _node(floor: priors.Floor, log_floor: float, x_P2: Array, largest: Array) -> tuple[Array, Array, Array]:
    """Means [P] and covariance [P, P] of the log losses of one node's laws, and their reducible share [P].

    The law in the middle is balanced at 20 tokens/param and has a loss of 1 at the largest run, where x is 0: in the
    logs that all of this is about, another loss moves every mean alike.
    """
    reducible = 1 - np.exp(log_floor)
    mean, sd = priors.parameter_prior(FORM, floor, log_floor, 1.0, reducible)
    at = np.array([-0.5, 0.5]) * (np.log(20) - (largest[1] - largest[0]))
    alpha, beta = mean[3:]
    terms = np.array([np.log(beta) + alpha * at[0], np.log(alpha) + beta * at[1]])
    mean[1:3] = np.log(reducible) + terms - np.logaddexp(*terms)
    f, share, slopes = FORM.gradient(mean[None], x_P2)
    pull = FORM.balance(mean[None], at)[1][0] / priors.BALANCE_SD
    precision = np.diag(sd**-2.0) + np.outer(pull, pull)
    return f[0], slopes[0] @ np.linalg.solve(precision, slopes[0].T), share[0]
