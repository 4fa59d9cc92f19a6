import json

import pytest

from chidu.calibration import calibration_points, draw_calibration, to_html, write_backtest
from chidu.errors import InputError
from chidu.forecast.backtest import Backtest, backtest
from chidu.runs import Run, RunTable


@pytest.fixture(scope="module")
def made() -> Backtest:
    runs = [
        Run(run=f"<r{i}>", flops=1e17 * 2.0**i, loss=1.5 + 30 * (1e17 * 2.0**i) ** -0.08 + 0.002 * (i % 3))
        for i in range(12)
    ]
    return backtest(RunTable(tuple(runs), notes=("a <note>",)))


def test_a_curve_for_each_distance(made: Backtest) -> None:
    curves = calibration_points(made)
    assert [curve.distance for curve in curves] == [made.distance(about) for about in made.distances]
    for curve, about in zip(curves, made.distances, strict=True):
        graded = made.grade("chidu", about)
        assert graded is not None
        assert curve.targets == graded.targets
        assert curve.held[curve.levels.index(0.9)] == graded.cover
        assert (min(curve.levels), max(curve.levels)) == (0.1, 0.95)
    assert calibration_points(made, "nobody") == []


def test_the_figure_draws_the_points(made: Backtest) -> None:
    curves = calibration_points(made)
    promised, *lines = draw_calibration(curves).data
    assert list(promised.x) == list(promised.y) == [0, 100]
    assert len(lines) == len(curves)
    for line, curve in zip(lines, curves, strict=True):
        assert list(line.x) == pytest.approx([100 * level for level in curve.levels])
        assert list(line.y) == pytest.approx([100 * held for held in curve.held])


def test_the_page_is_whole_and_asks_nobody(made: Backtest) -> None:
    page = to_html(made, "<runs>.csv")
    assert "&lt;runs&gt;.csv: backtest" in page
    assert "&lt;r11&gt;" in page
    assert "a &lt;note&gt;" in page
    assert "<r11>" not in page
    assert "frontier alone" in page
    body = page[page.index("<body>") :]
    assert "src=" not in body.replace("data-src=", "")
    assert "http://" not in body.split("<script")[0]


def test_it_is_written_into_a_folder_or_to_a_page(made: Backtest, tmp_path) -> None:
    assert write_backtest(made, tmp_path / "new", "runs") == tmp_path / "new" / "backtest.html"
    assert json.loads((tmp_path / "new" / "backtest.json").read_text()) == made.to_json()
    assert write_backtest(made, tmp_path / "page.html", "runs") == tmp_path / "page.html"
    assert (tmp_path / "page.json").exists()
    with pytest.raises(InputError, match="name a folder"):
        write_backtest(made, tmp_path / "page.pdf", "runs")
