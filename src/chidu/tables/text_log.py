"""Text logs: nanoGPT's, and what has the same lines.

`tokens per iteration will be: 491,520`, `number of parameters: 10.65M` (without position embeddings), then for every
evaluation `step 2000: train loss 1.7648, val loss 1.8857`. modded-nanogpt has `step:1750/1750 val_loss:3.2792`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from chidu.tables.curves import Ends, last_values
from chidu.tables.files import name_below
from chidu.tables.settings import HOW, read_settings
from chidu.tables.sheet import Sheet, fill, to_text

SUFFIXES = frozenset((".log", ".txt", ".out", ".stdout"))
EVALUATION = re.compile(
    r"^.{0,80}?\bstep (?P<step>\d+): train loss (?P<train>[\d.]+|nan|inf), val loss (?P<val>[\d.]+|nan|inf)"
    r"|^.{0,80}?\bstep:(?P<step2>\d+)/(?P<most>\d+) val_loss:(?P<val2>[\d.]+|nan|inf)",
    re.M,
)
PARAMS = re.compile(r"number of parameters: *([\d.,]+ *[KMBT]?)\b")
BATCH = re.compile(r"tokens per iteration will be: *([\d,]+)")
MOST = re.compile(r"^(?:Overriding: *)?max_iters *= *(\d+)", re.M)
BEGINNING = 1 << 20
"""Bytes in which a log has its first evaluation: other texts in a folder, a corpus, are not read whole."""
LATE = 0.99
"""A log that gets this far has ended: evaluations come every so many steps."""


def is_log(text: str) -> bool:
    """Whether a text has lines of evaluations."""
    return EVALUATION.search(text) is not None


def read_folder(folder: Path, files: Sequence[Path], loss: str | None) -> Sheet | None:
    """Read one run for each log in a folder; None where there are none."""
    texts = {}
    for path in files:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            with path.open("rb") as file:
                start = file.read(BEGINNING)
                if is_log(start.decode("utf-8", errors="replace")):
                    texts[path] = (start + file.read()).decode("utf-8", errors="replace")
    return read_logs(folder, texts, loss) if texts else None


def read_logs(source: Path, texts: dict[Path, str], loss: str | None = None) -> Sheet:
    """Read logs, each a run that is named by its folder where that holds one log, else by its file.

    What was set is taken from `LOG.json`, `config.json` or the like beside it.
    """
    ends = Ends()
    rows = []
    for line, (path, text) in enumerate(texts.items(), start=1):
        alone = sum(other.parent == path.parent for other in texts) == 1 and path.parent != source and path != source
        place = path.parent if alone else path.with_suffix("")
        name = name_below(source, place) if place.is_relative_to(source) else place.name
        rows.append((line, {"run": name, **read_settings(path.parent, path.stem), **_read_run(text, ends, loss)}))
    header, filled = fill(rows)
    notes = list(ends.notes())
    if "number_of_parameters" in header:
        notes.append("params is as the logs print it: rounded, and in nanoGPT's without position embeddings")
    return Sheet(path=source, header=header, rows=filled, word="run", tracked=True, notes=tuple(notes), advice=HOW)


def _read_run(text: str, ends: Ends, loss: str | None) -> dict[str, str]:
    """The last of the runs that a log holds: it is another where the steps begin again from 0."""
    curves: dict[str, list[tuple[float, float]]] = {}
    most = [int(found[1]) for found in MOST.finditer(text)]
    for found in EVALUATION.finditer(text):
        step = float(found["step"] or found["step2"])
        if step == 0:
            curves = {}
        curves.setdefault("val/loss", []).append((step, float(found["val"] or found["val2"])))
        if found["train"]:
            curves.setdefault("train/loss", []).append((step, float(found["train"])))
        most += [int(found["most"])] if found["most"] else []
    values = last_values(curves, ends, loss)
    row = {name: to_text(value) for name, value in values.items()}
    for name, pattern in (("number_of_parameters", PARAMS), ("tokens_per_iteration", BATCH)):
        if given := pattern.findall(text):
            row[name] = given[-1].strip()
    if most and values.get("step", 0.0) < LATE * most[-1]:
        row["status"] = f"stopped at step {values.get('step', 0):.0f} of {most[-1]}"
    return row
