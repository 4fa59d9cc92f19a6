"""What is believed before a table is seen, from the published ladders that the forecaster was compared on.

Weak everywhere that a table can speak for itself. The floor is where it cannot: the curvature of small runs says little
about the loss that remains at infinite compute, so the floor is given relative to the lowest losses, and a forecast
integrates over it.
"""

from dataclasses import dataclass

import numpy as np

from chidu.laws.forms.form import Form
from chidu.stats import Array

EXPONENT, EXPONENT_SD = 0.24, 0.05
"""Of params and of tokens, where the floor is at its prior's centre. Published fits, whose floors are higher: 0.28 to
0.37. Both are scaled with the floor (`parameter_prior`)."""
SCALE_BOUNDS = (0.5, 2.0)
"""Of that scaling."""
FRONTIER_EXPONENT, FRONTIER_EXPONENT_SD = 0.115, 0.03
"""Of compute, near half the one of params as in a balanced law."""
LOG_COUPLING, LOG_COUPLING_SD = -0.4, 0.3
"""Log of the coupled form's k."""
FLOORLESS_EXPONENT, FLOORLESS_EXPONENT_SD = 0.09, 0.04
"""Of a law without a floor, whose exponents come out smaller (Kaplan et al. 2001.08361, table 2: 0.076 and 0.103)."""
HALF_LIFE, LOG_HALF_LIFE_SD = 10.0, 0.7
"""Median of R_D* and R_N* and the sd of their logs (Muennighoff et al. 2305.16264: 15.4 and 5.3)."""
LOG_AMPLITUDE_SD = 1.0
BALANCE_SD = 0.6
"""Sd of log (gain from params / gain from tokens) at 20 tokens/param (Hoffmann et al. 2203.15556: balanced there)."""
NOISE, LOG_NOISE_SD = 0.004, 0.8
"""Sd of one run's log loss around the law, near the largest runs; published seed noise: 0.1 to 0.5 %."""
NOISE_GRID = np.array([0.0007, 0.0015, 0.003, 0.006, 0.012, 0.025])
DISCREPANCY_GRID = np.array([0.02, 0.05])
"""Sd of the discrepancy of the log reducible loss."""
STUDENT = 4.0
"""Degrees of freedom of the noise: outliers pull little."""
TILT = 1.5
"""The noise grows by this power of e for each decade below the largest run: runs far below count less."""
RUN_FLOOR = 0.003
"""Noise of the log loss of a run that the table cannot show (another machine, data order, library)."""
FLOOR_SHIFT, FLOOR_SD = -0.17, 0.14
"""Of the log of (floor / lowest loss) on published ladders: how far the floor lies below where fits of small runs put
it, and the prior's standard deviation."""
FLOOR_EVIDENCE = 0.15
"""Power at which a published ladder's evidence re-weighs the nodes of the floor."""
NODES = np.array([-1.355, 0.0, 1.355])
NODE_WEIGHTS = np.array([0.2222, 0.5556, 0.2222])
"""Three points of a normal that carry the floor's prior; each is a narrow normal of its own (`Floor.node_sd`)."""


@dataclass(frozen=True)
class Floor:
    """Prior of the floor E: log-normal around a fraction of the lowest loss."""

    fraction: float
    """Centre of E / lowest loss."""
    sd: float
    """Of log E."""
    node_sd: float
    evidence: float
    """Power at which the table's evidence re-weighs the nodes: 0 cuts it off, 1 is Bayes."""
    discrepancy: float
    """Factor on `DISCREPANCY_GRID`: how much less a power law is to be trusted there."""


def floor_prior(log10_flops: float) -> Floor:
    """The floor's prior for a table whose largest run took this compute.

    From 1e16 FLOPs, what published ladders showed: larger runs have come nearer to the floor. Below 1e15 there are no
    such ladders but small ones, where any fraction from 0.2 to 0.9 fits: wide there, and the table's own evidence has
    more of a say. The centre is what 0.6 to 0.7 bits a byte, which large models reach on text, are of runs at 1.9.
    Runs of a laptop, below 1e14, have not settled into their power law yet: they still gain faster than it, as if the
    floor were lower, and the discrepancy is larger (docs/LOG.md, "The floor of a laptop's ladder"). Between the regimes
    everything passes smoothly.
    """
    small = 1.0 / (1.0 + np.exp((log10_flops - 15.0) / 0.3))
    laptop = 1.0 / (1.0 + np.exp((log10_flops - 14.0) / 0.2))
    published = np.clip(0.57 + 0.07 * (log10_flops - 18.0), 0.35, 0.85) * np.exp(FLOOR_SHIFT)
    log_small = np.log(0.35) + laptop * np.log(0.25 / 0.35)
    return Floor(
        fraction=float(np.exp(small * log_small + (1 - small) * np.log(published))),
        sd=float(small * 0.5 + (1 - small) * FLOOR_SD),
        node_sd=float(0.03 + small * 0.1),
        evidence=float(small * (0.5 - 0.2 * laptop) + (1 - small) * FLOOR_EVIDENCE),
        discrepancy=float(1 + small * (1.5 - 0.5 * laptop)),
    )


def parameter_prior(form: Form, floor: Floor, log_floor: float, lowest: float, reducible: float) -> tuple[Array, Array]:
    """Means and sds of a form's theta, [P] each, around one value of the floor.

    What a table shows of its law is the slope of the log loss, (R / L) x exponent: where the floor is taken to be
    higher, less of the loss is reducible, and that part has to fall faster. So the exponents' means are scaled by the
    reducible share at the prior's centre over the one at this floor.

    Args:
        form: the law's shape.
        floor: the floor's prior.
        log_floor: the value that it is taken to have here.
        lowest: the lowest losses near the largest run, nats per token.
        reducible: a typical loss above the floor, nats per token.
    """
    scale = np.clip((1 - floor.fraction) / max(1 - np.exp(log_floor) / lowest, 0.05), *SCALE_BOUNDS)
    log_reducible = float(np.log(reducible))
    if form.inputs == ("flops",):
        mean = [log_floor, log_reducible, FRONTIER_EXPONENT * scale]
        return np.array(mean), np.array([floor.node_sd, LOG_AMPLITUDE_SD, FRONTIER_EXPONENT_SD])
    count = form.exponents.stop - form.exponents.start
    if not form.floor:
        level = float(np.logaddexp(log_floor, log_reducible))
        sd = [LOG_AMPLITUDE_SD] * 2 + [FLOORLESS_EXPONENT_SD] * count
        return np.array([level, level, *[FLOORLESS_EXPONENT] * count]), np.array(sd)
    half = log_reducible - np.log(2)
    mean = [log_floor, half, half, *[EXPONENT * scale] * count]
    sd = [floor.node_sd, LOG_AMPLITUDE_SD, LOG_AMPLITUDE_SD, *[EXPONENT_SD] * count]
    if form.key == "coupled":
        mean, sd = [*mean, LOG_COUPLING], [*sd, LOG_COUPLING_SD]
    if form.key == "repetition":
        mean, sd = [*mean, *[float(np.log(HALF_LIFE))] * 2], [*sd, *[LOG_HALF_LIFE_SD] * 2]
    return np.array(mean), np.array(sd)


def log_noise_prior(noise_B: Array, measured: float | None, freedom: int) -> Array:
    """Log prior of the noise, [B]; replicated runs (other seeds) enter as a chi-square with at most 8 degrees."""
    value = -0.5 * (np.log(noise_B / NOISE) / LOG_NOISE_SD) ** 2
    if measured is not None and measured > 0:
        value = value - min(freedom, 8) * (np.log(noise_B) + 0.5 * (measured / noise_B) ** 2)
    return value
