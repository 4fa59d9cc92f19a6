"""The published fitting procedure, written anew from its description, to be timed and compared with.

Hoffmann et al. (2203.15556, section 3.3 and appendix D.3) and Besiroglu et al. (2404.10102): minimise the sum of
Huber's loss, delta 1e-3, of log L - LSE(a - alpha log N, b - beta log D, e), from every point of a grid of starts, by
BFGS; keep the best. For standard errors Besiroglu et al. resample the runs 4,000 times, each refit started from the
parameters of Hoffmann et al.
"""

import time
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize

DELTA = 1e-3
GRID = {
    "a": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    "b": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    "e": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "alpha": (0.0, 0.5, 1.0, 1.5, 2.0),
    "beta": (0.0, 0.5, 1.0, 1.5, 2.0),
}
"""4,500 starts (2203.15556, appendix D.3)."""
HOFFMANN = (np.log(406.4), np.log(410.7), np.log(1.69), 0.34, 0.28)
"""Where each bootstrap starts: the parameters of 2203.15556."""


@dataclass(frozen=True)
class Objective:
    """The published objective over runs."""

    log_n: Any
    log_d: Any
    log_loss: Any

    def take(self, rows: Any) -> "Objective":
        """Of some rows, repeats included."""
        return Objective(self.log_n[rows], self.log_d[rows], self.log_loss[rows])

    def value(self, theta: Any) -> float:
        """The objective at (a, b, e, alpha, beta)."""
        return float(self.both(theta)[0])

    def both(self, theta: Any) -> tuple[float, Any]:
        """The objective and its exact gradient."""
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * self.log_n, b - beta * self.log_d, np.full(len(self.log_n), e)])
        top = terms.max(0)
        parts = np.exp(terms - top)
        total = parts.sum(0)
        error = self.log_loss - top - np.log(total)
        size = np.abs(error)
        loss = np.where(size <= DELTA, 0.5 * error**2, DELTA * (size - 0.5 * DELTA)).sum()
        by_a, by_b, by_e = -parts / total * np.clip(error, -DELTA, DELTA)
        gradient = [by_a.sum(), by_b.sum(), by_e.sum(), -(by_a * self.log_n).sum(), -(by_b * self.log_d).sum()]
        return float(loss), np.array(gradient)

    def descend(self, start: Any, exact: bool) -> tuple[Any, float]:
        """BFGS from one start, its gradient by differences (scipy's default) or exact."""
        with np.errstate(all="ignore"):
            if exact:
                found = minimize(self.both, start, jac=True, method="BFGS", options={"maxiter": 10_000})
            else:
                found = minimize(self.value, start, method="BFGS", options={"maxiter": 10_000})
        return found.x, float(found.fun)


def natural(theta: Any) -> dict[str, float]:
    """The parameters as papers write them."""
    a, b, e, alpha, beta = (float(value) for value in theta)
    return {"E": np.exp(e), "A": np.exp(a), "B": np.exp(b), "alpha": alpha, "beta": beta}


def fit(objective: Objective, *, every: int, exact: bool) -> dict[str, Any]:
    """Fit from the grid's starts, or from every n-th of them, the CPU time then extrapolated to all."""
    starts = [
        (a, b, e, alpha, beta) for alpha, beta, e, a, b in product(*(GRID[k] for k in ("alpha", "beta", "e", "a", "b")))
    ]
    used = starts[every // 2 :: every]
    started = time.process_time()
    found = [objective.descend(start, exact) for start in used]
    seconds = time.process_time() - started
    theta, lowest = min((pair for pair in found if np.isfinite(pair[1])), key=lambda pair: pair[1])
    return {
        "gradient": "exact" if exact else "differences",
        "starts": len(used),
        "seconds": seconds * len(starts) / len(used),
        "extrapolated": every > 1,
        "objective": lowest,
        "parameters": natural(theta),
    }


def bootstrap(objective: Objective, counts: Any, *, exact: bool) -> dict[str, Any]:
    """Refit to resampled runs, given as how often each was drawn, [samples, n]; CPU seconds a sample, errors."""
    rows = np.arange(counts.shape[1])
    started = time.process_time()
    found = [objective.take(np.repeat(rows, count)).descend(HOFFMANN, exact)[0] for count in counts]
    seconds = (time.process_time() - started) / len(counts)
    made = [natural(theta) for theta in found]
    return {
        "gradient": "exact" if exact else "differences",
        "samples": len(counts),
        "seconds_per_sample": seconds,
        "standard_errors": {name: float(np.std([law[name] for law in made], ddof=1)) for name in made[0]},
    }
