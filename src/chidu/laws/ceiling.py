"""The loss of a model that has learnt nothing, log(vocab_size), and what it does to the law of small runs.

A power law has no upper end, but a loss has: no run is worse than a uniform guess, L0 = log V. Small runs are not far
below it, and there the loss falls the slower for it: on log-log axes it bends downwards before it becomes a power law
(docs/LOG.md: from 1e11 to 1e13 FLOPs the slope grows by half). The laws are therefore written for

    T = L / (1 - L / L0),   T = E' + A / N^alpha + B / D^beta,   so that   L = T / (1 + T / L0),

which is the loss itself where L is far below L0, the power law towards a floor there, and L0 where nothing is learnt.
Where the vocabulary is not known, L0 is taken as infinite and T is L.
"""

from dataclasses import dataclass

import numpy as np

from chidu.runs import RunTable
from chidu.stats import Array


@dataclass(frozen=True)
class Ceiling:
    """The change of variable between log losses and log T."""

    loss: float = np.inf
    """L0, nats per token."""

    def lift(self, log_loss: Array) -> Array:
        """log L -> log T, any shape; losses at or above L0 count as just below it."""
        return log_loss - np.log1p(-np.minimum(np.exp(log_loss) / self.loss, 0.999))

    def lower(self, log_t: Array) -> Array:
        """log T -> log L, any shape."""
        return log_t - np.log1p(np.exp(log_t) / self.loss)

    def slope(self, log_t: Array) -> Array:
        """d log L / d log T, in (0, 1], any shape."""
        return 1.0 / (1.0 + np.exp(log_t) / self.loss)


def ceiling_of(table: RunTable) -> Ceiling:
    """The ceiling of a table whose runs all know one vocabulary; else none."""
    sizes = set(table.column("vocab_size"))
    if len(sizes) != 1:
        return Ceiling()
    size = sizes.pop()
    return Ceiling(float(np.log(size))) if size > 1 else Ceiling()
