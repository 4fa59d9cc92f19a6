"""What a forecast costs: chidu's ladder beside the usual ones, for the same target and the same interval.

The target is fixed, compute-optimal at 20 tokens per parameter. Two half-widths of its 90 % interval are asked for:
what `cosine-20` is expected to reach with its largest run at 1/10 of the target's compute, and at 1/30. *Any* ladder
may spend what it likes on them, a larger one simply comes nearer to the target; for each the budget that just reaches
the width is found by bisection, by the expected half-width of `chidu plan` (`prior_beliefs.py`). The FLOPs are
compared, 6 * params * tokens, shared steps once. Each ladder found is then played through: laws are drawn from the
priors, its losses made up with a run's noise, the same for all ladders, and the forecast's own posterior is inferred;
the table has its mean half-width, how often the made outcome is inside, and how far the median is off.

- `chidu`: the optimal design of `chidu plan` with its trunks; the probes of the rate and the replicates count.
- `cosine-20`: separate runs with a cosine each, at 20 tokens per parameter, five sizes a factor of two in FLOPs apart.
  It is on the very ray that the target lies on, and tells nothing of any other split.
- `cosine-20 swept`: the same with three rates at each size, as is done where no rate transfers; the best one counts.
- `cosine-grid`: four sizes a factor of two apart in params, each at 1, 2, 5 and 10 times 20 tokens per parameter, one
  run each (the ladder of 2412.04403).
- `cosine-isoflop`: four amounts of compute a factor of three apart, each at five ratios.

A ladder that costs more than the target is none: one that does not get there below that is listed without a price.

Bar: chidu's ladder takes at most 40 % of the FLOPs of the usual one (`cosine-20`) for both widths.

    python benchmarks/ladder_cost.py [--laws 8] [--noise 0.004] [--check]
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
from chidu.errors import InputError
from chidu.forecast.design_score import FORM, Prior, draw_laws
from chidu.forecast.optimal_design import expected_half_width
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
SIZES, RATES = 5, 3
MULTIPLES = (1.0, 2.0, 5.0, 10.0)
RATIOS = (5.0, 10.0, 20.0, 40.0, 80.0)
SPEED = Speed(per_step=0.003, per_token=1.26e-5, per_flop=1.65e-11, overhead=3.0, workers=2, device="cpu")
"""Of two cores that ran `benchmarks/demo_seeds.py`: what seconds are counted with."""
FLOPS_ALONE = Speed(per_step=0.0, per_token=0.0, per_flop=1e-12, overhead=0.0, workers=1, device="cpu")
"""What chidu's ladder is designed with here: its price is FLOPs."""
CORPUS = Corpus("made", vocab_size=1024, train_tokens=10**9, evaluation_tokens=0)
HALVINGS = 9
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


def usual(runs: Pairs, times: int = 1) -> Ladder:
    """A ladder of separate runs, each trained so many times; seconds are those of the recipe's nearest widths."""
    recipe, seconds = Recipe(), 0.0
    for params, tokens in runs:
        width = recipe.nearest_width(params, CORPUS.vocab_size)
        seconds += SPEED.seconds(recipe.config(width, tokens, CORPUS.vocab_size, CORPUS.id))
    return Ladder(runs, times * sum(law_flops(*run) for run in runs), times * seconds)


def cosine_20(top: float, times: int = 1) -> Ladder:
    """Sizes at 20 tokens per parameter."""
    return usual([pairs_at(top / 2**i, (20.0,))[0] for i in range(SIZES)], times)


def cosine_20_swept(top: float) -> Ladder:
    """The same with some rates at each size."""
    return cosine_20(top, RATES)


def cosine_grid(top: float) -> Ladder:
    """Sizes, each on multiples of 20 tokens per parameter."""
    largest = math.sqrt(top / law_flops(1.0, 20 * MULTIPLES[-1]))
    return usual([(largest / 2**i, 20 * m * largest / 2**i) for i in range(4) for m in MULTIPLES])


def cosine_isoflop(top: float) -> Ladder:
    """Amounts of compute, each at several ratios."""
    return usual([pair for i in range(4) for pair in pairs_at(top / 3**i, RATIOS)])


def chidu_ladder(budget: float, noise: float) -> Ladder | None:
    """The optimal design for the target and a budget, FLOPs; None where there is none."""
    try:
        plan = plan_ladder(
            budget * FLOPS_ALONE.per_flop, CORPUS, FLOPS_ALONE, kind="optimal", target=f"{TARGET}", noise=noise
        )
    except InputError:
        return None
    runs = [(float(rung.params), float(rung.tokens)) for rung in plan.law_runs]
    freedom = sum(rung.role == "replicate" for rung in plan.rungs)
    seconds = work_seconds(price_jobs(plan.rungs, SPEED))
    return Ladder(runs, plan.flops, seconds, freedom)


LADDERS: dict[str, Callable[[float, float], Ladder | None]] = {
    "chidu": chidu_ladder,
    "cosine-20": lambda top, noise: cosine_20(top),
    "cosine-20 swept": lambda top, noise: cosine_20_swept(top),
    "cosine-grid": lambda top, noise: cosine_grid(top),
    "cosine-isoflop": lambda top, noise: cosine_isoflop(top),
}
"""Each by its dial, FLOPs of the largest run or of chidu's whole ladder, and the noise."""


def expected(ladder: Ladder, noise: float) -> float:
    """Expected half-width at the target."""
    return expected_half_width(ladder.runs, pairs_at(TARGET, (20.0,))[0], noise=noise, replicates=ladder.freedom)


def reach(make: Callable[[float, float], Ladder | None], width: float, noise: float) -> Ladder | None:
    """The cheapest ladder that is expected to be as narrow, None where that costs more than the target."""
    low, high, found = TARGET / 1000, TARGET, None
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        ladder = make(middle, noise)
        if ladder is not None and expected(ladder, noise) <= width:
            high, found = middle, ladder
        else:
            low = middle
    return found if found is not None and found.flops <= TARGET else None


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


def main() -> int:
    """Price, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=8, help="made laws a ladder is played through for")
    parser.add_argument("--noise", type=float, default=priors.NOISE, help="sd of a run's log loss")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    print(f"target {TARGET:.0e} FLOPs, noise {asked.noise:.2%}, {asked.laws} laws")
    heads = f"{'runs':>5}{'half-width':>11}{'cover':>7}{'error':>7}{'FLOPs':>10}{'of target':>10}{'seconds':>9}"
    print(f"{'asked':7}{'ladder':<16}{heads}{'ours':>7}")
    rows, missed = list[dict[str, Any]](), []
    for distance in DISTANCES:
        width = expected(cosine_20(TARGET / distance), asked.noise)
        found = {name: reach(make, width, asked.noise) for name, make in LADDERS.items()}
        ours, theirs = found["chidu"], found["cosine-20"]
        for name, ladder in found.items():
            rows.append(row(width, name, ladder, play(ladder, asked.laws, asked.noise) if ladder else None, ours))
        if ours is None or theirs is None or ours.flops > BAR * theirs.flops:
            part = f"{ours.flops / theirs.flops:.0%}" if ours and theirs else "it does not get there"
            missed.append(f"for ±{width:.2%} at most {BAR:.0%} of cosine-20's FLOPs: {part}")
    print(record.write("ladder_cost", {"target": TARGET, "noise": asked.noise, "laws": asked.laws, "rows": rows}))
    return record.judge(missed, asked.check)


def row(width: float, name: str, ladder: Ladder | None, outcome: Outcome | None, ours: Ladder | None) -> dict[str, Any]:
    """Print a line and keep it."""
    head = {"asked_half_width": width, "ladder": name}
    if ladder is None or outcome is None:
        print(f"±{width:5.2%} {name:<16} does not get there below the target's own FLOPs", flush=True)
        return {**head, "flops": None}
    share = ours.flops / ladder.flops if ours else None
    print(
        f"±{width:5.2%} {name:<16}{len(ladder.runs):>5}{outcome.half_width:>11.2%}{outcome.cover:>7.0%}"
        f"{outcome.error:>7.2%}{ladder.flops:>10.2e}{ladder.flops / TARGET:>10.1%}{ladder.seconds:>9.0f}"
        f"{'' if share is None else f'{share:.0%}':>7}",
        flush=True,
    )
    figures = {"runs": len(ladder.runs), "flops": ladder.flops, "seconds": ladder.seconds, "ours": share}
    return {**head, **figures, "half_width": outcome.half_width, "cover": outcome.cover, "error": outcome.error}


if __name__ == "__main__":
    sys.exit(main())
