"""Do 90 % intervals hold nine times in ten? Tables made from a law that is known, with noise that is known.

Ten designs, a hundred tables each. A table's law is drawn around the published ones (Hoffmann et al. 2203.15556;
Besiroglu et al. 2404.10102; Muennighoff et al. 2305.16264): exponents, floor and balance all vary. Targets lie 3, 10,
30 and 100 times beyond the largest run; each outcome is one new run, with its own noise. A second pass bends the law:
from the largest run on, the reducible loss falls faster or slower by up to 12 % of its exponent, as far as two known
fits of one table differ (alpha 0.34 and 0.348, beta 0.28 and 0.366).

Bars: over all tables of a law that holds, the intervals cover 87 to 93 %; of one that bends, more than 80 %.

    python benchmarks/coverage.py [--tables 1000] [--seed 0] [--check]
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import record
from chidu.forecast.loss import forecast_targets
from chidu.forecast.targets import Target
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable

Array = NDArray[np.float64]

STRAIGHT, BENT = (0.87, 0.93), 0.80
DISTANCES = np.array([3.0, 10.0, 30.0, 100.0])
BEND = 0.12
"""Most by which the exponents change beyond the data, as a fraction of them."""
RATIO = 20.0
"""Tokens per parameter of targets."""


@dataclass(frozen=True)
class Law:
    """E + A / N^alpha + B / D^beta; beyond `knee` FLOPs the reducible loss is scaled by (C / knee)^-bend."""

    floor: float
    a: float
    b: float
    alpha: float
    beta: float
    knee: float = np.inf
    bend: float = 0.0

    def loss(self, params: Array, tokens: Array) -> Array:
        """Nats per token."""
        reducible = self.a / params**self.alpha + self.b / tokens**self.beta
        return self.floor + reducible * np.maximum(6 * params * tokens / self.knee, 1.0) ** -self.bend


Design = Callable[[np.random.Generator], tuple[Array, Array]]
"""Params and tokens of a table's runs."""


def at(flops: Array, ratio: Array) -> tuple[Array, Array]:
    """Params and tokens of a compute at so many tokens per parameter."""
    params = np.sqrt(flops / (6 * ratio))
    return params, flops / (6 * params)


def isoflop(budgets: int, decades: float, top: float = 1e20, ratios: int = 5) -> Design:
    """Several splits of each budget."""

    def make(rng: np.random.Generator) -> tuple[Array, Array]:
        flops, ratio = np.meshgrid(np.geomspace(top / 10**decades, top, budgets), np.geomspace(5, 80, ratios))
        return at(flops.ravel(), ratio.ravel() * np.exp(0.1 * rng.standard_normal(flops.size)))

    return make


def ratio_ladder(count: int, decades: float, ratios: tuple[float, ...], top: float = 1e20) -> Design:
    """Sizes at one or several fixed tokens per parameter."""

    def make(rng: np.random.Generator) -> tuple[Array, Array]:
        flops, ratio = np.meshgrid(np.geomspace(top / 10**decades, top, count), np.array(ratios))
        return at(flops.ravel(), ratio.ravel())

    return make


def grid(rng: np.random.Generator) -> tuple[Array, Array]:
    """Every size on every number of tokens."""
    params, tokens = np.meshgrid(np.geomspace(2e7, 6e8, 6), np.geomspace(1e9, 2e10, 5))
    return params.ravel(), tokens.ravel()


def scattered(count: int, decades: float, top: float = 1e20) -> Design:
    """Runs as they happened to be made."""

    def make(rng: np.random.Generator) -> tuple[Array, Array]:
        flops = top * 10 ** -(decades * rng.random(count))
        return at(flops, np.exp(rng.uniform(np.log(5), np.log(60), count)))

    return make


DESIGNS: dict[str, Design] = {
    "isoFLOP, 5 budgets, 2 decades": isoflop(5, 2.0),
    "isoFLOP, 3 budgets, 1 decade": isoflop(3, 1.0),
    "isoFLOP, 9 budgets, 3 decades": isoflop(9, 3.0, top=1e21, ratios=9),
    "grid of 6 sizes and 5 lengths": grid,
    "8 sizes at 20 tokens/param": ratio_ladder(8, 2.5, (20.0,)),
    "6 sizes at 20 and 100 tokens/param": ratio_ladder(6, 2.0, (20.0, 100.0)),
    "over-trained: 4 sizes, 20 to 640": ratio_ladder(4, 2.0, (20.0, 80.0, 320.0, 640.0)),
    "10 scattered runs, 1.5 decades": scattered(10, 1.5),
    "100 scattered runs, 3 decades": scattered(100, 3.0),
    "small ladder of 16, up to 1e18": isoflop(4, 1.5, top=1e18, ratios=4),
}


def draw_law(rng: np.random.Generator) -> Law:
    """Draw a law around the published ones.

    Exponents 0.28 to 0.37 and floors of 1.69 to 1.87 were published; here they spread somewhat further. The two terms
    are in balance, within a factor, at 20 tokens/param; at 1e20 FLOPs the reducible loss is 0.55 to 0.95.
    """
    alpha, beta = np.clip(rng.normal(0.33, 0.04, 2), 0.2, 0.5)
    params, tokens = at(np.array(1e20), np.array(20.0))
    reducible, share = rng.uniform(0.55, 0.95), 1 / (1 + np.exp(rng.normal(0, 0.4)))
    return Law(
        floor=float(rng.uniform(1.5, 2.0)),
        a=float(reducible * share * params**alpha),
        b=float(reducible * (1 - share) * tokens**beta),
        alpha=float(alpha),
        beta=float(beta),
    )


@dataclass(frozen=True)
class Made:
    """A table from a known law, and what came of its targets."""

    law: Law
    runs: list[Run]
    targets: list[Target]
    outcomes: Array
    """One new run at each target, nats per token."""


def make_table(design: Design, seed: int, *, bent: bool = False) -> Made:
    """Draw a law, a noise, the runs and the outcomes."""
    rng = np.random.default_rng(seed)
    params, tokens = design(rng)
    top = float((6 * params * tokens).max())
    law = draw_law(rng)
    if bent:
        exponent = law.alpha * law.beta / (law.alpha + law.beta)
        law = replace(law, knee=top, bend=exponent * rng.uniform(-BEND, BEND))
    noise = float(np.exp(rng.uniform(np.log(0.001), np.log(0.008))))
    losses = law.loss(params, tokens) * np.exp(noise * rng.standard_normal(len(params)))
    wanted = at(top * DISTANCES, np.full(len(DISTANCES), RATIO))
    outcomes = law.loss(*wanted) * np.exp(noise * rng.standard_normal(len(DISTANCES)))
    rows = [map(float, row) for row in zip(params, tokens, losses, strict=True)]
    runs = [Run(params=p, tokens=d, flops=6 * p * d, loss=y) for p, d, y in rows]
    return Made(law, runs, [Target(params=float(p), tokens=float(d)) for p, d in zip(*wanted, strict=True)], outcomes)


def try_table(design: Design, seed: int, *, bent: bool) -> dict[str, Any]:
    """One table: its forecasts and outcomes."""
    made = make_table(design, seed, bent=bent)
    answers = forecast_targets(fit(RunTable(tuple(made.runs))), made.targets)
    lower, upper = (np.array([getattr(a.interval, side) for a in answers]) for side in ("lower", "upper"))
    median = np.array([a.median for a in answers])
    return {
        "inside": ((lower <= made.outcomes) & (made.outcomes <= upper)).tolist(),
        "error": (median / made.outcomes - 1).tolist(),
        "width": ((upper - lower) / made.outcomes).tolist(),
    }


def main() -> int:
    """Make tables, forecast, count, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    each = max(1, asked.tables // len(DESIGNS))
    figures: dict[str, Any] = {"tables": each * len(DESIGNS), "seed": asked.seed}
    missed = []
    for bent in (False, True):
        word = "bends beyond the data" if bent else "holds"
        print(f"\na law that {word:<28}{'cover':>7}" + "".join(f"{d:>7.0f}x" for d in DISTANCES) + "   error   width")
        rows = []
        for number, (name, design) in enumerate(DESIGNS.items()):
            seeds = [asked.seed + 10_000 * number + i for i in range(each)]
            rows.append({"design": name, **summarise([try_table(design, seed, bent=bent) for seed in seeds])})
            show(rows[-1])
        total = {
            "design": "all",
            **{key: np.mean([row[key] for row in rows], axis=0) for key in rows[0] if key != "design"},
        }
        show(total)
        cover = float(total["cover"])
        figures["bent" if bent else "straight"] = [
            {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in row.items()}
            for row in [*rows, total]
        ]
        if bent and cover <= BENT:
            missed.append(f"more than {BENT:.0%} where the law bends: {cover:.1%}")
        if not bent and not STRAIGHT[0] <= cover <= STRAIGHT[1]:
            missed.append(f"{STRAIGHT[0]:.0%} to {STRAIGHT[1]:.0%} where the law holds: {cover:.1%}")
    print(record.write("coverage", figures))
    return record.judge(missed, asked.check)


def summarise(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage in all and by distance, mean absolute error, mean width."""
    inside = np.array([table["inside"] for table in tables])
    error, width = (np.array([table[key] for table in tables]) for key in ("error", "width"))
    return {
        "cover": float(inside.mean()),
        "by_distance": inside.mean(0),
        "error": np.abs(error).mean(0),
        "bias": error.mean(0),
        "width": width.mean(0),
    }


def show(row: dict[str, Any]) -> None:
    """Print a line."""
    parts = "".join(f"{value:>8.0%}" for value in row["by_distance"])
    error, width = np.mean(row["error"]), np.mean(row["width"])
    print(f"{row['design']:<40}{row['cover']:>7.1%}{parts}{error:>8.2%}{width:>8.2%}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
