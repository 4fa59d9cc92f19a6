"""The map in docs/architecture.md is the order of imports, and every file keeps to it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "chidu"
FILES = sorted(HOUSE.rglob("*.py"))
TORCH = {"model", "training", "tasks", "audit"}
LONGEST = 500


def read_map() -> list[str]:
    """Names of rooms and loose files in the order of the map, `data` or `errors`."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [name for name, _ in re.findall(r"^\| \[`(\w+)(\.py|/)`\]\(\.\./src/chidu/\1\2\) \|", text, re.M)]


ORDER = read_map()


def place(file: Path) -> str:
    """Room or loose file that a file is or lies in; empty for the front door, `__init__`."""
    first = file.relative_to(HOUSE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(file: Path) -> Iterator[tuple[int, int, str]]:
    """Every import of a file, wherever it stands: its line, its level (0 is absolute), the name of what it takes."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, node.level, f"{node.module or ''}.{alias.name}"


def shown(file: Path) -> str:
    return str(file.relative_to(HOUSE))


def module(file: Path) -> str:
    return ".".join(("chidu", *file.relative_to(HOUSE).with_suffix("").parts)).removesuffix(".__init__")


def test_the_map_lists_the_house() -> None:
    rooms = {folder.name for folder in HOUSE.iterdir() if (folder / "__init__.py").exists()}
    loose = {file.stem for file in HOUSE.glob("*.py")} - {"__init__"}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == rooms | loose


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_a_file_imports_only_from_above_or_its_own_room(file: Path) -> None:
    here = place(file)
    for line, level, name in imports(file):
        assert level == 0, f"{shown(file)}:{line}: a relative import"
        parts = name.split(".")
        if parts[0] != "chidu" or not here or name == "chidu.__version__":
            continue
        there = parts[1]
        assert there in ORDER, f"{shown(file)}:{line}: {name} is not on the map"
        above = ORDER.index(there) <= ORDER.index(here)
        assert above, f"{shown(file)}:{line}: {here} imports {there}, which stands below it"


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_torch_stays_in_its_rooms(file: Path) -> None:
    if place(file) not in TORCH:
        taken = [name for _, _, name in imports(file) if "torch" in name.split(".")]
        assert not taken, f"{shown(file)} imports {taken}"


def test_the_ladder_talks_to_training_through_files() -> None:
    for file in FILES:
        if place(file) == "ladder":
            taken = [name for _, _, name in imports(file) if name.split(".")[:2] in (["chidu", room] for room in TORCH)]
            assert not taken, f"{shown(file)} imports {taken}"


def test_nothing_is_called_utils() -> None:
    vague = {"utils", "util", "helpers", "common", "misc", "tools"}
    assert [shown(file) for file in FILES if file.stem in vague or file.parent.name in vague] == []


def test_files_are_of_a_readable_length() -> None:
    lengths = {shown(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def loaded(code: str) -> set[str]:
    """Modules that are loaded after some code ran in a new interpreter."""
    code += "\nimport sys; print('\\n' + '\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n"))


def test_the_light_rooms_load_nothing_of_the_heavy_install() -> None:
    light = {module(file) for file in FILES if place(file) not in TORCH and file.stem != "__main__"}
    names = loaded("\n".join(f"import {name}" for name in sorted(light)))
    assert light <= names
    assert not names & {"torch", "safetensors", "tokenizers", "tiktoken", "transformers"}


def test_the_package_itself_loads_nothing() -> None:
    names = loaded("import chidu")
    assert [name for name in names if name.startswith("chidu.")] == []
    assert not names & {"numpy", "scipy", "torch"}


def test_the_command_line_loads_no_room_before_it_is_asked() -> None:
    names = loaded("import chidu.cli")
    rooms = {name.split(".")[1] for name in names if name.startswith("chidu.")}
    assert rooms <= {"cli", "errors", "runs", "store", "accounting", "config"}
    assert not names & {"scipy", "torch", "plotly", "yaml"}


def test_a_forecast_does_not_load_torch() -> None:
    runs = ROOT / "docs" / "example_runs.csv"
    arguments = ["forecast", str(runs), "--params", "1e9", "--tokens", "2e10"]
    names = loaded(f"from chidu.cli import main\nassert main({arguments!r}) == 0")
    assert "chidu.forecast.loss" in names
    assert not names & {"torch", "plotly", "pandas"}
