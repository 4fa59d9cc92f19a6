"""Which runs make the narrowest forecast of a target for their price: optimal design, before any run is trained.

The design is built greedily and improved by exchange (Fedorov 1972; Atkinson, Donev and Tobias 2007, section 12.3): a
run is added that narrows the target's interval most for its seconds, until the time is spent or another is not worth
its price; then each run is replaced where another one in its place narrows more. What a run would teach is from
`prior_beliefs.py`, what it costs from `ladder/price.py`: where runs share a trunk, another budget costs its branch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chidu.forecast.prior_beliefs import PriorBeliefs, prior_beliefs
from chidu.ladder.price import Job, ladder_seconds, work_seconds
from chidu.stats import Array

KEEP = 0.5
"""Of the candidates that reach this part of the greatest narrowing, the one with most for its seconds is taken."""
WORTH = 0.1
"""Least relative narrowing for a relative rise of the price: a run that is worth less is not added."""
SPREAD = 4.0
"""Least factor between the largest and the smallest tokens/param of a design: where the ratio hardly varies, the law
cannot tell params from tokens, and what the prior says of the split would be taken for knowledge (2605.08541)."""
PASSES = 3
MOST_RUNS = 30
GAIN = 1e-3
"""Least narrowing by an exchange."""
NORMAL_90 = 1.6449
"""Half of a normal's 90 % interval, in standard deviations."""


@dataclass(frozen=True)
class Candidate:
    """A run that a design may have."""

    params: float
    tokens: float
    job: Job


@dataclass(frozen=True)
class Chosen:
    """The runs of a design, by their place among the candidates; one that is there twice is another seed."""

    runs: tuple[int, ...]
    half_width: float
    """Expected, of the target's 90 % interval, a part of the loss."""


def half_width(variance: float) -> float:
    """Half of a normal's 90 % interval."""
    return float(NORMAL_90 * np.sqrt(variance))


def expected_half_width(
    runs: Sequence[tuple[float, float]], target: tuple[float, float], *, noise: float, replicates: int = 0
) -> float:
    """Expected half-width of the target's 90 % interval after runs of (params, tokens), a part of the loss."""
    points = np.log(np.array([target, *runs]))
    largest = points[1 + int(points[1:].sum(1).argmax())]
    beliefs = prior_beliefs(points, largest, noise=noise, replicates=replicates)
    return half_width(beliefs.after_all(range(1, len(points))).variance(0))


class Search:
    """A search among candidates; one object a question, so that prices and beliefs are worked out once."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        target: tuple[float, float],
        *,
        extra: Sequence[Job],
        workers: int,
        budget_seconds: float,
        noise: float,
        replicates: int,
    ) -> None:
        """Candidates in any order; `extra` are jobs that every design has to pay for (probes)."""
        self.candidates, self.target, self.extra = candidates, target, list(extra)
        self.workers, self.budget = workers, budget_seconds
        points = np.log(np.array([target, *[(c.params, c.tokens) for c in candidates]]))
        largest = points[1 + int(points[1:].sum(1).argmax())]
        self.beliefs = prior_beliefs(points, largest, noise=noise, replicates=replicates)
        self.ratios = points[1:, 1] - points[1:, 0]

    def find(self, fixed: Sequence[int]) -> Chosen:
        """The best design that has the fixed runs."""
        runs = self._improve(self._grow([*fixed]), len(fixed))
        left = self._beliefs(runs).variance(0)
        return Chosen(tuple(runs), half_width(left))

    def fits(self, runs: Sequence[int]) -> bool:
        """Whether these runs are done within the budget."""
        jobs = self.jobs(runs)
        if work_seconds(jobs) > self.budget * self.workers:
            return False
        return ladder_seconds(jobs, self.workers) <= self.budget

    def jobs(self, runs: Sequence[int]) -> list[Job]:
        """Jobs of the runs: a second one at the same place has another seed, and so another trunk."""
        seen: Counter[int] = Counter()
        jobs = list(self.extra)
        for i in runs:
            job = self.candidates[i].job
            jobs.append(replace(job, trunk=f"{job.trunk}+{seen[i]}") if seen[i] else job)
            seen[i] += 1
        return jobs

    def _beliefs(self, runs: Sequence[int]) -> PriorBeliefs:
        return self.beliefs.after_all([i + 1 for i in runs])

    def _prices(self, runs: Sequence[int]) -> tuple[float, Array]:
        """Seconds of all workers for the runs, and what each candidate would add."""
        now = work_seconds(self.jobs(runs))
        return now, np.array([work_seconds(self.jobs([*runs, i])) - now for i in range(len(self.candidates))])

    def _grow(self, runs: list[int]) -> list[int]:
        """Add runs one by one."""
        beliefs = self._beliefs(runs)
        while len(runs) < MOST_RUNS:
            price, added = self._prices(runs)
            gains = 0.5 * np.log(beliefs.variance(0) / beliefs.variances_after(0)[1:])
            rate = gains * price / np.maximum(added, 1e-9)
            good = gains >= KEEP * gains.max()
            order = [int(i) for i in np.lexsort((-rate, ~good)) if rate[i] >= WORTH]
            pick = next((i for i in order if self.fits([*runs, i])), None)
            if pick is None:
                break
            runs, beliefs = [*runs, pick], beliefs.after(pick + 1)
        return runs

    def _improve(self, runs: list[int], fixed: int) -> list[int]:
        """Replace runs, one at a time, as long as that narrows the interval."""
        for _ in range(PASSES):
            before = list(runs)
            for place in range(fixed, len(runs)):
                others = [*runs[:place], *runs[place + 1 :]]
                left = self._beliefs(others).variances_after(0)[1:]
                now = left[runs[place]]
                for i in np.argsort(left):
                    if left[i] > now * (1 - GAIN) ** 2:
                        break
                    trial = [*runs[:place], int(i), *runs[place + 1 :]]
                    if self.spread(trial) and self.fits(trial):
                        runs = trial
                        break
            if runs == before:
                break
        return runs

    def spread(self, runs: Sequence[int]) -> bool:
        """Whether the runs' tokens/param differ enough."""
        ratios = self.ratios[list(runs)]
        return bool(np.ptp(ratios) >= np.log(SPREAD))
