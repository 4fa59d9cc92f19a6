"""MLflow: the folder `mlruns/` of its file store, and the table of `mlflow.search_runs`.

The store keeps a run as `EXPERIMENT/RUN/meta.yaml` (its status a number), `params/NAME` (the text), `tags/NAME`, and
`metrics/NAME` with a line `timestamp value step` for every value logged; a name with a slash is a path. The table has
`run_id, status, params.NAME, metrics.NAME, tags.NAME`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chidu.errors import InputError
from chidu.runs import SetAside
from chidu.tables.curves import Ends, last_values
from chidu.tables.files import decode, read_bytes, read_yaml, walk
from chidu.tables.sheet import Row, Sheet, fill, to_text
from chidu.tables.units import canonical

META = "meta.yaml"
STATUSES = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}


def is_export(header: Sequence[str]) -> bool:
    """Whether a table is that of `search_runs`, or of the download button of MLflow's page."""
    names = {canonical(name) for name in header}
    return {"run_id", "status", "start_time"} <= names


def read_folder(folder: Path, files: Sequence[Path], loss: str | None) -> Sheet | None:
    """Read the runs of an `mlruns/` folder, of an experiment or of one run; None where there are none."""
    rows: list[tuple[int, Row]] = []
    aside: list[SetAside] = []
    ends = Ends()
    for path in files:
        if path.name != META:
            continue
        meta = read_yaml(path)
        if not isinstance(meta, dict) or not (meta.get("run_id") or meta.get("run_uuid")):
            continue  # an experiment's, or a model's
        line = len(rows) + len(aside) + 1
        if meta.get("lifecycle_stage") == "deleted":
            aside.append(SetAside(line, _name(meta, path), "it was deleted in MLflow"))
        else:
            rows.append((line, _read_run(path.parent, meta, ends, loss)))
    if not rows and not aside:
        return None
    header, filled = fill(rows)
    return Sheet(
        path=folder,
        header=header,
        rows=filled,
        word="run",
        tracked=True,
        notes=ends.notes(),
        set_aside=tuple(aside),
    )


def _name(meta: Mapping[str, Any], path: Path) -> str:
    tag = path.parent / "tags" / "mlflow.runName"
    if meta.get("run_name"):
        return str(meta["run_name"])
    return _text(tag) if tag.is_file() else str(meta.get("run_id") or meta["run_uuid"])


def _read_run(place: Path, meta: Mapping[str, Any], ends: Ends, loss: str | None) -> dict[str, str]:
    status = meta.get("status")
    row = {
        "run": _name(meta, place / META),
        "status": STATUSES.get(status, "") if isinstance(status, int) else to_text(status),
    }
    for path in walk(place / "params"):
        row[f"params.{path.relative_to(place / 'params').as_posix()}"] = _text(path)
    curves = {
        f"metrics.{path.relative_to(place / 'metrics').as_posix()}": _read_metric(path)
        for path in walk(place / "metrics")
    }
    return row | {name: to_text(value) for name, value in last_values(curves, ends, loss).items()}


def _text(path: Path) -> str:
    return decode(path, read_bytes(path)).strip()


def _read_metric(path: Path) -> list[tuple[float, float]]:
    """A metric's curve, (step, value); old stores have no step."""
    curve = []
    for line, text in enumerate(_text(path).splitlines(), start=1):
        try:
            _, value, *step = text.split()
            curve.append((float(step[0]) if step else 0.0, float(value)))
        except ValueError:
            raise InputError(f"{path}, line {line}: not `timestamp value step`; delete the run or the line") from None
    return curve
