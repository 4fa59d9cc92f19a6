"""The README is short, its commands run, and what they print is what it shows."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chidu.cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LIGHT = ("forecast", "fit", "next", "report")
MACHINE = {"cpu": "a CPU", "cores": 2}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_readme", ROOT / "docs" / "make_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> list[list[str]]:
    """Every `chidu ...` of the README: in blocks and in running text."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.S)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`(chidu [^`]+)`", TEXT)
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("chidu ")]


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) < 200
    before = re.sub(r"<!--.*?-->|!\[.*?\]\(.*?\)", "", TEXT.partition("```")[0], flags=re.S)
    assert len(before.split()) <= 100


def test_it_names_every_kind_of_command() -> None:
    assert {words[0] for words in commands() if not words[0].startswith("-")} >= {*LIGHT, "run"}


@pytest.mark.parametrize(
    "words", [words for words in commands() if words[0] in LIGHT and "RUNS" not in words], ids=" ".join
)
def test_light_commands_run(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "example_runs.csv").write_bytes((ROOT / "docs" / "example_runs.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert chidu.cli.main(words) == 0
    assert capsys.readouterr().out


def test_heavy_commands_are_understood() -> None:
    for words in commands():
        if words[0] not in LIGHT and not words[0].startswith("-"):
            assert chidu.cli.app.parse_args(words, exit_on_error=False, print_error=False)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)]


def test_the_forecast_shown_is_the_one_printed(script: ModuleType) -> None:
    shown = re.findall(r"<!-- forecast:begin -->\n(.*?)\n<!-- forecast:end -->", TEXT, re.S)[0]
    printed = script.forecast()
    assert re.sub(r"[\d.e+-]+", "#", shown) == re.sub(r"[\d.e+-]+", "#", printed), "run make docs"
    assert numbers(shown) == pytest.approx(numbers(printed), rel=0.01), "run make docs"


def test_the_sections_are_those_of_the_results(script: ModuleType) -> None:
    sections = {
        "figure": script.figure(),
        "demo": script.demo(script.read_result("demo")),
        "trust": script.trust(),
    }
    assert script.fill(TEXT, sections) == TEXT, "run make docs"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {"setup", "demo", "test", "lint", "bench", "docs"} <= targets
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", page.read_text(encoding="utf-8"), re.M))
        assert {one or other for one, other in named} <= targets, page


def test_results_become_text(script: ModuleType, tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "seed": 1,
        "median": 2.51,
        "lower": 2.45,
        "upper": 2.58,
        "loss": 2.53,
        "error": -0.0079,
        "inside": True,
        "minutes": 14.2,
    }
    seeds = {"rows": [row, {**row, "seed": 2, "inside": False}], "machine": MACHINE, "commit": "abc"}
    shown = script._seeds(seeds)
    assert "| 1 | 2.510 | 2.450 to 2.580 | 2.530 | -0.8% | yes | 14.2 |" in shown
    assert "1 of 2 inside (2 cores of a CPU, commit abc)" in shown
    demo = {"command": "chidu run", "output": "loss 2.5\n", "minutes": 14.2, "machine": MACHINE, "commit": "abc"}
    assert script.demo(demo).startswith("```text\nloss 2.5\n```\n")
    assert "14 minutes on 2 cores of a CPU" in script.demo(demo)
    assert script.trust(tmp_path) == script.demo(None) == script.MISSING
    assert "not** the same" in script._kills({"kills": 10, "same": False})
    assert script.fill("<!-- demo:begin -->\nold\n<!-- demo:end -->", {"demo": r"new \1"}) == (
        "<!-- demo:begin -->\nnew \\1\n<!-- demo:end -->"
    )
