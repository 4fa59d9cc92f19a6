"""One trunk with a branch a budget, against a run trained alone for each budget, and against cosine runs.

Three sizes, three budgets each, on English novels. A branch is trained from its trunk's branch point, the lone run of
the same config from its first step; the cosine run has the same length and peak rates. The spread is the standard
deviation of three seeds at the smallest budget. Bar: branch and lone run differ by no more than twice the spread, at
every size and budget (they are the same to the bit on one machine). Beside it, what the trunk saves.

    python benchmarks/schedules.py [--data ../shared/data] [--widths 16 24 32] [--ratios 5 10 20] [--rates 1] [--check]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import record
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import find_trunks
from novels import add_options, open_work, train_alone, train_shared

SEEDS = 3


def main() -> int:
    """Train what is missing, compare, write, judge."""
    record.use_one_thread()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 32])
    parser.add_argument("--ratios", type=float, nargs="+", default=[5.0, 10.0, 20.0], help="tokens per parameter")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0], help="multiples of the cosine runs' rates")
    add_options(parser)
    asked = parser.parse_args()
    with open_work(asked) as (data, runs):
        sizes = [measure(width, asked.ratios, asked.rates, data, runs) for width in asked.widths]
    for size in sizes:
        print(table(size))
    print(record.write("schedules", {"recipe": Recipe().name, "data": data.id, "seeds": SEEDS, "sizes": sizes}))
    missed = [
        f"width {size['width']}, {budget['tokens']:,} tokens: branch and lone run differ by {budget['difference']:.2%}"
        for size in sizes
        for budget in size["budgets"]
        if budget["difference"] > 2 * size["spread"]
    ]
    return record.judge(missed, asked.check)


def measure(width: int, ratios: Sequence[float], rates: Sequence[float], data: Dataset, runs: Path) -> dict[str, Any]:
    """One size: its trunk, its lone runs, its cosine runs and its seeds."""
    recipe = Recipe()
    params = recipe.params(width, data.vocab_size)
    configs = [recipe.config(width, ratio * params, data.vocab_size, data.id) for ratio in sorted(ratios)]
    (trunk,) = find_trunks([Rung(config, 0.0) for config in configs])
    branches = train_shared(configs, data, runs / "trunk")
    seeds = [train_alone(replace(configs[0], seed=seed), data, runs / "alone").loss for seed in range(SEEDS)]
    budgets = []
    for config in configs:
        branch, lone = branches[config.id], train_alone(config, data, runs / "alone")
        budgets.append(
            {
                "tokens": config.tokens,
                "lone": lone.loss,
                "branch": branch.loss,
                "difference": abs(branch.loss / lone.loss - 1),
                "same_bits": branch.loss == lone.loss and branch.unseen_loss == lone.unseen_loss,
                "cosine": {str(rate): train_alone(cosine(config, rate), data, runs / "alone").loss for rate in rates},
                "seconds_lone": float(lone.extra["seconds"]),
                "seconds_branch": float(branch.extra["seconds"]),
            }
        )
    return {
        "width": width,
        "params": params,
        "spread": float(np.std(seeds, ddof=1) / np.mean(seeds)),
        "saved_flops": 1 - trunk.steps / trunk.lone_steps,
        "saved_seconds": 1 - sum(b["seconds_branch"] for b in budgets) / sum(b["seconds_lone"] for b in budgets),
        "budgets": budgets,
    }


def cosine(config: TrainConfig, rate: float) -> TrainConfig:
    """The run of the same length with a cosine, its rates times `rate`."""
    return replace(
        config,
        schedule="cosine",
        learning_rate=config.learning_rate * rate,
        hidden_learning_rate=config.hidden_learning_rate * rate,
    )


def table(size: dict[str, Any]) -> str:
    """One size as text."""
    rates = list(size["budgets"][0]["cosine"])
    lines = [
        f"width {size['width']}, {size['params']:,} params; spread between seeds {size['spread']:.2%}; the trunk saves "
        f"{size['saved_flops']:.0%} of the FLOPs, {size['saved_seconds']:.0%} of the seconds",
        f"{'tokens':>12} {'lone run':>9} {'branch':>9} {'differ':>8}"
        + "".join(f"{'cosine x ' + rate:>15}" for rate in rates),
    ]
    for budget in size["budgets"]:
        cosines = "".join(f"{loss:>8.4f}{loss / budget['lone'] - 1:>+7.2%}" for loss in budget["cosine"].values())
        same = "same" if budget["same_bits"] else f"{budget['difference']:.3%}"
        lines.append(f"{budget['tokens']:>12,} {budget['lone']:>9.4f} {budget['branch']:>9.4f} {same:>8}{cosines}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
