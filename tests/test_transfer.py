"""The pages of the checks of transfer."""

from pathlib import Path

import pytest

from chidu.ladder.coordinates import CoordinateCheck, Line, Shapes
from chidu.ladder.rates import RateCheck, make_probe
from chidu.store import read_json
from chidu.transfer import coordinate_points, draw_coordinates, write_check

SHAPES = Shapes(widths=(32, 64, 128), depths=(2, 8), steps=2, seeds=1)


def line_of(quantity: str, power: float, lost: bool = False) -> Line:
    changes = [(0.0, width**power, None if lost else width**power) for width in SHAPES.widths]
    return Line(quantity, "width", SHAPES.widths, tuple(changes), tuple(changes))


@pytest.fixture
def check() -> CoordinateCheck:
    lines = (line_of("stream", 0.5), line_of("embedding", 0.0), line_of("head_logits", 0.0, lost=True))
    return CoordinateCheck("chidu-<2>", "mup", SHAPES, lines)


def test_points_are_relative_to_the_smallest(check: CoordinateCheck) -> None:
    points = coordinate_points(check, "width")
    assert [line.quantity for line, _ in points] == ["stream", "embedding"]
    assert points[0][1] == pytest.approx([1, 2**0.5, 2])
    assert points[1][1] == [1, 1, 1]
    assert coordinate_points(check, "depth") == []


def test_the_figure_names_each_slope(check: CoordinateCheck) -> None:
    drawn = draw_coordinates(check, "width")
    assert [trace.name for trace in drawn.data] == ["residual stream +0.50", "embedding +0.00"]


def test_pages_are_written_with_their_json(check: CoordinateCheck, tmp_path: Path) -> None:
    page = write_check(check, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert page.name == "coordinates.html"
    assert "chidu-&lt;2&gt;" in text
    assert "which is not flat" in text
    assert read_json(tmp_path / "coordinates.json")["flat"] is False
    probes = (make_probe(16, {0.5: 4.2, 1.0: 4.0, 2.0: 4.1}), make_probe(64, {0.5: 3.9, 1.0: None, 2.0: 3.8}, layers=2))
    page = write_check(RateCheck("chidu-2", "mup", 1000, 3, probes), tmp_path)
    assert "width 64, 2 layers: best rate" in page.read_text(encoding="utf-8")
    assert read_json(tmp_path / "rates.json")["grid_drift"] == 2
