"""Fill the marked sections of the README, `<!-- NAME:begin -->` to `<!-- NAME:end -->`, with what runs printed.

    python docs/make_readme.py

    figure      docs/demo.svg or docs/demo.png, where there is one
    demo        benchmarks/results/demo.json: {"command", "output", "minutes", "machine": {"cpu", "cores"}, "commit"}
    forecast    the answer to the README's own question about docs/example_runs.csv, asked now
    trust       benchmarks/results/{backtest,demo_seeds,kill_ladder,forecast_time}.json, whichever are there

What is not there yet leaves a line that says how to make it.
"""

import contextlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

from chidu.cli import main as chidu

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
MISSING = "*Nothing is recorded yet: run `make bench` and `make docs`.*"
FORECAST = ("forecast", "docs/example_runs.csv", "--params", "1e9", "--tokens", "20e9")


def read_result(name: str, results: Path = RESULTS) -> Any:
    """A benchmark's result; None where it was not run."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def figure(docs: Path = ROOT / "docs") -> str:
    """The picture of the demo."""
    for ending in ("svg", "png"):
        if (docs / f"demo.{ending}").exists():
            words = (
                "The ladder's runs, the law with its band to the right, and the target, trained afterwards, as a star"
            )
            return f"![{words}](docs/demo.{ending})"
    return MISSING


def demo(result: Any) -> str:
    """What the demo printed, on which machine."""
    if result is None:
        return MISSING
    machine = result["machine"]
    where = (
        f"{result['minutes']:.0f} minutes on {machine['cores']} cores of {machine['cpu']}, commit {result['commit']}"
    )
    return f"```text\n{result['output'].strip()}\n```\n\n({where}; `{result['command']}`)"


def forecast() -> str:
    """What the light command prints."""
    out = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out):
        code = chidu(FORECAST)
    assert code == 0, f"chidu {' '.join(FORECAST)} ended with {code}"
    return f"```text\n{out.getvalue().strip()}\n```"


def trust(results: Path = RESULTS) -> str:
    """Forecasts of runs that were held out or not trained yet, and what else was measured."""
    parts = [
        part
        for name, show in (
            ("backtest", _backtest),
            ("demo_seeds", _seeds),
            ("kill_ladder", _kills),
            ("forecast_time", _time),
        )
        if (result := read_result(name, results)) is not None
        for part in [show(result)]
    ]
    return "\n\n".join(parts) if parts else MISSING


def _backtest(result: Any) -> str:
    lines = [
        f"Runs held out of published tables, {result['splits']} splits; % of the loss:",
        "",
        "| | median error | mean error | 90 % intervals held | interval score | CPU seconds a split |",
        "|---|---|---|---|---|---|",
    ]
    for method, parts in result["methods"].items():
        made = parts["ALL"]
        lines.append(
            f"| {method} | {made['median']:.2f} | {made['error']:.2f} | {made['cover']:.0f} | {made['score']:.1f} | "
            f"{made['seconds']:.2f} |"
        )
    lines += ["", "By table, by distance, and what *standard* is: [docs/FORECASTS.md](docs/FORECASTS.md)."]
    return "\n".join(lines)


def _seeds(result: Any) -> str:
    machine, rows = result["machine"], result["rows"]
    inside = sum(row["inside"] for row in rows)
    lines = [
        "Forecasts of `chidu run builtin --confirm`, each locked before its target was trained:",
        "",
        "| seed | forecast | interval | outcome | error | inside | minutes in all |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['seed']} | {row['median']:.3f} | {row['lower']:.3f} to {row['upper']:.3f} | {row['loss']:.3f} | "
            f"{row['error']:+.1%} | {'yes' if row['inside'] else 'no'} | {row['minutes']:.1f} |"
        )
    lines += [
        "",
        f"{inside} of {len(rows)} inside ({machine['cores']} cores of {machine['cpu']}, commit {result['commit']}). "
        "A few seeds of one corpus: a demonstration, not a measured coverage.",
    ]
    return "\n".join(lines)


def _kills(result: Any) -> str:
    same = "was the same, byte for byte" if result["same"] else "was **not** the same"
    return (
        f"A ladder that was killed {result['kills']} times at random moments and started again each time: its table of "
        f"runs {same}."
    )


def _time(result: Any) -> str:
    return f"A forecast from a table takes {result['median']:.1f} s, start to end (median of {result['times']} times)."


def fill(text: str, sections: dict[str, str]) -> str:
    """Put each section between its marks."""
    for name, content in sections.items():
        marks = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.S)
        text, count = marks.subn(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)  # type: ignore[misc]
        assert count == 1, f"README.md has {count} sections {name}"
    return text


def main() -> None:
    """Write the README."""
    sections = {"figure": figure(), "demo": demo(read_result("demo")), "forecast": forecast(), "trust": trust()}
    README.write_text(fill(README.read_text(encoding="utf-8"), sections), encoding="utf-8")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
