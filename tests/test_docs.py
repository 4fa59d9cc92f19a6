"""The documents cannot rot: what is generated is generated anew, links lead somewhere, values are the code's."""

import dataclasses
import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chidu.cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def load(name: str) -> ModuleType:
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_command_line_is_written_from_its_help() -> None:
    script = load("make_cli")
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == script.page(), "run make docs"
    assert set(chidu.cli.VERBS) == {name for name in chidu.cli.app if not name.startswith("-")}


def test_the_example_comes_from_its_script() -> None:
    lines = (ROOT / "docs" / "example_runs.csv").read_text(encoding="utf-8").splitlines()
    assert lines == load("make_examples").rows()


def test_the_record_is_that_of_the_results() -> None:
    assert (ROOT / "docs" / "FORECASTS.md").read_text(encoding="utf-8") == load("make_forecasts").page(), (
        "run make docs"
    )


def test_forecasts_that_were_locked_are_listed() -> None:
    script = load("make_forecasts")
    row = {"seed": 3, "distance": 10.0, "median": 2.51, "lower": 2.45, "upper": 2.58, "loss": 2.53}
    row |= {"error": -0.0079, "inside": True}
    rows = [row, {**row, "seed": 4, "error": 0.04, "inside": False}]
    shown = script.locked({"rows": rows, "source": "text/", "budget": "6min", "commit": "abc"}, None)
    assert "| 3 | 10x | 2.510 | 2.450 to 2.580 | 2.530 | -0.79% | yes |" in shown
    assert "1 of 2 inside, mean error 2.40%: `chidu run text/ --budget 6min --confirm`, commit abc." in shown
    assert "1 of 1 inside" in script.locked(None, {"row": row, "command": "chidu run", "commit": "abc"})
    assert script.locked(None, None) == script.held_out(None) == script.MISSING


def anchors(page: Path) -> set[str]:
    """Headings of a page as GitHub links to them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), f"{shown(page)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{shown(page)}: {link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_python_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(block, shown(page), "exec"), {})


def value_of(name: str) -> Any:
    """The value of `room.file.NAME`, or the default of a dataclass's field, `room.file.Class.field`."""
    path, _, last = name.rpartition(".")
    if path.rpartition(".")[2][0].isupper():
        home, _, kind = path.rpartition(".")
        owner = getattr(importlib.import_module(f"chidu.{home}"), kind)
        return {field.name: field.default for field in dataclasses.fields(owner)}[last]
    return getattr(importlib.import_module(f"chidu.{path}"), last)


@pytest.mark.parametrize("page", ["statistics.md", "recipe.md"])
def test_values_are_those_of_the_code(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (\S+) \|", text, re.M)
    assert len(rows) > 10
    for name, value in rows:
        assert float(value) == value_of(name), f"{page}: {name}"
