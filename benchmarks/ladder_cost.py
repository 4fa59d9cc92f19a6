"""What a forecast costs: chidu's ladder beside the usual ones, for the same target and the same interval.

Laws are drawn from the priors, each design's losses are made up from them with a run's noise, and the forecast's own
posterior is inferred: its 90 % interval at the target, whether the made outcome is inside, and how far the median is
off. The target is fixed, compute-optimal at 20 tokens per parameter; *any* design may spend what it likes on it, a
larger ladder simply comes nearer to the target. Two widths are asked for: what chidu's ladder reaches with its largest
rung at 1/10 of the target's compute, and at 1/30. For each usual ladder the budget that reaches the same width is found
by bisection of the log of its largest run, and the FLOPs are compared, 6 * params * tokens, shared steps once.

- `chidu`: the optimal design of `chidu plan` with its trunks. Probes of the rate and replicates count in its price.
- `cosine-20`: separate runs with a cosine each, at 20 tokens per parameter, sizes a factor of two in FLOPs apart over
  SPAN, every size with SEEDS seeds; no sweep of the rate is counted.
- `cosine-grid`: sizes a factor of two apart in params, each at 1, 2, 5 and 10 times 20 tokens per parameter, one run
  each (the ladder of 2412.04403); no sweep of the rate is counted.
- `cosine-isoflop`: four amounts of compute a factor of three apart, each at five ratios; no sweep is counted.

The noise of a run is the same for all of them. Runs that cost more than the target itself are no ladder: a usual design
that does not reach the width below that is listed without a price.

Bar: chidu's ladder takes at most 40 % of the FLOPs of the usual one (`cosine-20`) at both distances.

    python benchmarks/ladder_cost.py [--laws 12] [--noise 0.004] [--check]
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import record
from chidu.accounting import law_flops
from chidu.designs import plan_ladder
from chidu.forecast.design_score import FORM, Prior, draw_laws
from chidu.ladder.design import Corpus
from chidu.ladder.plan import Speed
from chidu.ladder.price import price_jobs, work_seconds
from chidu.ladder.recipe import Recipe
from chidu.laws import priors
from chidu.laws.discrepancy import coordinates
from chidu.laws.posterior import infer

BAR = 0.4
DISTANCES = (10.0, 30.0)
TARGET = 1e14
SPAN, SEEDS = 5, 1
MULTIPLES = (1.0, 2.0, 5.0, 10.0)
RATIOS = (5.0, 10.0, 20.0, 40.0, 80.0)
SPEED = Speed(per_step=0.003, per_token=1.26e-5, per_flop=1.65e-11, overhead=3.0, workers=2, device="cpu")
"""Of a run of `benchmarks/demo_seeds.py` on two cores: it decides which runs are cheap in seconds."""
CORPUS = Corpus("made", vocab_size=1024, train_tokens=10**9, evaluation_tokens=200_000)
Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Ladder:
    """Runs, and what they cost."""

    runs: Pairs
    """(params, tokens)."""
    flops: float
    seconds: float
    """Of all workers together, one run after the other."""
    freedom: int = 0
    """With which replicates measure the noise."""


@dataclass(frozen=True)
class Outcome:
    """A ladder played through: means over the laws."""

    half_width: float
    cover: float
    error: float


def pairs_at(flops: float, ratios: Sequence[float]) -> Pairs:
    """Runs of one amount of compute."""
    return [(math.sqrt(flops / 6 / ratio), math.sqrt(flops * ratio / 6)) for ratio in ratios]


def usual(runs: Pairs) -> Ladder:
    """A ladder of separate runs, of the recipe's nearest widths as far as seconds are concerned."""
    recipe, seconds = Recipe(), 0.0
    for params, tokens in runs:
        width = recipe.nearest_width(params, CORPUS.vocab_size)
        config = recipe.config(width, tokens, CORPUS.vocab_size, CORPUS.id)
        seconds += SPEED.seconds(config, CORPUS.evaluation_tokens)
    return Ladder(runs, sum(law_flops(*run) for run in runs), seconds, freedom=(SEEDS - 1) * len(runs))


def cosine_20(top: float) -> Ladder:
    """Sizes at 20 tokens per parameter."""
    return usual([pairs_at(top / 2**i, (20.0,))[0] for i in range(SPAN) for _ in range(SEEDS)])


def cosine_grid(top: float) -> Ladder:
    """Sizes, each on multiples of 20 tokens per parameter."""
    largest = math.sqrt(top / law_flops(1.0, 20 * MULTIPLES[-1]))
    return usual([(largest / 2**i, 20 * m * largest / 2**i) for i in range(4) for m in MULTIPLES])


def cosine_isoflop(top: float) -> Ladder:
    """Amounts of compute, each at several ratios."""
    return usual([pair for i in range(4) for pair in pairs_at(top / 3**i, RATIOS)])


USUAL: dict[str, Callable[[float], Ladder]] = {
    "cosine-20": cosine_20,
    "cosine-grid": cosine_grid,
    "cosine-isoflop": cosine_isoflop,
}


def chidu_ladder(distance: float, noise: float) -> Ladder:
    """The optimal design whose largest rung takes a part of the target: the budget is found that it fits best."""
    low, high = 30.0, 1e6
    best = None
    for _ in range(14):
        middle = math.sqrt(low * high)
        plan = plan_ladder(middle, CORPUS, SPEED, kind="optimal", target=f"{distance:g}x", noise=noise)
        if plan.largest_flops <= TARGET / distance * 1.01:
            low, best = middle, plan
        else:
            high = middle
    assert best is not None
    runs = [(float(rung.params), float(rung.tokens)) for rung in best.law_runs]
    freedom = sum(rung.role == "replicate" for rung in best.rungs)
    jobs = price_jobs(best.rungs, SPEED, CORPUS.evaluation_tokens)
    return Ladder(runs, best.flops, work_seconds(jobs), freedom)


def play(ladder: Ladder, laws: int, noise: float, seed: int = 0) -> Outcome:
    """Make the losses of a ladder up and forecast the target from them, once a law."""
    rng = np.random.default_rng(seed)
    points = np.log(np.array(ladder.runs))
    target = np.log(np.array(pairs_at(TARGET, (20.0,))))
    # The laws stand on the target, not on the ladder, so that they are the same for all ladders.
    centre = target[0]
    drawn = draw_laws(Prior(), target, centre, np.random.default_rng(seed))[:laws]
    compute = coordinates(points)[:, 0]
    tilt = np.exp(priors.TILT * (compute.max() - compute))
    halves, inside, errors = [], [], []
    for i, law in enumerate(drawn):
        losses = FORM.log_loss(law[None], points - centre)[0] + noise * tilt * rng.standard_normal(len(points))
        measured = noise * math.sqrt(rng.chisquare(ladder.freedom) / ladder.freedom) if ladder.freedom else None
        posterior = infer(points, losses, measured=measured, freedom=ladder.freedom, draws=600, seed=seed + i)
        draws = posterior.log_loss(target, "run")[:, 0]
        lower, median, upper = np.quantile(draws, [0.05, 0.5, 0.95])
        landed = FORM.log_loss(law[None], target - centre)[0, 0]
        landed += float(np.hypot(noise, priors.RUN_FLOOR)) * rng.standard_normal()
        halves.append((upper - lower) / 2)
        inside.append(lower <= landed <= upper)
        errors.append(abs(median - landed))
    return Outcome(float(np.mean(halves)), float(np.mean(inside)), float(np.mean(errors)))


def reach(make: Callable[[float], Ladder], width: float, laws: int, noise: float) -> Ladder | None:
    """The cheapest ladder of a usual design that is as narrow, None where that costs more than the target."""
    low, high = TARGET / 300, TARGET
    while make(high).flops > TARGET:
        high /= 1.1
    if play(make(high), laws, noise).half_width > width:
        return None
    for _ in range(9):
        middle = math.sqrt(low * high)
        if play(make(middle), laws, noise).half_width <= width:
            high = middle
        else:
            low = middle
    return make(high)


def main() -> int:
    """Price, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=12, help="made laws a ladder is played through for")
    parser.add_argument("--noise", type=float, default=priors.NOISE, help="sd of a run's log loss")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    print(f"target {TARGET:.0e} FLOPs, noise {asked.noise:.2%}, {asked.laws} laws")
    print(f"{'':6}{'ladder':<16}{'runs':>5}{'half-width':>11}{'cover':>7}{'error':>7}{'FLOPs':>10}{'of target':>10}"
          f"{'seconds':>9}{'ours':>7}")  # fmt: skip
    rows, missed = [], []
    for distance in DISTANCES:
        ours = chidu_ladder(distance, asked.noise)
        outcome = play(ours, asked.laws, asked.noise)
        rows.append(row(distance, "chidu", ours, outcome, ours))
        for name, make in USUAL.items():
            other = reach(make, outcome.half_width, asked.laws, asked.noise)
            found = play(other, asked.laws, asked.noise) if other else None
            rows.append(row(distance, name, other, found, ours))
            if name == "cosine-20" and other is not None and ours.flops > BAR * other.flops:
                missed.append(f"at {distance:g}x at most {BAR:.0%} of {name}'s FLOPs: {ours.flops / other.flops:.0%}")
    print(record.write("ladder_cost", {"target": TARGET, "noise": asked.noise, "laws": asked.laws, "rows": rows}))
    return record.judge(missed, asked.check)


def row(distance: float, name: str, ladder: Ladder | None, outcome: Outcome | None, ours: Ladder) -> dict[str, Any]:
    """Print a line and keep it."""
    head = {"distance": distance, "ladder": name}
    if ladder is None or outcome is None:
        print(
            f"{distance:>4g}x {name:<16} over the target: it does not get there below the target's own FLOPs",
            flush=True,
        )
        return {**head, "flops": None}
    share = ours.flops / ladder.flops
    print(
        f"{distance:>4g}x {name:<16}{len(ladder.runs):>5}{outcome.half_width:>11.2%}{outcome.cover:>7.0%}"
        f"{outcome.error:>7.2%}{ladder.flops:>10.2e}{ladder.flops / TARGET:>10.1%}{ladder.seconds:>9.0f}{share:>7.0%}",
        flush=True,
    )
    figures = {"runs": len(ladder.runs), "flops": ladder.flops, "seconds": ladder.seconds, "ours": share}
    return {**head, **figures, "half_width": outcome.half_width, "cover": outcome.cover, "error": outcome.error}


if __name__ == "__main__":
    sys.exit(main())
