"""The designs that a plan was chosen from, what came of the one that was taken, and what was left out on the way."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chidu import page, plot
from chidu.forecast.candidates import LEVEL
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.sparing import Decision
from chidu.ladder.plan import Offer, Plan
from chidu.laws.fit import Fit
from chidu.page import Section

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW, FRAME = 46, 130
"""Pixels of the figure: a design, and what is around them."""
HARDLY = 5e-4
"""A part of the width that is not worth a figure."""


@dataclass(frozen=True, kw_only=True)
class DesignStudy:
    """What a plan expected, and what came of it."""

    offers: tuple[Offer, ...]
    """The one that was taken first; empty in plans from before there was a choice."""
    predicted_seconds: float
    """Wall-clock time of the ladder."""
    seconds: float | None
    """That it took."""
    half_width: float | None
    """Of the forecast's 90 % interval, a part of the loss; None without a forecast."""
    sparing: Decision | None
    """What was left out on the way; None where nothing could be."""

    @property
    def taken(self) -> Offer | None:
        """The offer of the ladder that was trained."""
        return self.offers[0] if self.offers else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        offers = [{**asdict(offer), "taken": offer is self.taken} for offer in self.offers]
        sparing = self.sparing.to_json() if self.sparing else None
        return {"offers": offers, "half_width": self.half_width, "left_out": sparing}


def study_design(
    plan: Plan, law: Fit, forecast: Forecast | None, seconds: float | None, sparing: Decision | None
) -> DesignStudy:
    """Put together what is known of a plan's design; `seconds` is what the ladder took."""
    width = spread(law, forecast) if forecast else None
    return DesignStudy(
        offers=plan.offers, predicted_seconds=plan.seconds, seconds=seconds, half_width=width, sparing=sparing
    )


def spread(law: Fit, forecast: Forecast) -> float:
    """Half-width of a forecast's 90 % interval as a part of the loss, as designs are compared by."""
    if forecast.interval.level != LEVEL:
        two = forecast.params is not None and forecast.tokens is not None
        size = {"params": forecast.params, "tokens": forecast.tokens} if two else {"flops": forecast.flops}
        forecast = forecast_loss(law, **size, level=LEVEL, of=forecast.of)
    return math.log(forecast.interval.upper / forecast.interval.lower) / 2


def facts(study: DesignStudy) -> list[tuple[str, str]]:
    """The design in labelled sentences."""
    out, taken = list[tuple[str, str]](), study.taken
    if taken:
        of = f"the best of {len(study.offers)}" if len(study.offers) > 1 else "as asked for"
        words = f"{taken.design}, {of}; its interval was expected to be ±{taken.half_width:.1%} of the loss"
        words += f" and came out at ±{study.half_width:.1%}" if study.half_width is not None else ""
        out.append(("design", words))
    if study.sparing:
        out.append(("left out", _sparing_words(study.sparing)))
    return out


def _sparing_words(sparing: Decision) -> str:
    if not sparing.spared:
        return "no run: each was expected to be worth its price"
    count = len(sparing.spared)
    wider = f"{sparing.widening:.1%}" if sparing.widening >= HARDLY else "hardly any"
    return (
        f"{count} run{'s' * (count > 1)}, {sparing.seconds:.0f} s of work; without {'them' if count > 1 else 'it'} the "
        f"interval is expected to be {wider} wider"
    )


def draw_designs(study: DesignStudy) -> "go.Figure":
    """Draw the expected half-width of each design, the narrowest on top, and the one that came out."""
    figure = plot.empty_figure("half-width of the target's 90 % interval, % of the loss", "")
    ordered = sorted(study.offers, key=lambda offer: offer.common_half_width, reverse=True)
    names = [_name(offer, study) for offer in ordered]
    own = {"symbol": "circle-open", "size": 11, "color": plot.SCALE[3], "line": {"width": 2}}
    figure.add_scatter(
        x=[100 * offer.common_half_width for offer in ordered],
        y=names,
        mode="markers",
        marker={"size": 12, "color": plot.SCALE[1]},
        name="expected, one target for all",
        hovertemplate="%{y}: ±%{x:.2f} %<extra></extra>",
    )
    figure.add_scatter(
        x=[100 * offer.half_width for offer in ordered],
        y=names,
        mode="markers",
        marker=own,
        name="expected, own target",
        hovertemplate="%{y}: ±%{x:.2f} %<extra></extra>",
    )
    if study.half_width is not None and study.taken:
        figure.add_scatter(
            x=[100 * study.half_width],
            y=[_name(study.taken, study)],
            mode="markers",
            marker={"color": plot.ACCENT, "size": 13, "symbol": "diamond"},
            name="came out, own target",
            hovertemplate="came out at ±%{x:.2f} %<extra></extra>",
        )
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(type="category", showline=False, ticks="", range=[-0.6, len(names) - 0.4])
    figure.update_layout(height=FRAME + ROW * len(names))
    return figure


def _name(offer: Offer, study: DesignStudy) -> str:
    return f"<b>{offer.design}, taken</b>" if offer is study.taken else offer.design


def section(study: DesignStudy | None) -> Section | None:
    """The figure and the table of designs, and the table of what was left out; None where neither is known."""
    if study is None or not (study.offers or study.sparing):
        return None
    body = ""
    if len(study.offers) > 1:
        body += page.figure(draw_designs(study), "designs", _caption(study))
    if study.offers:
        body += page.table("Designs", HEAD, [_row(offer, study) for offer in study.offers])
    if study.taken:
        body += page.facts(_came_out(study, study.taken))
    if study.sparing and study.sparing.spared:
        body += f"<h3>Left out on the way</h3>{page.facts([('runs', _sparing_words(study.sparing))])}"
        body += page.table("Left out", SPARED_HEAD, _spared_rows(study.sparing))
    lead = "What each way to spend the time was expected to be worth, before anything ran; the best was taken."
    if len(study.offers) < 2:
        lead = "What the ladder was expected to be worth before anything ran, and what it was."
    return Section("designs", "The design", lead, body)


HEAD = ("design", "runs", "largest, FLOPs", "own target", "one for all", "time", "FLOPs", "of target's price")
SPARED_HEAD = ("params", "tokens", "tokens/param", "FLOPs", "adds to the width", "would have taken")


def _row(offer: Offer, study: DesignStudy) -> Sequence[Any]:
    return [
        f"{offer.design}, taken" if offer is study.taken else offer.design,
        (offer.runs, str(offer.runs)),
        _flops(offer.largest_flops),
        _percent(offer.half_width),
        _percent(offer.common_half_width),
        (offer.seconds, f"{offer.seconds:,.0f} s"),
        _flops(offer.flops),
        (offer.share, f"{offer.share:.0%}"),
    ]


def _spared_rows(sparing: Decision) -> list[Sequence[Any]]:
    return [
        [
            (run.params, plot.short(run.params)),
            (run.tokens, plot.short(run.tokens)),
            (run.tokens / run.params, f"{run.tokens / run.params:.3g}"),
            _flops(run.flops),
            (run.widening, f"{run.widening:.2%}" if run.widening >= HARDLY else "hardly"),
            (run.seconds, f"{run.seconds:,.0f} s"),
        ]
        for run in sparing.spared
    ]


def _came_out(study: DesignStudy, taken: Offer) -> list[tuple[str, str]]:
    """What was expected, beside what came out."""
    width = f"expected ±{taken.half_width:.2%} of the loss"
    width += f", came out ±{study.half_width:.2%}" if study.half_width is not None else ""
    price = f"predicted {study.predicted_seconds:,.0f} s"
    price += f", took {study.seconds:,.0f} s" if study.seconds is not None else ""
    return [("interval", width), ("time", price)]


def _caption(study: DesignStudy) -> str:
    words = (
        "Filled: at one target that all are compared at, which decides. Rings: at each design's own target; where a "
        "multiple of the largest rung was asked for, one with smaller rungs has a smaller and easier one."
    )
    return words + (" The diamond is the forecast of this page." if study.half_width is not None else "")


def _flops(value: float) -> tuple[float, str]:
    return value, f"{value:.3g}".replace("e+", "e")


def _percent(value: float) -> tuple[float, str]:
    return value, f"{value:.2%}"
