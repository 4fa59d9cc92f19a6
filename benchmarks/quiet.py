"""How far a rung's final loss differs between initialisations, and what each means takes off.

Ten seeds of three sizes on English novels; a seed is another initialisation, the order of the data and the evaluation
windows stay. Each seed is trained once at a constant rate and ends in every way of `ENDS`, from branch points of its
trunk; the recipe's is evaluated on fewer windows too. Bar: a standard deviation of at most 0.15 % of the loss at the
recipe's end, at every size.

    python benchmarks/quiet.py [--data ../shared/data] [--widths 16 24 32] [--ratio 10] [--seeds 10] [--check]
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import record
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.ladder.recipe import Recipe
from chidu.training.checkpoint import load_model
from chidu.training.evaluation import evaluate
from novels import add_options, open_work, train_shared

BAR = 0.0015
ENDS: dict[str, dict[str, Any]] = {
    "constant rate": {"decay_fraction": 0.0, "average": 0.0},
    "constant rate, mean of the last 20 %": {"decay_fraction": 0.0, "average": 0.2},
    "decay over 30 %": {"decay_fraction": 0.3, "average": 0.0},
    "decay over 30 %, mean of the last 10 %": {"decay_fraction": 0.3, "average": 0.1},
}
"""Ways to end a run: changes of its config."""
RECIPE_END = "the recipe's"
SPARSE = (4, 16)
"""Every which window is evaluated, beside all of them."""
FEW = 64
"""Tokens of unseen documents that are left to evaluate: their loss is not asked for here."""


def main() -> int:
    """Train what is missing, compare, write, judge."""
    record.use_one_thread()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 32])
    parser.add_argument("--ratio", type=float, default=10.0, help="tokens per parameter")
    parser.add_argument("--seeds", type=int, default=10)
    add_options(parser)
    asked = parser.parse_args()
    with open_work(asked) as (data, runs):
        few = replace(data, unseen=np.asarray(data.unseen[:FEW]))
        sizes = [measure(width, asked.ratio, asked.seeds, few, runs / "quiet") for width in asked.widths]
    print(table(sizes))
    figures = {"recipe": Recipe().name, "data": data.id, "ratio": asked.ratio, "seeds": asked.seeds, "sizes": sizes}
    print(record.write("quiet", figures))
    missed = [
        f"width {size['width']}: the standard deviation is {size['ends'][RECIPE_END]['deviation']:.2%} of the loss"
        for size in sizes
        if size["ends"][RECIPE_END]["deviation"] > BAR
    ]
    return record.judge(missed, asked.check)


def measure(width: int, ratio: float, seeds: int, data: Dataset, runs: Path) -> dict[str, Any]:
    """One size: mean and deviation of the loss for each end, and for the recipe's on fewer windows."""
    recipe = Recipe()
    params = recipe.params(width, data.vocab_size)
    base = recipe.config(width, ratio * params, data.vocab_size, data.id)
    losses: dict[str, list[float]] = {}
    for seed in range(seeds):
        ends = {name: replace(base, seed=seed, **changes) for name, changes in ENDS.items()}
        ends[RECIPE_END] = replace(base, seed=seed)
        found = train_shared(list(ends.values()), data, runs)
        for name, config in ends.items():
            losses.setdefault(name, []).append(found[config.id].loss)
        for every, loss in on_fewer_windows(ends[RECIPE_END], data, runs).items():
            losses.setdefault(f"{RECIPE_END}, on 1/{every} of the windows", []).append(loss)
        print(f"width {width} seed {seed}: {losses[RECIPE_END][-1]:.4f}", file=sys.stderr)
    return {
        "width": width,
        "params": params,
        "tokens": base.tokens,
        "steps": base.steps,
        "windows": len(data.windows("passages", base.model.context)),
        "ends": {name: summarise(np.array(values)) for name, values in losses.items()},
    }


def on_fewer_windows(config: TrainConfig, data: Dataset, runs: Path) -> dict[int, float]:
    """The loss of a trained run on every 4th and every 16th window."""
    model, _ = load_model(runs / config.id)
    windows = data.windows("passages", config.model.context)
    return {every: evaluate(model, windows[::every], data.token_bytes).loss for every in SPARSE}


def summarise(losses: NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard deviation as a part of it, and the standard error of that."""
    deviation = float(losses.std(ddof=1) / losses.mean())
    error = deviation / math.sqrt(2 * (len(losses) - 1))
    return {"mean": float(losses.mean()), "deviation": deviation, "error": error, "losses": losses.tolist()}


def table(sizes: Sequence[dict[str, Any]]) -> str:
    """Ends down, sizes across: mean loss, deviation and its standard error."""
    heads = "".join(f"{'width ' + str(size['width']) + ', ' + format(size['params'], ','):>26}" for size in sizes)
    lines = [f"{'':40}{heads}"]
    for name in sizes[0]["ends"]:
        cells = (size["ends"][name] for size in sizes)
        lines.append(
            f"{name:40}" + "".join(f"{c['mean']:>10.4f}{c['deviation']:>8.2%} +- {c['error']:.2%}" for c in cells)
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
