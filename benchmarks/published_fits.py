"""Published fits, reproduced from the tables that they were made of: each figure as printed, ours, and the bar between.

    python benchmarks/published_fits.py [--runs ../shared/runs] [--check]

The tables are those of the development folder (`../shared/runs`; they are other teams' and not part of the repository):
without them there is nothing to do. What each author did was read in their paper and code and written anew here with
chidu's own laws and solver; where the published procedure is not what chidu would do, it is still the published one.

Bars, each for the figures that the tables can give:
- Gadre et al. 2403.08540: the two errors of redpajama, to the printed digits, ±0.01 points;
- Porian et al. 2406.19146: five exponents of N*(C), ±0.01; the constants of L*(C), A ±5 %, exponent and E ±1 %;
- Muennighoff et al. 2305.16264: R_D* and R_N*, ±3 %, and A, B, E and alpha of their fit to their own runs of up to 2.5
  epochs (utils/parametric_fit.ipynb of huggingface/datablations), ±3 %. The A, B, E and alpha that R_D* and R_N* stand
  on were fitted to 54 points read off a figure of Hoffmann et al., which are in no table here, and are taken as given.
  The published optimum is a local one: the lowest point of the same objective is shown beside it;
- Step Law, Li et al. 2503.04715: the exponents, and the best rate and batch of their test run (1.07e9 params, 1e11
  tokens), inside the 95 % interval of the bootstrap; the loss at the optimum that the other sweeps foretell for each is
  on average at most 0.1 % above the best of that sweep (published for their test run: 0.094 %);
- Multi-power law, Luo et al. 2503.12811: mean relative error on held-out schedules, no worse at the printed four
  decimals, and mean absolute error.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import record
from chidu.laws.curve import LossCurve, fit_curves, make_curve
from chidu.laws.forms import FORMS
from chidu.laws.least_squares import descend
from chidu.laws.optimum import OptimumLaw, fit_optimum
from chidu.runs import RunTable
from chidu.stats import Array, Interval, quantile_interval
from chidu.tables.read import read_runs

RUNS = record.ROOT / ".." / "shared" / "runs"


@dataclass(frozen=True)
class Figure:
    """One published figure and ours."""

    name: str
    published: float
    ours: float
    met: bool | None
    """Whether the bar is met; None: shown beside, no bar."""
    note: str = ""


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a table as they stand."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def close(name: str, published: float, ours: float, relative: float = 0.0, *, absolute: float = 0.0) -> Figure:
    """A figure whose bar is a distance."""
    return Figure(name, published, ours, abs(ours - published) <= relative * abs(published) + absolute)


# Gadre et al.: L = E + a' N^b + b' D^b, least squares of the loss, over five small runs.

GADRE_LARGE = {"1.4B, M=640": ("open_lm_1b", 640, 0.71), "6.9B, M=20": ("open_lm_7b", 20, 0.73)}


def gadre(folder: Path) -> list[Figure]:
    """Errors of the two large redpajama runs, from the runs of up to 1e9 params at M=20 and of 11M at M=320."""
    rows = [
        row for row in rows_of(folder / "gadre_overtrain.csv") if "rpj" in row["name"] or "redpajama" in row["group"]
    ]
    n, d, loss = (np.array([float(row[key]) for row in rows]) for key in ("params", "tokens", "loss"))
    mult = np.array([float(row["tokens_mult"]) for row in rows])
    small = ((mult == 20) & (n < 1e9)) | ((mult == 320) & (n < 2e7))
    law = least_squares_tied(n[small], d[small], loss[small])
    figures = []
    for name, (label, ratio, published) in GADRE_LARGE.items():
        at = [i for i, row in enumerate(rows) if label in row["name"] and mult[i] == ratio]
        error = 100 * (law(n[at], d[at]) / loss[at] - 1)
        figures.append(close(f"Gadre, {name}, error %", published, float(error[0]), absolute=0.01))
    return figures


def least_squares_tied(n: Array, d: Array, loss: Array) -> Callable[[Array, Array], Array]:
    """The overtraining law (`tied`) by least squares of the loss: the exponent searched, the rest projected out."""

    def design(alpha: float, n: Array, d: Array) -> Array:
        return np.stack([np.ones_like(n), n**-alpha, d**-alpha], axis=1)

    def misfit(alpha: float) -> float:
        x = design(alpha, n, d)
        return float(((x @ np.linalg.lstsq(x, loss, rcond=None)[0] - loss) ** 2).sum())

    low, high = 0.02, 1.0
    for _ in range(6):
        grid = np.linspace(low, high, 101)
        best = grid[int(np.argmin([misfit(alpha) for alpha in grid]))]
        low, high = best - (high - low) / 50, best + (high - low) / 50
    coefficients = np.linalg.lstsq(design(best, n, d), loss, rcond=None)[0]
    return lambda n, d: design(best, n, d) @ coefficients


# Porian et al.: isoFLOP minima by Akima interpolation, bootstrapped with seed noise, then a weighted line.

PORIAN = (
    ("Kaplan's count", ("base", "long", "kaplan", "kaplan"), 0.834),
    ("with the head", ("base", "long", "kaplan", "standard"), 0.701),
    ("short warm-up", ("base", "short", "kaplan", "standard"), 0.604),
    ("cosine", ("base", "short", "chinchilla", "standard"), 0.571),
    ("tuned", ("tuned", "short", "const", "standard"), 0.497),
)
PORIAN_LOSS = {"A": 128.93, "alpha": 0.10597, "E": 2.0056}
SEED_NOISE = 0.002
"""Sd of the loss between seeds that their code adds on RefinedWeb, nats."""
PER_GAP = 25
"""Interpolated points per gap between sizes."""


def porian(folder: Path) -> list[Figure]:
    """Exponents of the compute-optimal params of five experiments, and the loss at the optimum of the tuned one."""
    rows = [row for row in rows_of(folder / "porian_isoflop.csv") if row["group"] == "refinedweb"]
    figures = []
    for name, key, published in PORIAN:
        part = [row for row in rows if tuple(row[k] for k in ("hparams", "warmup", "decay", "param_count")) == key]
        flops, params, sd, loss = minima(part)
        slope = weighted_slope(np.log(flops), np.log(params), sd)
        figures.append(close(f"Porian, exponent of N*(C), {name}", published, slope, absolute=0.01))
    for constant, ours in saturating(flops, loss).items():
        bar = 0.05 if constant == "A" else 0.01
        figures.append(close(f"Porian, L*(C) tuned, {constant}", PORIAN_LOSS[constant], ours, relative=bar))
    return figures


def minima(rows: list[dict[str, str]]) -> tuple[Array, Array, Array, Array]:
    """Budgets with an inner minimum, the params and sd of their logs there, and the lowest losses; each [C]."""
    from scipy.interpolate import Akima1DInterpolator

    rng = np.random.default_rng(0)
    found = []
    for budget in sorted({float(row["flops"]) for row in rows}):
        points = sorted((float(row["params"]), float(row["loss"])) for row in rows if float(row["flops"]) == budget)
        params, loss = np.array(points).T
        if len(params) < 3:
            continue
        grid = np.linspace(np.log(params[0]), np.log(params[-1]), (len(params) - 1) * PER_GAP)
        noisy = loss[:, None] + SEED_NOISE * rng.standard_normal((len(loss), 1000))
        curves = Akima1DInterpolator(np.log(params), np.log(noisy), axis=0)(grid)
        at = curves.argmin(0)
        inner = (at > 0) & (at < len(grid) - 1)
        clean = int(Akima1DInterpolator(np.log(params), np.log(loss))(grid).argmin())
        if inner.sum() < 500 or clean in (0, len(grid) - 1):
            continue
        least = PER_GAP * (grid[1] - grid[0]) * 0.33
        sd = max(float(np.std(grid[at[inner]])), least) * 1000 / inner.sum()
        lowest = np.exp(np.median(curves.min(0)[inner]))
        found.append((budget, float(np.exp(np.median(grid[at[inner]]))), sd, float(lowest)))
    flops, params, sds, losses = np.array(found).T
    return flops, params, sds, losses


def weighted_slope(x: Array, y: Array, sd: Array) -> float:
    """Slope of the weighted least-squares line."""
    return float(np.polyfit(x, y, 1, w=1 / sd)[0])


def saturating(flops: Array, loss: Array) -> dict[str, float]:
    """The frontier L = E + A / C^alpha by least squares of log losses, over their budgets of 1e16 to 5e17."""
    inside = (flops > 1e16) & (flops < 5e17)
    form, x, y = FORMS["frontier"], np.log(flops[inside])[:, None], np.log(loss[inside])
    centre = form.centre(x)

    def model(theta: Array) -> tuple[Array, Array]:
        f, _, slopes = form.gradient(theta[None], x - centre)
        return f[0], slopes[0]

    fits = [descend(model, start, y, iterations=500) for start in form.starts(x - centre, y)]
    theta = min(fits, key=lambda found: found[1])[0]
    return dict(zip(("E", "A", "alpha"), map(float, form.natural(theta[None], centre)[0]), strict=True))


# Muennighoff et al.: R_D* and R_N* over 182 runs, the rest given.

MUENNIGHOFF = {"E": 0.6254804, "A": 6.255414, "B": 7.3049974, "alpha": 0.3526596, "R_D": 15.387756, "R_N": 5.309743}
"""As in their notebook: E, A and B as logs."""
GRID = (20 / 3, 40 / 3, 20.0)
"""Their starts of R_D* and R_N*, but for zero."""
LEFT_OUT = frozenset(
    " ".join(
        (
            "14m7b5100m 14m300b100m 221m91b400m 221m174b400m 221m600b400m 421m300b1b5 619m3b9100m 619m5b9100m",
            "619m7b5100m 619m22b100m 1b12b7100m 1b13b9100m 1b15b9100m 1b17b5100m 1b112b100m 1b191b400m 1b191b1b5",
            "1b1250b1b5 1b58b8100m 1b566b100m 1b566b1b5 1b5174b1b5 2b246b100m 2b246b400m 2b291b1b5 2b2174b1b5",
            "2b8100m100m 2b84b4b 2b84b8100m 2b88b4b 2b812b4b 2b816b4b 2b824b4b 2b836b100m 2b836b400m 2b836b1b5",
            "2b855b1b25 2b877b1b5 3b926b1b5 4b212b12b 4b224b12b 4b284b1b9 4b284b6b 8b712b100m 8b712b400m 8b712b1b5",
            "8b712b12b 8b720b1b5",
        )
    ).split()
)
"""Runs that their notebook takes for outliers or does not have yet."""

FEW_EPOCHS = {"A": 634.35, "B": 3050.2, "E": 1.89624, "alpha": 0.3595363}
"""Their fit to their own runs of at most 2.5 epochs, 62 samples; A, B and E are printed as logs."""
SEEDS = {
    "2b855b28b": (2.575713, 2.576707, 2.574265, 2.575176),
    "2b855b55b": (2.569702, 2.568221, 2.569587, 2.570589),
    "4b284b42b": (2.470463, 2.491261, 2.469242, 2.469873),
    "4b284b84b": (2.464149, 2.461136, 2.480773, 2.476263),
}
"""Losses of further seeds that are among those samples (ibid.), and not in the table."""


def few_epochs(folder: Path) -> list[Figure]:
    """The tied law on their runs of at most 2.5 epochs, with the seeds that they printed and without."""
    rows = rows_of(folder / "datablations_c4.csv")
    few = [row for row in rows if float(row["tokens"]) <= 2.5 * float(row["unique_tokens"])]
    more = [{**row, "loss": str(loss)} for row in few for loss in SEEDS.get(row["run"], ())]
    figures = [Figure("Muennighoff, runs of up to 2.5 epochs", 62, len(few + more), len(few + more) == 62)]
    alone = _fit_tied(few)
    for name, ours in _fit_tied(few + more).items():
        note = f"from the table's {len(few)} runs alone {alone[name]:.4g}"
        figure = close(f"Muennighoff, {name} of those runs", FEW_EPOCHS[name], ours, 0.03)
        figures.append(replace(figure, note=note))
    return figures


def _fit_tied(rows: list[dict[str, str]]) -> dict[str, float]:
    """The tied law of rows with params, tokens and loss, Huber 1e-3 on log loss."""
    form = FORMS["tied"]
    x = np.log([[float(row[name]) for name in form.inputs] for row in rows])
    y = np.log([float(row["loss"]) for row in rows])
    centre = form.centre(x)

    def model(theta: Array) -> tuple[Array, Array]:
        f, _, slopes = form.gradient(theta[None], x - centre)
        return f[0], slopes[0]

    fits = [descend(model, start, y, delta=1e-3, iterations=500) for start in form.starts(x - centre, y)]
    theta = min(fits, key=lambda found: found[1])[0]
    return dict(zip(("E", "A", "B", "alpha"), map(float, form.natural(theta[None], centre)[0]), strict=True))


def muennighoff(folder: Path) -> list[Figure]:
    """R_D* and R_N* of the repetition law under the published objective, the other parameters held at theirs."""
    rows = [row for row in rows_of(folder / "datablations_c4.csv") if row["run"] not in LEFT_OUT]
    form, given = FORMS["repetition"], MUENNIGHOFF
    x = np.log([[float(row[name]) for name in form.inputs] for row in rows])
    y = np.log([float(row["loss"]) for row in rows])
    centre = form.centre(x)
    amplitudes = [np.exp(given[name]) for name in ("E", "A", "B")]

    def model(log_stars: Array) -> tuple[Array, Array]:
        theta = form.from_natural(np.array([*amplitudes, given["alpha"], *np.exp(log_stars)]), centre)
        f, _, slopes = form.gradient(theta[None], x - centre)
        return f[0], slopes[0, :, 4:]

    fits = [descend(model, np.log([r_d, r_n]), y, delta=1e-3) for r_d in GRID for r_n in GRID]
    lowest = min(fits, key=lambda found: found[1])
    near = min(fits, key=lambda found: abs(found[0][0] - np.log(given["R_D"])))
    figures = [Figure("Muennighoff, runs fitted", 182, len(rows), None, "8b7178b13b is not in the table")]
    for j, name in enumerate(("R_D", "R_N")):
        ours, deeper = (float(np.exp(found[0][j])) for found in (near, lowest))
        figures.append(close(f"Muennighoff, {name}*, the published optimum", given[name], ours, 0.03))
        figures.append(Figure(f"Muennighoff, {name}*, the lowest point", given[name], deeper, None))
    for word, (_, objective) in (("the published optimum", near), ("the lowest point", lowest)):
        figures.append(Figure(f"Muennighoff, objective, {word}", 0.01582594, objective, None))
    return figures


# Step Law: rate = c N^p D^q, batch = c' D^r.

STEP_LAW = {"rate_c": 1.79, "rate_params": -0.713, "rate_tokens": 0.307, "batch_c": 0.58, "batch_tokens": 0.571}


TEST_RUN = (1.0737418e9, 1e11)
EXCESS, EXCESS_BAR = 0.094, 0.1
"""Mean loss above the best of a sweep at the law's optimum, percent."""


def step_law(folder: Path) -> list[Figure]:
    """Exponents; the best rate and batch of the published test run; what settings by the law lose against a search."""
    table = read_runs(folder / "steplaw_dense.csv")
    law, p = fit_optimum(table), STEP_LAW
    figures = []
    for j, name in ((1, "rate_params"), (2, "rate_tokens"), (4, "batch_tokens")):
        interval = quantile_interval(law.draws[:, j], 0.95)
        figures.append(inside(f"Step Law, {name}", p[name], law.parameters[name], interval))
    params, tokens = TEST_RUN
    rate, batch = published_optimum(params, tokens)
    figures.append(inside("Step Law, rate of the test run", rate, *law.rate(params, tokens, 0.95)))
    figures.append(inside("Step Law, batch of the test run, tokens", batch, *law.batch(tokens, 0.95)))
    excess = mean_excess(table, lambda others, n, d: best_of(fit_optimum(others, draws=200), n, d))
    theirs = mean_excess(table, lambda _, n, d: published_optimum(n, d))
    note = f"their law on these sweeps: {theirs:.3f}"
    figures.append(Figure("Step Law, mean loss above the sweeps' best, %", EXCESS, excess, excess <= EXCESS_BAR, note))
    return figures


def published_optimum(params: float, tokens: float) -> tuple[float, float]:
    """The published law."""
    p = STEP_LAW
    rate = p["rate_c"] * params ** p["rate_params"] * tokens ** p["rate_tokens"]
    return rate, p["batch_c"] * tokens ** p["batch_tokens"]


def best_of(law: OptimumLaw, params: float, tokens: float) -> tuple[float, float]:
    """The best rate and batch."""
    return law.rate(params, tokens)[0], law.batch(tokens)[0]


def mean_excess(table: RunTable, optimum: Callable[[RunTable, float, float], tuple[float, float]]) -> float:
    """Loss of the run nearest to an optimum foretold from the other sweeps, above the best of its own; mean percent."""
    names = ("params", "tokens", "learning_rate", "batch_tokens", "loss")
    params, tokens, rate, batch, loss = (table.column(name) for name in names)
    out = []
    for size in sorted(set(zip(params, tokens, strict=True))):
        cell = np.flatnonzero((params == size[0]) & (tokens == size[1]))
        best_rate, best_batch = optimum(table.without(dict.fromkeys(cell.tolist(), "left out")), *size)
        away = np.log(rate[cell] / best_rate) ** 2 + np.log(batch[cell] / best_batch) ** 2
        out.append(100 * (loss[cell[int(np.argmin(away))]] / loss[cell].min() - 1))
    return float(np.mean(out))


def inside(name: str, published: float, ours: float, interval: Interval) -> Figure:
    """A figure whose bar is an interval of the bootstrap."""
    return Figure(name, published, ours, published in interval, f"{interval.level:.0%} of the bootstrap {interval}")


# Multi-power law: fitted on three schedules, judged on six others.

FITTED_ON = ("cosine_24000", "constant_24000", "wsdcon_9")
WARMUP = 2160
CURVES = {"25M": (0.00110, 0.00376), "100M": (0.00142, 0.00435)}
"""Published mean relative and mean absolute error on the other schedules (the authors' repository)."""


def multi_power(folder: Path) -> list[Figure]:
    """Mean errors on held-out schedules, each schedule's mean counting once, as published."""
    rows = rows_of(folder / "multipowerlaw_curves.csv")
    figures = []
    for size, (relative, absolute) in CURVES.items():
        curves = curves_of_size(rows, size)
        law = fit_curves([curves[name] for name in FITTED_ON])
        others = [curve for name, curve in curves.items() if name not in FITTED_ON]
        error = float(np.mean([law.mean_error(curve) for curve in others]))
        nats = float(np.mean([np.abs(law.loss(curve) - curve.loss).mean() for curve in others]))
        met = round(error, 4) <= round(relative, 4)
        figures.append(Figure(f"multi-power law, {size}, relative error", relative, error, met))
        figures.append(Figure(f"multi-power law, {size}, absolute error", absolute, nats, nats <= absolute))
    return figures


def curves_of_size(rows: list[dict[str, str]], size: str) -> dict[str, LossCurve]:
    """The curves of one size, by schedule."""
    groups: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        if row["size"] == size:
            groups.setdefault(row["group"], []).append((float(row["step"]), float(row["lr"]), float(row["loss"])))
    return {name: make_curve(name, *np.array(sorted(part)).T, warmup=WARMUP) for name, part in groups.items()}


STUDIES = (gadre, porian, muennighoff, few_epochs, step_law, multi_power)


def main() -> int:
    """Reproduce, print, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="end with status 1 where a bar is missed")
    parser.add_argument("--runs", type=Path, default=RUNS, help="the folder of the published tables")
    options = parser.parse_args()
    if not options.runs.is_dir():
        print(f"{options.runs} is not here: the published tables are not part of the repository")
        return int(options.check)
    figures, seconds = [], {}
    print(f"{'':58}{'published':>11}{'ours':>11}")
    for study in STUDIES:
        began = time.perf_counter()
        made = study(options.runs)
        seconds[study.__name__] = round(time.perf_counter() - began, 1)
        for figure in made:
            word = {True: "", False: "  MISSED", None: "  (no bar)"}[figure.met]
            note = f"  {figure.note}" if figure.note else ""
            print(f"{figure.name:58}{figure.published:>11.5g}{figure.ours:>11.5g}{word}{note}", flush=True)
        figures += made
    shown = [{**vars(figure)} for figure in figures]
    print(f"written to {record.write('published_fits', {'figures': shown, 'seconds': seconds})}")
    return record.judge([figure.name for figure in figures if figure.met is False], options.check)


if __name__ == "__main__":
    sys.exit(main())
