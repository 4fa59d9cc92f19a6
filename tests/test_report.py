import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from chidu import report
from chidu.design_page import DesignStudy
from chidu.forecast.allocation import compute_optimal
from chidu.forecast.cost import price, price_seconds
from chidu.forecast.loss import forecast_loss
from chidu.forecast.next_run import next_run
from chidu.forecast.receipt import Outcome
from chidu.forecast.sparing import Decision, Spared
from chidu.ladder.gates import GateReport
from chidu.ladder.plan import Offer, Plan, Speed
from chidu.ladder.rates import RateProbe
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.laws.fit import fit
from chidu.report import Study
from chidu.runs import Run, RunTable, SetAside

HOSTILE = "</script><script>alert('ü')</script><img src=x onerror=alert(1)> & \"模型\""
VOID = {"meta", "link", "img", "br", "hr", "input"}
TOP = ["ladder", "target", "forecast", "outcome", "metrics", "cost", "next", "warnings"]
TOP += ["law", "allocation", "set_aside", "design", "gates", "data", "versions", "seeds"]
SHEET = {
    "id": "abc",
    "sources": [
        {
            "source": "novels <b>",
            "files": 3,
            "documents": 2,
            "bytes": 1000,
            "dropped": {"empty": 1},
            "listed": [{"name": "a<i>.txt", "documents": 0, "dropped": {"empty": 1}}],
        }
    ],
    "splits": {"train": {"texts": 2, "bytes": 900, "tokens": 300}},
    "tokenizer": {"kind": "byte-level BPE", "vocab_size": 1024, "bytes_per_token": 2.55},
}


def make_table(bits: bool = True) -> RunTable:
    rng = np.random.default_rng(0)
    runs = []
    for flops in (1e18, 3e18, 1e19, 3e19):
        for ratio in (5.0, 10.0, 20.0, 40.0):
            params = float(np.sqrt(flops / (6 * ratio)))
            loss = 1.8 + 400 / params**0.34 + 2000 / (ratio * params) ** 0.36
            loss *= float(np.exp(0.003 * rng.standard_normal()))
            known = {"bits_per_byte": 0.5 * loss} if bits else {}
            name = HOSTILE if not runs else f"r{len(runs)}"
            runs.append(Run(run=name, params=params, tokens=ratio * params, flops=flops, loss=loss, **known))
    return RunTable(tuple(runs), (SetAside(9, "gone <u>", "status is 'diverged'"),), "lab/runs.csv")


def make_design(half_width: float | None) -> DesignStudy:
    """Three designs of which the second in the alphabet was taken, and two runs left out of it."""
    offers = [
        Offer(name, 15 + i, 1e19 * (i + 1), 1e20 * (i + 1), 0.04 - 0.002 * i, 0.03 + 0.005 * i, 600.0 - i, 1e20, 0.3)
        for i, name in enumerate(("isoflop", "grid", "trunk"))
    ]
    spared = (Spared("a", 1e8, 1e9, 6e17, 0.0123, 40.0), Spared("b", 1e8, 2e9, 1.2e18, -0.001, 55.0))
    sparing = Decision(("c", "d"), 3, spared, 0.031, 0.0313, True)
    return DesignStudy(
        offers=tuple(offers), predicted_seconds=600.0, seconds=571.0, half_width=half_width, sparing=sparing
    )


def make_study() -> Study:
    """Everything that a study can hold."""
    law = fit(make_table(), draws=200)
    forecast = forecast_loss(law, flops=3e20)
    recipe = Recipe()
    config = recipe.config(32, 1e6, 1024, "abc")
    plan = Plan(recipe, "abc", 60.0, 50.0, Speed(0.0, 1e-6, 1e-12, 1.0, 2, "cpu"), (Rung(config, 9.0),), 0)
    loss = 1.01 * forecast.median
    return Study(
        title=f"study {HOSTILE}",
        fit=law,
        forecast=forecast,
        allocation=compute_optimal(law, flops=forecast.flops),
        next_run=next_run(law, target=forecast.flops),
        outcome=Outcome("receipt1", loss, forecast.median, forecast.median / loss - 1, True),
        outcome_run=Run(run="big", params=forecast.params, tokens=forecast.tokens, flops=forecast.flops, loss=loss),
        cost={"ladder": price_seconds(3600), "target": price(forecast.flops)},
        plan=plan,
        design=make_design(0.03),
        gates=GateReport((RateProbe(16, (0.5, 1.0, 2.0), (4.2, 4.1, None), 1.0, 0.0),), 0.0, ()),
        datasheet=SHEET,
        ladder_seconds=3600.0,
        warnings=("a warning with <b>marks</b> & more",),
        versions={"chidu": "0.1.0"},
        seed=7,
    )


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study()


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    return report.to_html(study)


@pytest.fixture(scope="module")
def frontier() -> Study:
    """A table of compute and loss alone, without anything else."""
    flops = np.geomspace(1e18, 1e21, 10)
    runs = tuple(Run(flops=float(c), loss=float(2 + 300 / c**0.14)) for c in flops)
    law = fit(RunTable(runs), draws=100)
    return Study(title="frontier", fit=law, forecast=forecast_loss(law, flops=1e22))


class Checker(HTMLParser):
    """Holds that tags nest, and collects what a browser would fetch, the ids and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.seen = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        if tag != "a":
            self.fetched += [values[name] for name in ("src", "href", "srcset", "data", "poster") if name in values]
        assert not [name for name in values if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.seen += data


def strict(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def test_the_summary_holds_exactly_what_is_promised(study: Study) -> None:
    value = report.summarise(study)
    assert list(value) == TOP
    assert set(value["ladder"]) == {"runs", "sizes", "budgets", "flops", "largest_flops", "seconds"}
    assert set(value["target"]) == {"params", "tokens", "flops"}
    assert set(value["forecast"]) == {"median", "lower", "upper", "level"}
    assert set(value["outcome"]) == {"loss", "error", "inside"}
    assert set(value["law"]) == {"form", "parameters", "intervals", "noise"}
    assert value["ladder"]["runs"] == 16
    assert value["ladder"]["sizes"] == len({run.params for run in study.fit.runs})
    assert value["ladder"]["budgets"] == 4
    assert value["ladder"]["largest_flops"] == 3e19
    assert value["outcome"]["error"] == pytest.approx(1 / 1.01 - 1)
    assert value["set_aside"] == [{"row": 9, "run": "gone <u>", "reason": "status is 'diverged'"}]
    assert value["data"] == SHEET
    assert value["seeds"] == {"study": 7, "fit": 0, "draws": 200}
    assert json.loads(strict(value)) == value


def test_the_summary_of_little_has_nulls_and_no_nan(frontier: Study) -> None:
    value = report.summarise(replace(frontier, forecast=None, next_refused="train it", ladder_seconds=float("nan")))
    assert list(value) == TOP
    missing = ("target", "forecast", "outcome", "allocation", "design", "gates", "data")
    assert [value[name] for name in missing] == [None] * len(missing)
    assert value["next"] == {"refused": "train it"}
    assert value["ladder"]["sizes"] is None
    assert value["ladder"]["seconds"] is None
    assert "NaN" not in strict(value)


def test_the_text_is_narrow_and_says_everything(study: Study) -> None:
    text = report.to_text(study)
    assert max(map(len, text.split("\n"))) <= 100
    flat = re.sub(r"\s+", " ", text)
    for words in (
        "16 runs",
        "L = E + A / N^alpha + B / D^beta",
        f"{study.forecast.median:.4g} nats/token ({study.forecast.median / 2:.4g} bits/byte)",  # type: ignore[union-attr]
        "10 times the largest run",
        "90% probability",
        "inside the interval, the forecast was 0.99% too low",
        "within 0.1% of the best loss",
        "cost: ladder $0.04",
        "isoflop, the best of 3; its interval was expected to be ±4.0% of the loss and came out at ±3.0%",
        "2 runs, 95 s of work; without them the interval is expected to be 1.1% wider",
        "would narrow the target's interval",
        "set aside 1 row,",
        "a warning with <b>marks</b> & more",
    ):
        assert words in flat
    assert "exponential" not in flat


def test_the_text_says_why_there_is_no_next_run(frontier: Study) -> None:
    assert "none: the target is within the budget" in re.sub(
        r"\s+", " ", report.to_text(replace(frontier, next_refused="the target is within the budget"))
    )


def test_control_characters_do_not_reach_the_terminal(frontier: Study) -> None:
    text = report.to_text(replace(frontier, title="a\x1b[31mred", warnings=("\x1b]0;title\x07",)))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_print_text_prints_the_same_words(study: Study) -> None:
    plain, coloured = StringIO(), StringIO()
    report.print_text(study, Console(file=plain, width=60))
    report.print_text(study, Console(file=coloured, force_terminal=True, color_system="standard", width=60))
    assert plain.getvalue().rstrip("\n") == report.to_text(study)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured.getvalue()) == plain.getvalue()
    assert "\x1b[33m" in coloured.getvalue()


def test_bits_per_byte_only_where_the_ratio_is_known() -> None:
    table = make_table(bits=False)
    assert Study(title="", fit=fit(table, draws=50)).bits_per_nat is None
    runs = tuple(replace(run, bits_per_byte=run.loss * (0.5 + 0.01 * i)) for i, run in enumerate(table.runs))
    assert Study(title="", fit=fit(replace(table, runs=runs), draws=50)).bits_per_nat is None


def test_the_page_is_well_formed_and_fetches_nothing(page: str) -> None:
    checked = Checker(page)
    assert [place for place in checked.fetched if place != "data:,"] == []
    assert len(checked.ids) == len(set(checked.ids))
    assert {link.removeprefix("#") for link in checked.links} <= set(checked.ids)
    assert page.count("plotly.js v") == 1
    assert len(page) < 6e6
    assert "$script" not in page
    assert "exponential" not in checked.seen.lower()


def test_the_page_shows_everything_in_order(page: str) -> None:
    checked = Checker(page)
    order = ["answer", "law", "isoflop", "residuals", "split", "designs", "gate", "runs", "data", "aside", "made"]
    assert [link.removeprefix("#") for link in checked.links] == order
    for words in ("with <b>marks</b> & more", "novels <b>", "a<i>.txt", "gone <u>", "receipt1", Recipe().name, HOSTILE):
        assert words in checked.seen
    figures = {name for name in checked.ids if name.startswith("figure-")}
    assert figures == {f"figure-{name}" for name in ("law", "isoflop", "residuals", "split", "designs", "rates")}


def test_hostile_names_stay_text(page: str) -> None:
    checked = Checker(page)
    assert "img" not in checked.tags
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_frontier_table_has_the_views_that_make_sense(frontier: Study) -> None:
    checked = Checker(report.to_html(frontier))
    assert [link.removeprefix("#") for link in checked.links] == ["answer", "law", "residuals", "runs", "made"]
    assert "L = E + A / C^alpha" in checked.seen
    assert "nan" not in checked.seen.lower()


def test_the_page_is_written_whole(frontier: Study, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    report.write_report(frontier, path)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert list(path.parent.iterdir()) == [path]


def test_a_browser_shows_the_page(page: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, headless=True, args=quiet)
        for width in (1280, 390):
            view = browser.new_page(viewport={"width": width, "height": 900})
            said: list[str] = []
            asked: list[str] = []
            view.on("console", lambda message, said=said: said.append(message.text))
            view.on("pageerror", lambda error, said=said: said.append(str(error)))
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            view.goto(file.as_uri())
            view.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 5")
            assert said == []
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert view.locator(".js-plotly-plot .scatterlayer path.point").count() > 16
            head = view.locator("#runs th button", has_text="loss").first
            head.click()
            column = view.locator("#runs tbody td:nth-child(6)")
            losses = [float(text) for text in column.all_inner_texts()]
            assert losses == sorted(losses)
        browser.close()
