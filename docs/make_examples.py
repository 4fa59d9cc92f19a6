"""Make `example_runs.csv`: runs that a known law with a known noise gave, so that a forecast of them can be checked.

The law is Chinchilla's as Besiroglu et al. refitted it (2404.10102). Sizes, noise and seeds are made up: four amounts
of compute at four ratios of tokens to params, two more seeds of one run, and a run that diverged.

    python docs/make_examples.py
"""

import random
from pathlib import Path

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
NOISE = 0.002
"""Standard deviation of the log loss between runs."""
BUDGETS = (3e17, 1e18, 3e18, 1e19)
RATIOS = (8, 20, 50, 120)
OUT = Path(__file__).with_name("example_runs.csv")


def law(params: float, tokens: float) -> float:
    """The loss that the law gives, nats per token."""
    return E + A / params**ALPHA + B / tokens**BETA


def rows() -> list[str]:
    """The lines of the file."""
    noise = random.Random(0)
    sizes = [(c, r, 0) for c in BUDGETS for r in RATIOS] + [(BUDGETS[0], RATIOS[1], seed) for seed in (1, 2)]
    lines = ["run,params,tokens,loss,seed,status"]
    for number, (flops, ratio, seed) in enumerate(sizes, start=1):
        params = float(f"{(flops / 6 / ratio) ** 0.5:.3g}")
        tokens = float(f"{flops / 6 / params:.3g}")
        loss = law(params, tokens) * (1 + noise.gauss(0, NOISE))
        lines.append(f"r{number:02d},{params:.0f},{tokens:.0f},{loss:.4f},{seed},done")
    return [*lines, "r19,29000000,1150000000,9.8102,0,diverged"]


def main() -> None:
    """Write the file."""
    OUT.write_text("\n".join(rows()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
