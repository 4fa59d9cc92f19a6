"""What the drawn laws believe about several losses jointly, and what observing one of them would teach.

The draws of a posterior are joint draws of the log loss at any points. Within a node of the floor's prior they are
taken as Gaussian, so that observing a run updates every other point as in linear regression (MacKay 1992; one run
after another, Kalman 1960). *Between* the nodes no weight moves, because the forecast's posterior cuts the evidence
about the floor off (Plummer 2015). But each node's law is pinned to what was seen, so that their forecasts draw
together where the new run lies nearer to the target than the old ones: that is most of what a larger run is good for.
Suffixes: S draws, P points, J nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chidu.laws import priors
from chidu.laws.discrepancy import coordinates
from chidu.laws.fit import Fit
from chidu.stats import Array


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Means and covariances of log losses at P points, for each node of the floor's prior."""

    weights: Array
    """Of the nodes, [J]."""
    mean_JP: Array
    covariance_JPP: Array
    noise_P: Array
    """Variance with which a run at a point would be observed, as the fit would weigh it."""
    spread_PP: Array
    """Covariance between the nodes that earlier observations have added: where they will land is not known."""

    def variances(self) -> Array:
        """Of the law's log loss at each point, nodes mixed, [P]."""
        between = self.weights @ (self.mean_JP - self.weights @ self.mean_JP) ** 2
        within = self.weights @ np.einsum("jpp->jp", self.covariance_JPP)
        return within + between + np.diag(self.spread_PP)

    def gains(self) -> Array:
        """How much each node's points move with an observation of each point, [J, P moved, P observed]."""
        seen = np.einsum("jpp->jp", self.covariance_JPP) + self.noise_P
        return self.covariance_JPP / seen[:, None, :]

    def after(self, seen: int) -> "Beliefs":
        """Beliefs once a run at a point is observed, in expectation over where it will land."""
        gain_JP = self.gains()[:, :, seen]
        expected = float(self.weights @ self.mean_JP[:, seen])
        mean = self.mean_JP + gain_JP * (expected - self.mean_JP[:, seen, None])
        covariance = self.covariance_JPP - gain_JP[:, :, None] * self.covariance_JPP[:, None, seen]
        apart = gain_JP - self.weights @ gain_JP
        landing = float(self.variances()[seen] + self.noise_P[seen])
        spread = self.spread_PP + landing * np.einsum("j,jp,jq->pq", self.weights, apart, apart)
        return replace(self, mean_JP=mean, covariance_JPP=covariance, spread_PP=spread)

    def after_all(self, seen: Sequence[int]) -> "Beliefs":
        """Beliefs once runs at all of these points are observed, in any order."""
        beliefs = self
        for point in seen:
            beliefs = beliefs.after(point)
        return beliefs

    def variances_after(self, point: int = 0) -> Array:
        """Variance at a point once a run at each of the points is observed, [P]."""
        gain_JP = self.gains()[:, point]
        expected = self.weights @ self.mean_JP
        mean = self.mean_JP[:, point, None] + gain_JP * (expected - self.mean_JP)
        between = self.weights @ (mean - self.weights @ mean) ** 2
        within = self.covariance_JPP[:, point, point, None] - gain_JP * self.covariance_JPP[:, point]
        apart = self.weights @ (gain_JP - self.weights @ gain_JP) ** 2
        landing = self.variances() + self.noise_P
        return self.weights @ within + between + landing * apart + self.spread_PP[point, point]


def believe(fit: Fit, points_PK: Array) -> Beliefs:
    """The beliefs of a fit about the losses at some points (params and tokens, or flops), [P, K]."""
    posterior, log_points = fit.posterior, np.log(points_PK)
    values = np.log(fit.sample(points_PK, of="law"))
    nodes = [posterior.nodes == node for node in np.unique(posterior.nodes)]
    missed = posterior.missed_covariance(log_points, log_points)
    means = np.stack([values[node].mean(0) for node in nodes])
    centred = [values[node] - mean for node, mean in zip(nodes, means, strict=True)]
    covariance = np.stack([part.T @ part / len(part) for part in centred]) + missed
    weights = np.array([node.mean() for node in nodes])
    below = np.maximum(posterior.top - coordinates(log_points)[:, 0], 0.0)
    noise = float((posterior.sigma**2).mean()) * np.exp(priors.TILT * below) ** 2 + priors.RUN_FLOOR**2
    return Beliefs(weights, means, covariance, noise, np.zeros((len(points_PK), len(points_PK))))
