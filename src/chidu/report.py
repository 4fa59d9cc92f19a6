"""Results for a person and for a program: text, JSON, and one HTML page that asks nobody for anything.

Every text from outside (titles, run names, reasons, file names) is escaped where the page is put together.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chidu import design_page, metric_page, page, plot
from chidu.design_page import DesignStudy
from chidu.forecast.allocation import Allocation
from chidu.forecast.cost import Cost
from chidu.forecast.holdout import budgets
from chidu.forecast.loss import Forecast
from chidu.forecast.next_run import NextRun
from chidu.forecast.receipt import Outcome
from chidu.ladder.gates import GateReport
from chidu.ladder.plan import Plan
from chidu.laws.fit import Fit
from chidu.metrics import MetricStudy
from chidu.page import Section
from chidu.runs import Run
from chidu.store import write_text
from chidu.transfer import coordinate_figures

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns of the text."""
MOST_ROWS = 1000
"""Rows of the page's table of runs."""
FORMULAS = {
    "chinchilla": "L = E + A / N^alpha + B / D^beta",
    "tied": "L = E + A / N^alpha + B / D^alpha",
    "coupled": "L = E + (A / N^(alpha/k) + B / D^(beta/k))^k",
    "frontier": "L = E + A / C^alpha",
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that is known about one question, as the loop or `chidu report` puts it together."""

    title: str
    fit: Fit
    forecast: Forecast | None = None
    allocation: Allocation | None = None
    next_run: NextRun | None = None
    next_refused: str = ""
    """Why there is no next run, in words."""
    outcome: Outcome | None = None
    """The locked forecast's score, once the big run has landed."""
    outcome_run: Run | None = None
    cost: Mapping[str, Cost] = field(default_factory=dict)
    """`ladder` (measured), `target` (estimated from the measured speed), `target on h100` and the like."""
    metrics: tuple[MetricStudy, ...] = ()
    """What the ladder scores on tasks, and its target will."""
    plan: Plan | None = None
    """The runs that were trained."""
    design: DesignStudy | None = None
    """What the plan expected, and what was left out of it."""
    gates: GateReport | None = None
    datasheet: Mapping[str, Any] | None = None
    """`data/datasheet.json`."""
    ladder_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    """Of the fit, the forecast, the gates and the data, in words."""
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    @property
    def bits_per_nat(self) -> float | None:
        """Bits/byte for one nat/token, where every run knows both and they agree to 1 %: it is the tokenizer's."""
        ratio = self.fit.runs.column("bits_per_byte") / self.fit.runs.column("loss")
        known = np.isfinite(ratio).all() and np.ptp(ratio) < 0.01 * float(np.median(ratio))
        return float(np.median(ratio)) if known else None

    @property
    def dollars_per_flop(self) -> float | None:
        """At the target's price, the first that is known."""
        costs = [cost for name, cost in self.cost.items() if name.startswith("target")]
        return costs[0].dollars / self.forecast.flops if costs and self.forecast else None


def summarise(study: Study) -> dict[str, Any]:
    """The study as plain values without NaN: `summary.json`."""
    forecast, outcome = study.forecast, study.outcome
    law = study.fit.to_json()
    value = {
        "ladder": _ladder(study),
        "target": {name: getattr(forecast, name) for name in ("params", "tokens", "flops")} if forecast else None,
        "forecast": {"median": forecast.median, **forecast.interval.to_json()} if forecast else None,
        "outcome": {"loss": outcome.value, "error": outcome.error, "inside": outcome.inside} if outcome else None,
        "metrics": [metric.to_json() for metric in study.metrics],
        "cost": {name: cost.to_json() for name, cost in study.cost.items()},
        "next": study.next_run.to_json() if study.next_run else {"refused": study.next_refused},
        "warnings": list(study.warnings),
        "law": {name: law[name] for name in ("form", "parameters", "intervals", "noise")},
        "allocation": study.allocation.to_json() if study.allocation else None,
        "set_aside": law["set_aside"],
        "design": study.design.to_json() if study.design else None,
        "gates": study.gates.to_json() if study.gates else None,
        "data": study.datasheet,
        "versions": dict(study.versions),
        "seeds": {"study": study.seed, "fit": study.fit.seed, "draws": study.fit.draws},
    }
    return {name: _finite(part) for name, part in value.items()}


def _ladder(study: Study) -> dict[str, Any]:
    """Facts of the ladder: runs, sizes and amounts of compute of the law's rows; FLOPs and seconds of all training."""
    flops, params = study.fit.runs.column("flops"), study.fit.runs.column("params")
    return {
        "runs": len(flops),
        "sizes": len(np.unique(params)) if np.isfinite(params).all() else None,
        "budgets": len(budgets(flops)),
        "flops": study.plan.flops if study.plan else float(flops.sum()),
        "largest_flops": float(flops.max()),
        "seconds": study.ladder_seconds,
    }


def _finite(value: Any) -> Any:
    """The same value with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# --- words ---


def _duration(seconds: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{plot.amount(seconds / size)} {name}"
    return f"{plot.amount(seconds)} s"


def _flops(value: float) -> str:
    return f"{value:.3g} FLOPs".replace("e+", "e")


def _size(params: float | None, tokens: float | None) -> str:
    return f"{plot.short(params)} params on {plot.short(tokens)} tokens" if params and tokens else "a run"


def _loss(study: Study, value: float) -> str:
    bits = f" ({value * study.bits_per_nat:.4g} bits/byte)" if study.bits_per_nat else ""
    return f"{value:.4g} nats/token{bits}"


def _ladder_words(study: Study) -> str:
    facts = _ladder(study)
    parts = [f"{facts['runs']} runs"]
    parts += [f"{facts['sizes']} sizes"] if facts["sizes"] else []
    parts += [f"{facts['budgets']} amounts of compute up to {_flops(facts['largest_flops'])}"]
    words = ", ".join(parts)
    probes = sum(rung.role == "probe" for rung in study.plan.rungs) if study.plan else 0
    words += f"; {probes} probes of the learning rate" if probes else ""
    return words + (f"; trained in {_duration(facts['seconds'])}" if facts["seconds"] else "")


def _law_words(study: Study) -> str:
    law = study.fit
    values = ", ".join(f"{name} {law.parameters[name]:.4g} {law.intervals[name]}" for name in law.names)
    return f"{FORMULAS[law.form]}: {values}; one run lies {law.noise:.2%} around it (sd)"


def _target_words(forecast: Forecast) -> str:
    size = f"{_size(forecast.params, forecast.tokens)}, {_flops(forecast.flops)}"
    return f"{size}, {forecast.distance:.3g} times the largest run"


def _interval_words(study: Study, forecast: Forecast) -> str:
    ends, of = forecast.interval, forecast.of
    what = "one new run there lands" if of == "run" else "the law lies there"
    bits = study.bits_per_nat
    also = f" ({ends.lower * bits:.4g} to {ends.upper * bits:.4g} bits/byte)" if bits else ""
    return f"with {ends.level:.0%} probability {what} between {ends.lower:.4g} and {ends.upper:.4g} nats/token{also}"


def _outcome_words(study: Study, outcome: Outcome) -> str:
    side = "too high" if outcome.error > 0 else "too low"
    inside = "inside" if outcome.inside else "outside"
    return (
        f"trained afterwards, it reached {_loss(study, outcome.value)}: {inside} the interval, "
        f"the forecast was {abs(outcome.error):.2%} {side}"
    )


def _split_words(allocation: Allocation) -> str:
    ranges = [
        f"{plot.short(lower)} to {plot.short(upper)} params within {100 * margin:g}% of the best loss"
        for margin, (lower, upper) in allocation.near.items()
    ]
    best = f"{_size(allocation.params, allocation.tokens)} ({allocation.tokens_per_param:.3g} tokens/param)"
    return f"best {best}; {', '.join(ranges)}"


def _cost_words(cost: Cost) -> str:
    energy = f"{plot.amount(cost.kwh)} kWh, {plot.amount(cost.co2e_kg)} kg CO2e"
    return f"{plot.dollars(cost.dollars)}, {_duration(cost.hours * 3600)} of {cost.hardware}, {energy}"


def _next_words(study: Study) -> str:
    upcoming = study.next_run
    if upcoming is None:
        return f"none: {study.next_refused}" if study.next_refused else "none"
    before, after = (ends.upper - ends.lower for ends in (upcoming.interval_before, upcoming.interval_after))
    cost = f"{_flops(upcoming.flops)}, {plot.dollars(upcoming.cost.dollars)} on {upcoming.cost.hardware}"
    gain = f"would narrow the target's interval by {1 - after / before:.0%}, to {upcoming.interval_after}"
    return f"{_size(upcoming.params, upcoming.tokens)} ({cost}) {gain}"


def _facts(study: Study) -> list[tuple[str, str]]:
    """The study in labelled sentences, the same in the text and on the page."""
    facts = [("ladder", _ladder_words(study)), ("law", _law_words(study))]
    facts += design_page.facts(study.design) if study.design else []
    if study.forecast:
        facts.append(("target", _target_words(study.forecast)))
        facts.append(("forecast", f"{_loss(study, study.forecast.median)}; {_interval_words(study, study.forecast)}"))
    if study.outcome:
        facts.append(("outcome", _outcome_words(study, study.outcome)))
    facts += [(metric.task, str(metric)) for metric in study.metrics if metric.first]
    if study.allocation:
        facts.append(("split", _split_words(study.allocation)))
    facts += [(f"cost: {name}", _cost_words(cost)) for name, cost in study.cost.items()]
    if study.forecast:
        facts.append(("next run", _next_words(study)))
    if aside := len(study.fit.runs.set_aside):
        facts.append(("set aside", f"{aside} row{'s' * (aside > 1)}, listed with reasons in the report"))
    return [*facts, *(("warning", text) for text in study.warnings)]


def to_text(study: Study) -> str:
    """The study for a terminal, at most 100 columns wide, without colour."""
    facts = _facts(study)
    indent = max(len(name) for name, _ in facts) + 2
    lines = []
    for name, words in facts:
        lines.append(textwrap.fill(words, WIDTH, initial_indent=f"{name:<{indent}}", subsequent_indent=" " * indent))
    text = "\n".join([textwrap.shorten(study.title, WIDTH), *lines])
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def print_text(study: Study, console: "Console") -> None:
    """Print the text through rich: labels bold, warnings yellow, where the console has colours."""
    from rich.text import Text

    title, _, body = to_text(study).partition("\n")
    text = Text(body)
    text.highlight_regex(r"(?m)^[a-z][^ ]*( [^ ]+)*(?=  )", "bold")
    text.highlight_regex(r"(?m)^warning .*(\n  .*)*", "yellow")
    text.highlight_regex(r"(?m)^forecast .*(\n  .*)*", "bold")
    console.print(Text(title, "bold"), text, sep="\n", soft_wrap=True)


# --- the page ---


def to_html(study: Study) -> str:
    """The study as one page that carries its own script and style, and fetches nothing."""
    makers: tuple[Callable[[Study], Section | None], ...] = (
        _answer, _law, _metrics, _curves, _residuals, _split, _design, _gates, _runs, _data, _set_aside, _made
    )  # fmt: skip
    return page.assemble(study.title, [section for make in makers if (section := make(study)) is not None])


def write_report(study: Study, path: Path) -> None:
    """Write the page, atomically."""
    write_text(path, to_html(study))


def _answer(study: Study) -> Section:
    hero = ""
    if study.forecast:
        loss, _, bits = _loss(study, study.forecast.median).partition(" (")
        bits = f" <span>{escape(bits.rstrip(')'))}</span>" if bits else ""
        said = escape(_interval_words(study, study.forecast).capitalize())
        hero = f'<p class="hero"><b>{escape(loss)}{bits}</b>{said}.</p>'
    facts = [(name, words) for name, words in _facts(study) if name not in ("forecast", "warning", "law", "split")]
    listed = "".join(f"<li>{escape(text)}</li>" for text in study.warnings)
    warnings = f'<div class="warnings" role="note"><strong>Warnings</strong><ul>{listed}</ul></div>' if listed else ""
    lead = "Where the target will land, what it costs, and which run to train next."
    return Section("answer", "The answer", lead, hero + warnings + page.facts(facts))


def _law(study: Study) -> Section:
    run, forecast = study.outcome_run, study.forecast
    star = (run.flops or 0.0, run.loss) if run and study.outcome else None
    points = plot.law_points(study.fit, forecast)
    figure = plot.draw_law(points, forecast, star, study.dollars_per_flop)
    priced = [cost for name, cost in study.cost.items() if name.startswith("target")]
    money = f"The top axis is dollars at the target's price per FLOP ({priced[0].hardware}). " if priced else ""
    law = study.fit
    rows: list[Sequence[Any]] = [(name, f"{law.parameters[name]:.4g}", str(law.intervals[name])) for name in law.names]
    rows.append(("noise, sd of one run", f"{law.noise:.2%}", ""))
    weights = ", ".join(f"{name} {weight:.0%}" for name, weight in law.posterior.weights.items())
    split = "" if len(law.inputs) == 1 else " at the best split" if study.allocation else " at the runs' tokens/param"
    caption = (
        f"{money}The curve is the median of one new run{split}, for each amount of compute; the band is its "
        f"{points.level:.0%} interval, averaged over forms by their evidence ({weights})."
    )
    caption += "" if law.used.all() else " Rings are runs that the forecast leaves out."
    lead = "More compute lowers the loss as a power law towards a floor that is not zero; the band widens to the right."
    body = page.figure(figure, "law", caption)
    body += f"<h3>The fitted law: <code>{escape(FORMULAS[law.form])}</code></h3>"
    body += page.table("Parameters of the law", ("parameter", "value", "90% bootstrap interval"), rows)
    return Section("law", "The ladder and the law", lead, body)


def _metrics(study: Study) -> Section | None:
    return metric_page.section(study.metrics)


def _curves(study: Study) -> Section | None:
    forecast, run = study.forecast, study.outcome_run
    curves = plot.budget_curves(study.fit, forecast)
    if not curves:
        return None
    star = (run.params, run.loss) if run and run.params and study.outcome else None
    figure = plot.draw_budgets(curves, forecast, star)
    lead = "At each amount of compute, too small a model and too short a training both cost loss: so each curve dips."
    return Section("isoflop", "The same compute, spent at several sizes", lead, page.figure(figure, "isoflop"))


def _residuals(study: Study) -> Section:
    figure = plot.draw_residuals(plot.residual_points(study.fit), 100 * study.fit.noise)
    lead = "The runs should scatter around zero without a bend; a bend at the right end would carry into the forecast."
    caption = (
        f"Zero is the law of the table above; the band is two sds of one run ({study.fit.noise:.2%}) to either side."
    )
    if aside := len(study.fit.runs.set_aside):
        caption += f" Set aside and not shown: {aside}."
    return Section("residuals", "What the law misses", lead, page.figure(figure, "residuals", caption))


def _split(study: Study) -> Section | None:
    allocation = study.allocation
    if allocation is None:
        return None
    figure = plot.draw_split(plot.split_points(allocation))
    lead = "The dip is flat: any size in the shaded ranges is nearly as good, so choose the one that serves you best."
    caption = f"At {_flops(allocation.flops)}: {_split_words(allocation)}."
    return Section("split", "How to split the compute", lead, page.figure(figure, "split", caption))


def _design(study: Study) -> Section | None:
    return design_page.section(study.design)


def _gates(study: Study) -> Section | None:
    if study.gates is None:
        return None
    check, body = study.gates.coordinates, ""
    lead = "Each line should dip near 1: then the recipe's learning rates are right at every width."
    if study.gates.probes:
        body += page.figure(plot.draw_rates(study.gates.probes), "rates", str(replace(study.gates, coordinates=None)))
    if check is not None:
        lead += " A step of training should move a wide or deep model as far as a small one: flat lines."
        body += coordinate_figures(check)
    return Section("gate", "The gates", lead, body) if body else None


def _number(value: float | None, digits: int = 4) -> tuple[float, str]:
    """A cell: sorts by its value; empty where it is not known."""
    if value is None or not math.isfinite(value):
        return (math.nan, "")
    return (value, f"{value:,.{digits}g}" if abs(value) < 1e4 else plot.short(value))


def _runs(study: Study) -> Section:
    table, law = study.fit.runs, study.fit
    columns: dict[str, Callable[[Run], float | None]] = {
        "params": lambda run: run.params,
        "tokens": lambda run: run.tokens,
        "tokens/param": lambda run: run.tokens / run.params if run.tokens and run.params else None,
        "loss": lambda run: run.loss,
        "± se": lambda run: run.loss_se,
        "bits/byte": lambda run: run.bits_per_byte,
        "loss, unseen documents": lambda run: run.unseen_loss,
        "learning rate": lambda run: run.learning_rate,
        "batch, tokens": lambda run: run.batch_tokens,
        "seed": lambda run: run.seed,
    }
    known = {name: get for name, get in columns.items() if any(get(run) is not None for run in table)}
    rows = []
    for i, run in list(enumerate(table))[:MOST_ROWS]:
        residual = (float(law.residuals[i]), f"{law.residuals[i]:+.2%}")
        compute = (run.flops or math.nan, _flops(run.flops or math.nan).removesuffix(" FLOPs"))
        cells = [_number(get(run), 5 if key == "loss" else 4) for key, get in known.items()]
        name = run.run or f"row {table.lines[i] if table.lines else i + 1}"
        rows.append([name, compute, *cells, residual, "yes" if law.used[i] else "no"])
    lead = f"{len(table)} runs; click a heading to sort."
    lead += f" The first {MOST_ROWS} are shown." if len(table) > MOST_ROWS else ""
    head = ("run", "FLOPs", *known, "off the law", "in the forecast")
    return Section("runs", "The runs", lead, page.table("The runs", head, rows, sortable=True))


def _data(study: Study) -> Section | None:
    sheet = study.datasheet
    if not sheet:
        return None
    rows, dropped = [], []
    for source in sheet.get("sources", ()):
        counts = [(n, f"{n:,}") for n in (source.get(name, 0) for name in ("files", "documents", "bytes"))]
        rows.append([str(source.get("source", "")), *counts, _words(source.get("dropped", {})) or "nothing"])
        for file in source.get("listed", ()):
            if file.get("dropped"):
                dropped.append([str(file.get("name", "")), _words(file["dropped"])])
    body = page.table("Sources", ("source", "files", "documents kept", "bytes", "dropped"), rows)
    if dropped:
        inner = page.table("Files with something dropped", ("file", "dropped"), dropped)
        body += f"<details><summary>{len(dropped)} files with something dropped</summary>{inner}</details>"
    splits = [
        [name, *[(n, f"{n:,}") for n in (part.get(key, 0) for key in ("texts", "bytes", "tokens"))]]
        for name, part in sheet.get("splits", {}).items()
    ]
    body += "<h3>Splits</h3>" + page.table("Splits", ("split", "texts", "bytes", "tokens"), splits)
    body += page.facts((name.replace("_", " "), _words(sheet[name])) for name in SHEET if sheet.get(name))
    lead = "What the runs were trained and judged on; passages are held out of training texts, unseen documents whole."
    return Section("data", "The data", lead, body)


SHEET = ("tokenizer", "text", "held_out", "normalisation", "notes", "licence", "id", "date")
"""Parts of the data sheet that are shown as they stand."""


def _words(value: Any) -> str:
    """Any JSON value in words."""
    if isinstance(value, Mapping):
        return "; ".join(f"{str(name).replace('_', ' ')}: {_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(_words, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _set_aside(study: Study) -> Section | None:
    gone = study.fit.runs.set_aside
    if not gone:
        return None
    rows = [[(part.row, str(part.row)), part.run or "", part.reason] for part in gone[:MOST_ROWS]]
    lead = f"{len(gone)} rows of the table were not fitted, each for the reason beside it."
    return Section("aside", "What was set aside", lead, page.table("Set aside", ("row", "run", "reason"), rows))


def _made(study: Study) -> Section:
    facts = [("signature", study.fit.signature), ("seed", str(study.seed))]
    facts += [("table", Path(study.fit.runs.source).name)] if study.fit.runs.source else []
    facts += [("noted", text) for text in study.fit.runs.notes]
    facts += [("versions", _words(study.versions))] if study.versions else []
    if study.outcome:
        facts.append(("receipt", f"{study.outcome.receipt}, locked before the target was trained"))
    if study.plan:
        facts.append(("recipe", _words(study.plan.recipe.to_json())))
        facts.append(("machine", f"{study.plan.speed.workers} workers on {study.plan.speed.device}"))
    facts += [(f"cost: {name}", "; ".join(cost.assumptions)) for name, cost in study.cost.items()]
    return Section(
        "made", "How this was made", "What reproduces these numbers, and what costs assume.", page.facts(facts)
    )
