"""Figures of a study: one function computes the points of a figure, another draws them.

The points are plain arrays, so that they can be tested and drawn by anything; plotly is loaded when something is drawn.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chidu.errors import Refusal
from chidu.forecast.allocation import Allocation
from chidu.forecast.holdout import budgets
from chidu.forecast.loss import Forecast, forecast_targets
from chidu.forecast.targets import Target
from chidu.ladder.rates import RateProbe
from chidu.laws.fit import Fit
from chidu.runs import Run
from chidu.stats import Array

if TYPE_CHECKING:
    import plotly.graph_objects as go

LEAST_SIZES = 3
"""Sizes that an amount of compute needs to be drawn as an isoFLOP curve."""
MOST_CURVES = 8
CURVE_POINTS = 61

SCALE = ("#54398f", "#42509a", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#a5c92f")
"""Viridis without its darkest and its lightest end: small to large, for the colour-blind too, on white and on black."""
ACCENT = "#d55e00"
BAND = "rgba(213,94,0,0.16)"
STAR = "#f0c419"
GREY = "#808080"


@dataclass(frozen=True, eq=False)
class RunPoints:
    """Runs over their compute; n runs."""

    flops: Array
    value: Array
    """[n]: the loss in nats per token, or what lies above the law in percent."""
    params: Array
    """[n]; NaN where not known."""
    used: NDArray[np.bool_]
    """Whether forecasts are drawn from a run, [n]."""
    labels: tuple[str, ...]
    """Text of each run, HTML."""


@dataclass(frozen=True, eq=False)
class LawPoints:
    """Loss against compute, in nats per token; m places of the curve, none where the runs do not allow one."""

    runs: RunPoints
    flops: Array
    """Of the curve, [m]."""
    median: Array
    """Of one new run, [m]."""
    lower: Array
    upper: Array
    level: float


@dataclass(frozen=True, eq=False)
class BudgetCurve:
    """Loss against params at one amount of compute; n runs, m places of the curve."""

    flops: float
    params: Array
    loss: Array
    labels: tuple[str, ...]
    curve_params: Array
    curve_loss: Array


@dataclass(frozen=True, eq=False)
class SplitPoints:
    """The law's loss against params at one amount of compute, [m], and what stands on it."""

    flops: float
    params: Array
    loss: Array
    best: tuple[float, float]
    """Params and loss of the best split."""
    interval: tuple[float, float]
    """Of the params of the best split."""
    near: dict[float, tuple[float, float]]
    """Margin above the best loss -> lowest and highest params within it."""


def describe_run(run: Run) -> str:
    """A run in a few lines of HTML, for the box that opens over its point."""
    lines = [f"<b>{html.escape(run.run[:60], quote=False)}</b>"] if run.run else []
    lines += [f"{name} {value:,.4g}" for name in ("params", "tokens") if (value := getattr(run, name)) is not None]
    error = f" ± {run.loss_se:.2g}" if run.loss_se is not None else ""
    return "<br>".join([*lines, f"loss {run.loss:.4f}{error}"])


def run_points(fit: Fit, value: Array) -> RunPoints:
    """The fitted runs with a value each, [n]."""
    labels = tuple(describe_run(run) for run in fit.runs)
    return RunPoints(fit.runs.column("flops"), value, fit.runs.column("params"), fit.used, labels)


def law_points(fit: Fit, forecast: Forecast | None = None) -> LawPoints:
    """Loss against compute: the runs, and the best split of each amount of compute up to twice the target's.

    The curve is what `forecast_loss` says of one new run there, at the forecast's level or 90 %.
    """
    runs = run_points(fit, fit.runs.column("loss"))
    level = forecast.interval.level if forecast else 0.9
    last = max(3 * runs.flops.max(), 2 * forecast.flops if forecast else 0.0)
    flops = np.geomspace(runs.flops.min() / 1.2, last, CURVE_POINTS)
    median, lower, upper = _curve(fit, flops, level)
    return LawPoints(runs, flops[: len(median)], median, lower, upper, level)


def _curve(fit: Fit, flops: Array, level: float) -> Array:
    """Median and ends of the interval of one new run, [3, m]; along the one size where the runs have but one."""
    try:
        made = forecast_targets(fit, [Target(flops=float(value)) for value in flops], level)
        return np.array([(f.median, f.interval.lower, f.interval.upper) for f in made]).T
    except Refusal:
        params = fit.runs.column("params")
        if len(fit.inputs) == 1 or params.max() > 1.05 * params.min():
            return np.empty((3, 0))
        size = np.full(len(flops), float(np.median(params)))
        draws = fit.sample(np.stack([size, flops / (6 * size)], axis=1))
        return np.quantile(draws, [0.5, (1 - level) / 2, (1 + level) / 2], axis=0)


def budget_curves(fit: Fit, forecast: Forecast | None = None) -> list[BudgetCurve]:
    """IsoFLOP curves of the law with the runs on them: of each amount of compute that was spent at three sizes or more.

    The last one is the target's, without runs, where there is a forecast. A fit of compute alone has no such curves.
    """
    if len(fit.inputs) == 1:
        return []
    params, flops = fit.runs.column("params"), fit.runs.column("flops")
    groups = [group for group in budgets(flops) if len(np.unique(params[group])) >= LEAST_SIZES]
    if len(groups) > MOST_CURVES:
        groups = [groups[i] for i in np.unique(np.linspace(0, len(groups) - 1, MOST_CURVES).round().astype(int))]
    made = [_budget_curve(fit, group, float(np.exp(np.log(flops[group]).mean()))) for group in groups]
    if made and forecast and forecast.params:
        grid = forecast.params * np.geomspace(0.2, 5, CURVE_POINTS)
        none = np.empty(0)
        made.append(BudgetCurve(forecast.flops, none, none, (), grid, _law(fit, grid, forecast.flops)))
    return made


def _budget_curve(fit: Fit, group: NDArray[np.intp], flops: float) -> BudgetCurve:
    runs = [fit.runs.runs[i] for i in group]
    params = np.array([run.params for run in runs], dtype=float)
    grid = np.geomspace(params.min() / 1.4, params.max() * 1.4, CURVE_POINTS)
    loss = np.array([run.loss for run in runs])
    return BudgetCurve(flops, params, loss, tuple(map(describe_run, runs)), grid, _law(fit, grid, flops))


def _law(fit: Fit, params: Array, flops: float) -> Array:
    """The posterior's median law at splits of an amount of compute, [m] -> [m]."""
    return np.median(fit.sample(np.stack([params, flops / (6 * params)], axis=1), of="law"), axis=0)


def residual_points(fit: Fit) -> RunPoints:
    """How far each fitted run lies from the reference law, 100 log(observed / fitted) in percent."""
    return run_points(fit, 100 * fit.residuals)


def split_points(allocation: Allocation) -> SplitPoints:
    """The isoFLOP curve around the best split, with the ranges that are nearly as good."""
    params, _, loss = allocation.curve()
    ends = allocation.params_interval
    best = (allocation.params, allocation.loss)
    return SplitPoints(allocation.flops, params, loss, best, (ends.lower, ends.upper), dict(allocation.near))


def draw_law(
    points: LawPoints,
    forecast: Forecast | None = None,
    outcome: tuple[float, float] | None = None,
    dollars_per_flop: float | None = None,
) -> "go.Figure":
    """Draw loss against compute; `outcome` is the FLOPs and the loss of the run that was trained afterwards."""
    figure = empty_figure("training compute, FLOPs", "loss, nats/token")
    _set_log_ticks(figure, np.concatenate([points.runs.flops, points.flops]), _power)
    edge: dict[str, Any] = {"x": points.flops, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(y=points.upper, showlegend=False, **edge)
    figure.add_scatter(y=points.lower, fill="tonexty", fillcolor=BAND, name=f"{points.level:.0%} band", **edge)
    figure.add_scatter(
        x=points.flops,
        y=points.median,
        mode="lines",
        line={"color": ACCENT, "width": 2.5},
        name="law",
        hovertemplate="%{x:.3g} FLOPs: %{y:.4f}<extra></extra>",
    )
    _add_runs(figure, points.runs, used=True)
    _add_runs(figure, points.runs, used=False)
    if forecast is not None:
        _add_forecast(figure, forecast, forecast.flops)
    if outcome is not None:
        _add_star(figure, *outcome)
    if dollars_per_flop:
        _add_money(figure, points, dollars_per_flop)
    return figure


def draw_budgets(
    curves: Sequence[BudgetCurve], forecast: Forecast | None = None, outcome: tuple[float, float] | None = None
) -> "go.Figure":
    """Draw isoFLOP curves; one without runs is dashed; `outcome` is the params and the loss of the big run."""
    figure = empty_figure("params", "loss, nats/token")
    _set_log_ticks(figure, np.concatenate([curve.curve_params for curve in curves]), short)
    for i, curve in enumerate(curves):
        seen = len(curve.params) > 0
        colour = _colour(i / max(sum(len(other.params) > 0 for other in curves) - 1, 1)) if seen else ACCENT
        name = f"{curve.flops:.2g}".replace("e+", "e") + ("" if seen else " (target)")
        line = {"color": colour, "width": 2, "dash": "solid" if seen else "dash"}
        common: dict[str, Any] = {"legendgroup": str(i), "name": name}
        place = {"x": curve.curve_params, "y": curve.curve_loss}
        figure.add_scatter(**place, mode="lines", line=line, hoverinfo="skip", **common)
        if seen:
            marker = {"color": colour, "size": 9, "line": {"color": GREY, "width": 0.5}}
            common |= {"text": curve.labels, "hovertemplate": "%{text}<extra></extra>", "showlegend": False}
            figure.add_scatter(x=curve.params, y=curve.loss, mode="markers", marker=marker, **common)
    figure.update_layout(legend_title_text="FLOPs ")
    if forecast is not None and forecast.params is not None:
        _add_forecast(figure, forecast, forecast.params)
    if outcome is not None:
        _add_star(figure, *outcome)
    return figure


def draw_residuals(points: RunPoints, noise: float) -> "go.Figure":
    """Draw how far each run lies from the law; `noise` is the sd of one run in percent, drawn twice to either side."""
    figure = empty_figure("training compute, FLOPs", "above the law, %")
    _set_log_ticks(figure, points.flops, _power)
    figure.add_hrect(y0=-2 * noise, y1=2 * noise, fillcolor=BAND, line_width=0, layer="below")
    figure.add_hline(y=0, line={"color": ACCENT, "width": 2})
    reach = 1.1 * max(float(np.abs(points.value).max()), 2 * noise, 0.01)
    figure.update_yaxes(range=[-reach, reach])
    _add_runs(figure, points, used=True, scale=False)
    _add_runs(figure, points, used=False, scale=False)
    figure.update_layout(showlegend=not points.used.all())
    return figure


def draw_split(points: SplitPoints, ratios: Sequence[float] = (1, 5, 20, 100, 500)) -> "go.Figure":
    """Draw the loss of the splits of one amount of compute, the nearly best ranges shaded, tokens/param on top."""
    figure = empty_figure("params", "loss of the law, nats/token")
    _set_log_ticks(figure, points.params, short)
    shades = [BAND.replace("0.16", "0.5"), BAND]
    for margin, (lower, upper) in sorted(points.near.items(), reverse=True):
        text = f"within {100 * margin:g}%"
        shade = {"mode": "lines", "line": {"width": 0}, "fill": "tozeroy", "hoverinfo": "skip"}
        inside = (points.params >= lower) & (points.params <= upper)
        x = np.concatenate([[lower], points.params[inside], [upper]])
        y = np.interp(np.log(x), np.log(points.params), points.loss)
        figure.add_scatter(x=x, y=y, **shade, fillcolor=shades.pop(), name=text)
    line = {"color": ACCENT, "width": 2.5}
    figure.add_scatter(x=points.params, y=points.loss, mode="lines", line=line, name="law")
    figure.add_scatter(
        x=points.best[:1],
        y=points.best[1:],
        error_x=_error_bar(points.best[0], *points.interval, GREY),
        mode="markers",
        marker={"color": ACCENT, "size": 11, "symbol": "diamond"},
        name="best, interval",
    )
    span = float(np.ptp(points.loss))
    figure.update_yaxes(range=[float(points.loss.min()) - 0.12 * span, float(points.loss.max())])
    places = [(float(np.sqrt(points.flops / (6 * ratio))), f"{ratio:g}") for ratio in ratios]
    ends = points.params.min(), points.params.max()
    _add_top_axis(figure, [p for p in places if ends[0] <= p[0] <= ends[1]], "tokens per parameter", points.best)
    return figure


def draw_rates(probes: Sequence[RateProbe]) -> "go.Figure":
    """Draw learning-rate probes: the loss against the multiple of the recipe's rates, a line a size."""
    figure = empty_figure("times the recipe's learning rates", "loss, nats/token")
    ticks = sorted({factor for probe in probes for factor in probe.factors})
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:.3g}" for tick in ticks])
    for i, probe in enumerate(probes):
        known = [(x, y) for x, y in zip(probe.factors, probe.losses, strict=True) if y is not None]
        colour = _colour(i / max(len(probes) - 1, 1) * 0.8)
        style = {"line": {"color": colour, "width": 2}, "marker": {"size": 10, "symbol": i}}
        figure.add_scatter(
            x=[x for x, _ in known], y=[y for _, y in known], mode="lines+markers", name=probe.label, **style
        )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot", "width": 1.5})
    return figure


def to_div(figure: "go.Figure", name: str) -> str:
    """A figure as HTML without plotly's own script, which the page carries once (`script`)."""
    from plotly.io import to_html

    config = {
        "responsive": True,
        "displaylogo": False,
        "modeBarButtons": [["zoomIn2d", "zoomOut2d", "pan2d", "resetScale2d", "toImage"]],
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }
    return str(to_html(figure, full_html=False, include_plotlyjs=False, config=config, div_id=name, default_height=440))


def script() -> str:
    """Plotly's own JavaScript, about 4.8 MB."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def empty_figure(x_title: str, y_title: str) -> "go.Figure":
    """An empty figure in the house's style; the page's style sheet gives texts and lines their colours."""
    import plotly.graph_objects as go

    axis = {"showline": True, "linecolor": GREY, "gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
    axis |= {"ticks": "outside", "tickcolor": GREY, "automargin": True}
    order = {"traceorder": "normal"}
    return go.Figure(
        layout={
            "template": None,
            "font": {"size": 14, "color": GREY, "family": "system-ui, sans-serif"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 16, "b": 8},
            "xaxis": {**axis, "title": {"text": x_title, "standoff": 6}},
            "yaxis": {**axis, "title": {"text": y_title, "standoff": 8}},
            "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "x": 0, "y": 0} | order,
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": ACCENT},
            "hoverlabel": {"font": {"size": 14}, "align": "left"},
        }
    )


def _colour(part: float) -> str:
    """A colour of the scale, 0 to 1."""
    return SCALE[round(part * (len(SCALE) - 1))]


def _add_runs(figure: "go.Figure", points: RunPoints, *, used: bool, scale: bool = True) -> None:
    """Add the runs that forecasts are drawn from, or the others as rings; coloured by their size where it is known."""
    here = np.flatnonzero(points.used == used)
    if len(here) == 0:
        return
    marker: dict[str, Any] = {"size": 9, "color": SCALE[2], "line": {"color": GREY, "width": 0.5}}
    if np.isfinite(points.params).all():
        size = np.log10(points.params)
        ends = [float(size.min()), float(size.max())]
        bar = {"orientation": "h", "thickness": 10, "len": 0.45}
        bar |= {"x": 0.97, "xanchor": "right", "y": 1, "yanchor": "top"}
        bar |= {"tickvals": ends, "ticktext": [short(10**end) for end in ends], "tickangle": 0, "outlinewidth": 0}
        bar |= {"title": {"text": "params", "side": "top"}}
        marker |= {"color": size[here], "cmin": ends[0], "cmax": ends[1], "colorscale": list(SCALE), "colorbar": bar}
        marker |= {"showscale": used and scale and ends[1] > ends[0]}
    if not used:
        marker |= {"symbol": "circle-open", "line": {"width": 1.5}}
    figure.add_scatter(
        x=points.flops[here],
        y=points.value[here],
        mode="markers",
        marker=marker,
        name="runs" if used else "left out",
        text=[points.labels[i] for i in here],
        hovertemplate="%{text}<br>%{x:.3g} FLOPs<extra></extra>",
    )


def log_ticks(values: Array, most: int = 6) -> list[float]:
    """Round numbers between the ends of values on a log scale, [n] -> at most `most`, but two where any fit."""
    low, high = np.log10(values.min()), np.log10(values.max())
    powers = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(step * power) for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
        if len(ticks) <= most:
            return ticks
    return ticks[:: -(-len(ticks) // most)]


def _set_log_ticks(figure: "go.Figure", values: Array, words: Callable[[float], str]) -> None:
    ticks = log_ticks(values)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[words(tick) for tick in ticks])


def _power(value: float) -> str:
    """3e12 as plotly writes it."""
    digit, _, power = f"{value:.0e}".partition("e")
    return f"{digit + '×' if digit != '1' else ''}10<sup>{int(power)}</sup>"


def short(value: float) -> str:
    """A count with two or three digits and k, M, B or T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def amount(value: float) -> str:
    """A number without an exponent: whole from 100 up, three digits from 1 up, two below."""
    if value >= 100:
        return f"{value:,.0f}"
    return str(np.format_float_positional(value, precision=3 if value >= 1 else 2, fractional=False, trim="-"))


def dollars(value: float) -> str:
    """Money."""
    return f"${amount(value)}"


def _error_bar(value: float, lower: float, upper: float, colour: str) -> dict[str, Any]:
    bar = {"type": "data", "symmetric": False, "array": [upper - value], "arrayminus": [value - lower]}
    return {**bar, "color": colour, "thickness": 2.5, "width": 7}


def _add_forecast(figure: "go.Figure", forecast: Forecast, x: float) -> None:
    ends = forecast.interval
    hover = f"forecast {forecast.median:.4f}<br>{ends.level:.0%} interval {ends.lower:.4f} to {ends.upper:.4f}"
    figure.add_scatter(
        x=[x],
        y=[forecast.median],
        error_y=_error_bar(forecast.median, ends.lower, ends.upper, ACCENT),
        mode="markers",
        marker={"color": ACCENT, "size": 10, "symbol": "diamond"},
        name="forecast",
        hovertemplate=f"{hover}<extra></extra>",
    )


def _add_star(figure: "go.Figure", x: float, loss: float) -> None:
    figure.add_scatter(
        x=[x],
        y=[loss],
        mode="markers",
        marker={"color": STAR, "size": 16, "symbol": "star", "line": {"color": "#3a3a3a", "width": 1.2}},
        name="trained after",
        hovertemplate=f"trained afterwards: {loss:.4f}<extra></extra>",
    )


def _add_money(figure: "go.Figure", points: LawPoints, dollars_per_flop: float) -> None:
    """Dollars on the top axis."""
    every = np.concatenate([points.runs.flops, points.flops]) * dollars_per_flop
    places = [(tick / dollars_per_flop, dollars(tick)) for tick in log_ticks(every, 4)]
    _add_top_axis(figure, places, "dollars", (float(points.runs.flops[0]), float(points.runs.value[0])))


def _add_top_axis(
    figure: "go.Figure", places: Sequence[tuple[float, str]], title: str, at: tuple[float, float]
) -> None:
    """A second scale of the x axis, above it; a trace that nobody sees holds it there (plotly draws none without)."""
    if not places:
        return
    axis = {"overlaying": "x", "side": "top", "matches": "x", "type": "log", "showgrid": False, "ticks": "outside"}
    axis |= {"tickvals": [x for x, _ in places], "ticktext": [text for _, text in places]}
    axis |= {"automargin": True, "tickangle": 0}
    figure.update_layout(xaxis2={**axis, "title": {"text": title, "standoff": 4}, "tickcolor": GREY, "linecolor": GREY})
    ghost = {"opacity": 0, "showlegend": False, "hoverinfo": "skip", "mode": "markers"}
    figure.add_scatter(x=[at[0]], y=[at[1]], xaxis="x2", **ghost)
