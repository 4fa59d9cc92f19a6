"""Checks of transfer as pages: how far training moves models of several sizes, and where their best rates are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chidu import page, plot
from chidu.ladder.coordinates import FLAT, QUANTITIES, CoordinateCheck, Line
from chidu.ladder.rates import RateCheck
from chidu.page import Section
from chidu.store import write_json, write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go


def coordinate_points(check: CoordinateCheck, dial: str) -> list[tuple[Line, list[float]]]:
    """Each quantity's judged change over a dial, relative to that of the smallest model; without what has none."""
    out = []
    for line in check.lines:
        known = [value for value in line.judged if value]
        if line.dial == dial and len(known) == len(line.values):
            out.append((line, [value / known[0] for value in known]))
    return out


def draw_coordinates(check: CoordinateCheck, dial: str) -> "go.Figure":
    """Draw how the change of each quantity goes with a dial, both in logarithms."""
    figure = plot.empty_figure(dial, "change by training, times the smallest's")
    points = coordinate_points(check, dial)
    for i, (line, values) in enumerate(points):
        colour = plot.SCALE[round(i / max(len(points) - 1, 1) * (len(plot.SCALE) - 1))]
        figure.add_scatter(
            x=list(line.values),
            y=values,
            mode="lines+markers",
            name=f"{QUANTITIES[line.quantity]} {line.slope:+.2f}",
            line={"color": colour, "width": 2},
            marker={"size": 9, "symbol": i},
            hovertemplate=f"{dial} %{{x}}: %{{y:.3g}}<extra>{QUANTITIES[line.quantity]}</extra>",
        )
    ticks = sorted({value for line, _ in points for value in line.values})
    most = max([2.0, *(max(value, 1 / value) for _, values in points for value in values)]) * 1.1
    marks = [10.0**i * part for i in range(-6, 7) for part in (1, 2, 5) if 1 / most <= 10.0**i * part <= most]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(tick) for tick in ticks])
    figure.update_yaxes(type="log", tickvals=marks, ticktext=[f"{mark:g}" for mark in marks])
    figure.add_hline(y=most, line={"width": 0})
    figure.add_hline(y=1 / most, line={"width": 0})
    figure.add_hline(y=1, line={"color": plot.GREY, "dash": "dot", "width": 1.5})
    figure.update_layout(legend_title_text="slope ")
    return figure


def coordinate_figures(check: CoordinateCheck) -> str:
    """Both figures as HTML, and what they say."""
    dials = list(dict.fromkeys(line.dial for line in check.lines))
    return "".join(page.figure(draw_coordinates(check, dial), f"coordinates-{dial}", _said(check)) for dial in dials)


def coordinates_to_html(check: CoordinateCheck) -> str:
    """The check as one page that fetches nothing."""
    lead = (
        f"{check.recipe} ({check.parametrisation}). Every line should be flat: then training moves a wide or deep "
        "model as far as a small one, and rates can be right for both."
    )
    sections = [Section("changes", "How far training moves a model", lead, coordinate_figures(check)), _table(check)]
    return page.assemble(f"Coordinate check of {check.recipe}", sections)


def rates_to_html(check: RateCheck) -> str:
    """The sweeps as one page that fetches nothing."""
    drift = f"The best rate moves by {check.drift:+.2f} steps of the sweep."
    lead = f"{check.recipe} ({check.parametrisation}). Both lines should dip at one rate. {drift}"
    body = page.figure(plot.draw_rates(check.probes), "rates", "; ".join(str(probe) for probe in check.probes))
    return page.assemble(f"Learning rates of {check.recipe}", [Section("rates", "The best learning rate", lead, body)])


def write_check(check: CoordinateCheck | RateCheck, out: Path) -> Path:
    """Write a check's page and JSON into a folder, atomically; returns the page."""
    name = "coordinates" if isinstance(check, CoordinateCheck) else "rates"
    text = coordinates_to_html(check) if isinstance(check, CoordinateCheck) else rates_to_html(check)
    write_text(out / f"{name}.html", text)
    write_json(out / f"{name}.json", check.to_json())
    return out / f"{name}.html"


def _said(check: CoordinateCheck) -> str:
    return " ".join(check.warnings) or f"Flat: every slope is within {FLAT:g} of zero."


def _table(check: CoordinateCheck) -> Section:
    rows: list[list[Any]] = []
    for line in check.lines:
        for i, value in enumerate(line.values):
            sizes = [line.sizes[i][0], line.sizes[i][-1], *line.changes[i][1:]]
            cells = [(float("nan"), "") if size is None else (size, f"{size:.3g}") for size in sizes]
            rows.append([QUANTITIES[line.quantity], line.dial, (value, str(value)), *cells])
    steps = [f"change, step {step}" for step in range(1, check.shapes.steps + 1)]
    head = ("quantity", "over", "value", "size at the start", "at the end", *steps)
    lead = (
        "Mean absolute values and their mean absolute change since the start. What blocks add starts at zero; the size "
        "of the head's logits falls at the start as one over the root of the width, and only its change is to be flat."
    )
    return Section("sizes", "Every measurement", lead, page.table("Measurements", head, rows, sortable=True))
