"""Write `FORECASTS.md`, chidu's own record, from the committed results of the benchmarks.

python docs/make_forecasts.py

locked      benchmarks/results/demo_seeds.json; of demo.json the one row, where the former is not there yet
held out    benchmarks/results/backtest.json, and what forecasts quote of it, src/chidu/forecast/record.json
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).with_name("FORECASTS.md")
RESULTS = ROOT / "benchmarks" / "results"
RECORD = ROOT / "src" / "chidu" / "forecast" / "record.json"
HEAD = """\
# Forecasts: the record

Written by `docs/make_forecasts.py` from committed results; `make docs` writes it again. error = forecast / outcome − 1.
"""
OWN = """\
## Keep your own

```sh
chidu forecast runs.csv --params 70e9 --tokens 1.4e12 --lock   # a receipt, and its line in receipts/ledger.jsonl
chidu score receipts/ID.json --runs runs.csv                   # once the run has landed
chidu score --ledger receipts                                  # verify the folder, list the record
```

Each line of the ledger holds the hash of the file it is about and that of the line before. Publish the hash of the last
line, the *head*, when you lock; `--head HASH` asks for it later ([statistics](statistics.md#receipts)).
"""
MISSING = "*Nothing is recorded yet: run `make bench` and `make docs`.*"


def read_result(name: str, results: Path = RESULTS) -> Any:
    """A benchmark's result; None where it was not run."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def locked(seeds: Any, demo: Any) -> str:
    """Forecasts that were locked before their target was trained."""
    result = seeds or demo
    if result is None:
        return MISSING
    rows = seeds["rows"] if seeds else [demo["row"]]
    source = f"`chidu run {seeds['source']} --budget {seeds['budget']} --confirm`" if seeds else f"`{demo['command']}`"
    lines = [
        "| seed | distance | forecast | 90 % interval | outcome | error | inside |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        interval = f"{row['lower']:.3f} to {row['upper']:.3f}"
        lines.append(
            f"| {row['seed']} | {row['distance']:.3g}x | {row['median']:.3f} | {interval} | {row['loss']:.3f} | "
            f"{row['error']:+.2%} | {'yes' if row['inside'] else 'no'} |"
        )
    inside = sum(row["inside"] for row in rows)
    error = sum(abs(row["error"]) for row in rows) / len(rows)
    lines += ["", f"{inside} of {len(rows)} inside, mean error {error:.2%}: {source}, commit {result['commit']}."]
    return "\n".join(lines)


def held_out(result: Any) -> str:
    """Forecasts of runs that were held out of published tables, beside the standard method."""
    if result is None:
        return MISSING
    head = "| % of the loss | method | median error | mean error | bias | 90 % held | width | score | refused |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    parts = list(next(iter(result["methods"].values())))
    for part in sorted(parts, key=lambda name: name != "ALL"):
        for method, figures in result["methods"].items():
            if part not in figures:
                continue
            made = figures[part]
            name = "**all**" if part == "ALL" else part.replace("_", " ")
            lines.append(
                f"| {name} | {method} | {made['median']:.2f} | {made['error']:.2f} | {made['bias']:+.2f} | "
                f"{made['cover']:.0f} | {made['width']:.2f} | {made['score']:.2f} | {made['refused']} |"
            )
    lines += [
        "",
        f"{result['splits']} splits (`benchmarks/backtest.py`, commit {result['commit']}). *standard* is the plain fit "
        "of Chinchilla's law with 1,000 bootstraps, score the interval score ([statistics](statistics.md#backtests)). "
        "chidu was developed on these tables: expect a little less on others.",
    ]
    return "\n".join(lines)


def by_distance(record: Any) -> str:
    """What forecasts quote: the same splits by the distance of each target."""
    if not record["distances"]:
        return MISSING
    lines = ["| times the largest run | tables | forecasts | mean error | 50 % held | 80 % held | 90 % held |"]
    lines.append("|---|---|---|---|---|---|---|")
    for part in record["distances"]:
        where = f"over {part['from']:g}" if part["to"] is None else f"{part['from']:g} to {part['to']:g}"
        held = " | ".join(f"{part['cover'][level]:.0%}" for level in ("0.5", "0.8", "0.9"))
        lines.append(f"| {where} | {part['tables']} | {part['forecasts']} | {part['error']:.2%} | {held} |")
    return "\n".join([*lines, "", f"Tables: {record['sources']}."])


def page() -> str:
    """The whole file."""
    return (
        "\n\n".join(
            [
                HEAD.strip(),
                "## Locked before the run was trained",
                locked(read_result("demo_seeds"), read_result("demo")),
                "## Held out of published tables",
                held_out(read_result("backtest")),
                "### By distance, as forecasts quote it",
                by_distance(json.loads(RECORD.read_text(encoding="utf-8"))),
                OWN.strip(),
            ]
        )
        + "\n"
    )


def main() -> None:
    """Write the file."""
    OUT.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
