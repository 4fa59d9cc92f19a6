"""Score against loss: the points of the figure, the figure, and the section of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chidu import page, plot
from chidu.metrics import MetricStudy
from chidu.page import Section
from chidu.stats import Array

if TYPE_CHECKING:
    import plotly.graph_objects as go

POINTS = 61


@dataclass(frozen=True, eq=False)
class MetricPoints:
    """Runs and curve; n runs, m places of the curve, none where there is no law."""

    loss: Array
    """Of the runs, [n]."""
    value: Array
    labels: tuple[str, ...]
    curve_loss: Array
    """[m]."""
    median: Array
    lower: Array
    upper: Array
    level: float


def metric_points(study: MetricStudy) -> MetricPoints:
    """The runs, and the plausible curves with a run's noise, from the highest loss to a little below the target's."""
    loss, value = np.array(study.losses), np.array(study.values)
    labels = tuple(
        f"<b>{run}</b><br>loss {at:.4f}<br>{study.metric} {score:.4g}"
        for run, at, score in zip(study.runs, study.losses, study.values, strict=True)
    )
    level = study.forecast.interval.level if study.forecast else 0.9
    if study.law is None:
        none = np.empty(0)
        return MetricPoints(loss, value, labels, none, none, none, none, level)
    reach = [loss.min(), *([study.forecast.loss_interval.lower] if study.forecast else [])]
    reach += [study.landed[0]] if study.landed else []
    margin = 0.03 * float(loss.max() - min(reach))
    grid = np.linspace(min(reach) - margin, loss.max() + margin, POINTS)
    median, lower, upper = study.law.band(grid, level)
    return MetricPoints(loss, value, labels, grid, median, lower, upper, level)


def draw_metric(study: MetricStudy, points: MetricPoints) -> "go.Figure":
    """Draw a metric against the loss, better models to the right; with the target, and what simple methods get."""
    figure = plot.empty_figure("loss, nats/token", f"{study.task}: {study.metric}")
    figure.update_xaxes(autorange="reversed")
    if len(points.curve_loss):
        edge: dict[str, Any] = {"x": points.curve_loss, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(y=points.upper, showlegend=False, **edge)
        figure.add_scatter(
            y=points.lower, fill="tonexty", fillcolor=plot.BAND, name=f"{points.level:.0%} of curves", **edge
        )
        line = {"color": plot.ACCENT, "width": 2.5}
        figure.add_scatter(x=points.curve_loss, y=points.median, mode="lines", line=line, name="law", hoverinfo="skip")
    figure.add_scatter(
        x=points.loss,
        y=points.value,
        mode="markers",
        marker={"color": plot.SCALE[2], "size": 9, "line": {"color": plot.GREY, "width": 0.5}},
        name="runs",
        text=points.labels,
        hovertemplate="%{text}<extra></extra>",
    )
    _add_levels(figure, study)
    _add_target(figure, study)
    return figure


def _add_levels(figure: "go.Figure", study: MetricStudy) -> None:
    """What a guess and the best simple method get, where that lies near the runs."""
    known = [("guess", study.chance, "dot"), (*(study.baseline or ("", None)), "dash")]
    span = max(study.values) - min(study.values)
    for name, value, dash in known:
        if value is not None and min(study.values) - 3 * span <= value <= max(study.values) + 3 * span:
            ends = [max(study.losses), min(study.losses)]
            line = {"color": plot.GREY, "dash": dash, "width": 1.5}
            figure.add_scatter(x=ends, y=[value, value], mode="lines", line=line, name=f"{name} {value:.3g}")


def _add_target(figure: "go.Figure", study: MetricStudy) -> None:
    forecast = study.forecast
    if forecast is not None:
        style: dict[str, Any] = {"symmetric": False, "color": plot.ACCENT, "thickness": 2.5, "width": 7}
        ends, across = forecast.interval, forecast.loss_interval
        figure.add_scatter(
            x=[forecast.loss],
            y=[forecast.median],
            error_y={**style, "array": [ends.upper - forecast.median], "arrayminus": [forecast.median - ends.lower]},
            error_x={
                **style,
                "thickness": 1,
                "array": [across.upper - forecast.loss],
                "arrayminus": [forecast.loss - across.lower],
            },
            mode="markers",
            marker={"color": plot.ACCENT, "size": 10, "symbol": "diamond"},
            name="forecast",
            hovertemplate=f"forecast {forecast.median:.4g}<br>{ends.level:.0%} interval {ends}<extra></extra>",
        )
    if study.landed is not None:
        figure.add_scatter(
            x=[study.landed[0]],
            y=[study.landed[1]],
            mode="markers",
            marker={"color": plot.STAR, "size": 16, "symbol": "star", "line": {"color": "#3a3a3a", "width": 1.2}},
            name="trained after",
            hovertemplate=f"trained afterwards: {study.landed[1]:.4g}<extra></extra>",
        )


def section(studies: Sequence[MetricStudy]) -> Section | None:
    """A figure for the first metric of each task, and a table of all; None without any."""
    if not studies:
        return None
    body = ""
    for study in studies:
        if study.first:
            name = f"metric-{study.task}".replace(".", "-")
            body += page.figure(draw_metric(study, metric_points(study)), name, f"{_sentence(study)}.")
    rows = [_row(study) for study in studies]
    head = ("task", "metric", "smallest loss", "best simple method", "forecast", "interval", "trained after")
    body += page.table("Scores", head, rows)
    lead = "The score follows the loss along a curve; the interval has the target's loss and the curve's ends in it."
    return Section("metrics", "What it will be able to do", lead, body)


def _sentence(study: MetricStudy) -> str:
    text = str(study)
    return text[0].upper() + text[1:]


def _row(study: MetricStudy) -> list[str]:
    best = study.values[int(np.argmin(study.losses))]
    beside = study.baseline or (("guess", study.chance) if study.chance is not None else None)
    forecast = study.forecast
    return [
        study.task,
        study.metric,
        f"{best:.3g}",
        f"{beside[0]} {beside[1]:.3g}" if beside else "",
        f"{forecast.median:.3g}" if forecast else f"none: {study.refused or 'no target'}",
        str(forecast.interval) if forecast else "",
        f"{study.landed[1]:.3g}, {'in' if study.inside else 'out'}side" if study.landed and forecast else "",
    ]
