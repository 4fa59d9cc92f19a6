"""A lab's scores over its ladder: their table, the law from loss to each, what the target will score, and receipts.

Reads what `chidu.tasks.rungs` wrote, `LAB/metrics/NAME/`; computes no score itself.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chidu.errors import CorruptError, InputError, Refusal
from chidu.forecast.metric import MetricForecast, forecast_metrics
from chidu.forecast.receipt import lock, quantity_of, read_receipt, score
from chidu.forecast.targets import Target
from chidu.laws.fit import Fit
from chidu.laws.metric import MetricLaw, fit_metric
from chidu.runs import Run, RunTable
from chidu.store import read_json, write_text
from chidu.tables.read import read_runs

FOLDER, TABLE, RECEIPTS = "metrics", "metrics.csv", "receipts"


@dataclass(frozen=True)
class TaskScores:
    """What the runs of a lab scored on one task."""

    name: str
    count: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Run -> metric -> score."""
    baseline: str
    """Name of the best simple method; empty where there is none."""
    baseline_values: Mapping[str, float]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, the task's first one first."""
        return list(dict.fromkeys(name for found in self.scores.values() for name in found))


@dataclass(frozen=True, kw_only=True)
class MetricStudy:
    """One metric of one task over a lab's ladder."""

    task: str
    metric: str
    column: str
    """In `metrics.csv`."""
    first: bool
    """Whether it is the task's first metric."""
    count: int
    """Examples."""
    signature: str
    runs: tuple[str, ...]
    losses: tuple[float, ...]
    """Of the ladder's runs, nats per token."""
    values: tuple[float, ...]
    chance: float | None
    baseline: tuple[str, float] | None
    """The best simple method and what it gets."""
    law: MetricLaw | None = None
    forecast: MetricForecast | None = None
    refused: str = ""
    """Why there is no forecast, in words."""
    landed: tuple[float, float] | None = None
    """Loss and score of the target, once it was trained."""
    receipt: str = ""
    """Id of the receipt that the forecast was locked as, if it was."""

    @property
    def label(self) -> str:
        """Task and metric."""
        return f"{self.task} {self.metric}"

    @property
    def inside(self) -> bool | None:
        """Whether the target's score landed in the interval; None where one of both is not known."""
        return self.landed[1] in self.forecast.interval if self.landed and self.forecast else None

    def __str__(self) -> str:
        """Forecast, ladder and what simple methods get, in one sentence."""
        low, high = self.values[_argmax(self.losses)], self.values[_argmin(self.losses)]
        ladder = f"{low:.3g} to {high:.3g} in the ladder"
        beside = [f"{self.baseline[0]} {self.baseline[1]:.3g}"] if self.baseline else []
        beside += [f"a guess {self.chance:.3g}"] if self.chance is not None else []
        facts = ", ".join([ladder, *beside, f"{self.count:,} examples"])
        if self.forecast is None:
            return f"{self.metric}: no forecast, {self.refused or 'there is no target'} ({facts})"
        ends = self.forecast.interval
        said = f"{self.metric} {self.forecast.median:.3g}; with {ends.level:.0%} probability one new run there gets "
        said += f"{ends.lower:.3g} to {ends.upper:.3g} ({facts})"
        said += f"; locked as receipt {self.receipt}" if self.receipt else ""
        if self.landed:
            said += f"; trained afterwards, it got {self.landed[1]:.3g}: {'in' if self.inside else 'out'}side"
        return said

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "task": self.task,
            "metric": self.metric,
            "column": self.column,
            "count": self.count,
            "signature": self.signature,
            "runs": list(self.runs),
            "losses": list(self.losses),
            "values": list(self.values),
            "chance": self.chance,
            "baseline": {"name": self.baseline[0], "value": self.baseline[1]} if self.baseline else None,
            "law": self.law.to_json() if self.law else None,
            "forecast": self.forecast.to_json() if self.forecast else None,
            "refused": self.refused,
            "receipt": self.receipt,
            "landed": {"loss": self.landed[0], "value": self.landed[1], "inside": self.inside} if self.landed else None,
        }


def read_scores(lab: Path) -> list[TaskScores]:
    """The tasks that a lab's runs were examined on; none where they were examined on none.

    Raises:
        CorruptError: a file is not what was written.
    """
    out = []
    for file in sorted(lab.glob(f"{FOLDER}/*/task.json")):
        about, folder = read_json(file), file.parent
        try:
            scores = {}
            for path in sorted(folder.glob("*.json")):
                if path.name not in ("task.json", "baseline.json"):
                    found = read_json(path)
                    scores[found["run"]] = {score["metric"]: score for score in found["scores"]}
            beside: dict[str, Any] = {"name": "", "values": {}}
            beside |= read_json(folder / "baseline.json") if scores else {}
            made = TaskScores(about["name"], about["count"], scores, beside["name"], beside["values"])
        except (KeyError, TypeError) as error:
            raise CorruptError(f"{folder} is damaged ({error}); delete it and examine the ladder again") from None
        out += [made] if scores else []
    return out


def column_of(task: str, metric: str) -> str:
    """Name of a metric's column: `continuation_accuracy`."""
    return re.sub(r"\W+", "_", f"{task}_{metric}")


def write_table(lab: Path) -> Path:
    """Write `metrics.csv`, atomically: `runs.csv`, which stays as it is, with a column a metric."""
    lines = list(csv.reader(io.StringIO((lab / "runs.csv").read_text(encoding="utf-8"))))
    tasks = read_scores(lab)
    names = [(task, metric) for task in tasks for metric in task.metrics]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*lines[0], *(column_of(task.name, metric) for task, metric in names)])
    place = lines[0].index("run")
    for line in lines[1:]:
        cells = [task.scores.get(line[place], {}).get(metric, {}).get("value", "") for task, metric in names]
        writer.writerow([*line, *(repr(cell) if isinstance(cell, float) else cell for cell in cells)])
    write_text(lab / TABLE, out.getvalue())
    return lab / TABLE


def study_metrics(
    lab: Path, law: Fit, target: Target | None, landed: Run | None, level: float
) -> tuple[MetricStudy, ...]:
    """The law and the forecast of every metric of a lab.

    Args:
        lab: its folder.
        law: of the loss.
        target: what to forecast; None for the laws alone.
        landed: the target's run, where it was trained.
        level: of the intervals.
    """
    table = read_runs(lab / "runs.csv")
    out = []
    for task in read_scores(lab):
        for i, metric in enumerate(task.metrics):
            out.append(_study(task, metric, i == 0, table, law, target, landed, level))
    return tuple(out)


def _study(
    task: TaskScores,
    metric: str,
    first: bool,
    table: RunTable,
    law: Fit,
    target: Target | None,
    landed: Run | None,
    level: float,
) -> MetricStudy:
    found = {run: scores[metric] for run, scores in task.scores.items() if metric in scores}
    own = [run for run in table if run.run in found]
    some = next(iter(found.values()))
    beside = task.baseline_values.get(metric)
    score = found.get(landed.run) if landed else None
    made = MetricStudy(
        task=task.name,
        metric=metric,
        column=column_of(task.name, metric),
        first=first,
        count=task.count,
        signature=some["signature"],
        runs=tuple(run.run for run in own),
        losses=tuple(run.loss for run in own),
        values=tuple(float(found[run.run]["value"]) for run in own),
        chance=some.get("chance"),
        baseline=(task.baseline, beside) if beside is not None and task.baseline != "guess" else None,
        landed=(landed.loss, float(score["value"])) if landed and score else None,
    )
    rows = [replace(run, extra={made.column: repr(float(found[run.run]["value"]))}) for run in own]
    try:
        curve = fit_metric(RunTable(tuple(rows)), made.column, chance=made.chance, best=some.get("best"), seed=law.seed)
        forecast = forecast_metrics(law, curve, [target], level)[0] if target else None
    except (Refusal, InputError) as why:
        return replace(made, refused=str(why))
    return replace(made, law=curve, forecast=forecast)


def lock_metrics(studies: Sequence[MetricStudy], lab: Path, law: Fit) -> list[Path]:
    """Lock every forecast that is not locked yet; the receipts of all, in the lab's folder of receipts."""
    out = []
    for study in studies:
        if study.forecast is None:
            continue
        found = find_receipt(lab / RECEIPTS, study.forecast)
        about = {name: getattr(study, name) for name in ("task", "metric", "count", "signature")}
        out.append(found or lock(study.forecast, lab / RECEIPTS, fit=law, curve=study.law, about=about))
    return out


def find_receipt(folder: Path, forecast: MetricForecast) -> Path | None:
    """The receipt of that very forecast of a metric; None where it was not locked.

    Raises:
        CorruptError: a receipt was changed.
    """
    for path in sorted(folder.glob("*.json")):
        if ".outcome-" not in path.name:
            content = read_receipt(path)
            if quantity_of(content) == forecast.metric and content["forecast"] == forecast.to_json():
                return path
    return None


def score_metrics(studies: Sequence[MetricStudy], lab: Path, landed: Run | None) -> tuple[MetricStudy, ...]:
    """The same with their receipts, which are scored where the target was trained and examined."""
    out = []
    for study in studies:
        receipt = find_receipt(lab / RECEIPTS, study.forecast) if study.forecast else None
        if receipt is not None and landed is not None and study.landed is not None:
            score(receipt, replace(landed, extra={**landed.extra, study.column: repr(study.landed[1])}))
        out.append(replace(study, receipt=receipt.stem if receipt else ""))
    return tuple(out)


def first_refusal(studies: Sequence[MetricStudy], task: str) -> str:
    """Why a task's first metric is not forecast; empty where it is."""
    return next((study.refused for study in studies if study.task == task and study.first), "")


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def _argmin(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda i: values[i])
