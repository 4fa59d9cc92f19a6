"""A backtest as a page: whether the intervals hold as often as they say, and every method's grade at each distance.

One function computes the points of the figure, another draws them.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chidu import page, plot
from chidu.errors import InputError
from chidu.forecast.backtest import Backtest
from chidu.forecast.grade import percent
from chidu.forecast.quote import SAVED
from chidu.forecast.trial import ENGINE
from chidu.page import Section
from chidu.store import write_json, write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class CalibrationCurve:
    """How often the intervals of one method held, at one distance; n levels."""

    method: str
    distance: float
    """Of the targets, times the largest fitted run's compute."""
    targets: int
    levels: tuple[float, ...]
    """What the intervals promise, [n]."""
    held: tuple[float, ...]
    """The share of them that held, [n]."""


def calibration_points(made: Backtest, method: str = ENGINE) -> list[CalibrationCurve]:
    """A curve for each distance that the method answered at, nearest first."""
    out = []
    for about in made.distances:
        graded = made.grade(method, about)
        if graded is not None:
            held = made.coverage(method, about)
            out.append(CalibrationCurve(method, made.distance(about), graded.targets, made.levels, held))
    return out


def draw_calibration(curves: list[CalibrationCurve]) -> "go.Figure":
    """Draw the share of intervals that held against the level that they promise, a line a distance, in percent."""
    figure = plot.empty_figure("level of the interval, %", "held, %")
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": plot.GREY, "dash": "dot", "width": 1.5},
        name="as promised",
        hoverinfo="skip",
    )
    for i, curve in enumerate(curves):
        colour = plot.SCALE[round(i / max(len(curves) - 1, 1) * (len(plot.SCALE) - 1))]
        figure.add_scatter(
            x=[100 * level for level in curve.levels],
            y=[100 * held for held in curve.held],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 8, "symbol": i},
            name=f"{curve.distance:.2g}x ({curve.targets})",
            hovertemplate="%{x:.0f} % intervals: %{y:.0f} % held<extra></extra>",
        )
    ticks = list(range(0, 101, 20))
    figure.update_xaxes(range=[0, 102], tickvals=ticks)
    figure.update_yaxes(range=[-2, 102], tickvals=ticks)
    figure.update_layout(legend_title_text="distance (runs) ")
    return figure


def to_html(made: Backtest, title: str) -> str:
    """The backtest as one page that carries its own script and style, and fetches nothing."""
    sections = [_calibration(made, method) for method in made.methods]
    return page.assemble(f"{title}: backtest", [_grades(made), *[part for part in sections if part], _held_out(made)])


def write_backtest(made: Backtest, out: Path, title: str) -> Path:
    """Write the page and its JSON, atomically: into a folder, or to `PAGE.html` with `PAGE.json`; returns the page.

    Raises:
        InputError: `out` is a file of another kind.
    """
    if out.suffix.lower() in (".html", ".htm"):
        where = out
    elif out.is_dir() or not out.suffix:
        where = (out / SAVED).with_suffix(".html")
    else:
        raise InputError(f"--out {out}: name a folder, or a page that ends in .html")
    write_text(where, to_html(made, title))
    write_json(where.with_suffix(".json"), made.to_json())
    return where


def _grades(made: Backtest) -> Section:
    rows: list[list[Any]] = []
    for about in made.distances:
        for method in made.methods:
            graded = made.grade(method, about)
            distance = made.distance(about)
            start: list[Any] = [(distance, f"{distance:.3g}x"), method]
            if graded is None:
                rows.append([*start, *[(math.nan, "refused")] * 6])
                continue
            figures = [
                (graded.error, percent(graded.error)),
                (graded.bias, percent(graded.bias, "+")),
                (graded.cover, f"{100 * graded.cover:.0f}"),
                (graded.width, percent(graded.width)),
                (graded.score, percent(graded.score)),
            ]
            rows.append([*start, (graded.targets, str(graded.targets)), *figures])
    head = ("distance", "method", "runs", "mean error", "bias", "held", "width", "score")
    lead = (
        f"The largest runs were held out and forecast from the rest. All in % of the loss; {made.level:.0%} of the "
        "intervals should have held; of the interval score, smaller is better."
    )
    body = page.table("Grades", head, rows, sortable=True) + page.facts(("noted", text) for text in made.notes)
    return Section("grades", "How the forecasts did", lead, body)


def _calibration(made: Backtest, method: str) -> Section | None:
    curves = calibration_points(made, method)
    if not curves:
        return None
    key = method.replace(" ", "-")
    lead = "Above the dotted line the intervals held more often than they promise, below it less often."
    caption = "With few runs held out a line is coarse: of four runs, one more or less is 25 %."
    body = page.figure(draw_calibration(curves), f"calibration-{key}", caption)
    return Section(f"calibration-{key}", f"Calibration of {method}", lead, body)


def _held_out(made: Backtest) -> Section:
    rows: list[list[Any]] = []
    for trial in made.trials:
        said = trial.answers.get(ENGINE)
        for t, run in enumerate(trial.cut.targets):
            distance = (run.flops or math.nan) / trial.cut.largest_flops
            sizes = [(value or math.nan, plot.short(value) if value else "") for value in (run.params, run.tokens)]
            row = [run.run, (distance, f"{distance:.3g}x"), *sizes, (run.loss, f"{run.loss:.4f}")]
            if said is None:
                rows.append([*row, (math.nan, ""), "refused"])
                continue
            lower, upper = (float(ends[t]) for ends in said.at(made.level))
            median = float(said.median[t])
            held = "" if lower <= run.loss <= upper else ", missed"
            rows.append([*row, (median, f"{median:.4f}"), f"{lower:.4f} to {upper:.4f}{held}"])
    head = ("run", "distance", "params", "tokens", "loss", "forecast", f"{made.level:.0%} interval")
    lead = "Each run that was held out, with what chidu had said of it."
    return Section("held-out", "The runs held out", lead, page.table("Held out", head, rows, sortable=True))
