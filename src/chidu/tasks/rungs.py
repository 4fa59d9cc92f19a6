"""The runs of a lab, each examined on the same task: what a law from loss to metric is fitted to.

`LAB/metrics/NAME/` gets `task.json`, `baseline.json` and a file a run, named by it. A run that has its file is not
examined again; another task or file of the same name begins anew.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.errors import InputError
from chidu.ladder.plan import Plan
from chidu.runs import Run
from chidu.store import hash_json, read_json, write_json
from chidu.tasks.baselines.baseline import choose
from chidu.tasks.continuation import LEAST, Continuation, held_out_texts, training_texts
from chidu.tasks.examination import find_task, know_tokenizer, read_split, thin
from chidu.tasks.example import Example, Prediction
from chidu.tasks.generation import Generation
from chidu.tasks.predicting import Decoding, predict, text_nats
from chidu.tasks.score import LEVEL, Metric, make_score
from chidu.tasks.task import Task
from chidu.tasks.tuned import Tuned
from chidu.training.loading import load_any
from chidu.training.train import Machine, prepare_machine

FOLDER, TASK, BASELINE = "metrics", "task.json", "baseline.json"
QUESTIONS = 1200
"""Of a lab's own held-out text, where there is as much: every sixth chooses the baseline, the others are scored."""
EVERY = 6
BASELINE_TOKENS = 1_000_000
"""Training tokens that the n-gram baseline of continuations learns from."""
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Sheet:
    """A task with its examples, the same for every run."""

    name: str
    task: Task
    examples: Sequence[Example]
    train: Sequence[Example]
    """What baselines learn from."""
    valid: Sequence[Example]
    """What the best of them is chosen on."""


def examine_rungs(
    lab: Path,
    key: str,
    file: Path | None,
    tell: Tell = lambda doing, part: None,
    *,
    how: Decoding = Decoding(),
    limit: int = 0,
    level: float = LEVEL,
    seed: int = 0,
    machine: Machine = Machine(),
) -> str:
    """Examine every finished run of a lab's ladder, and its target where it was trained; returns the task's name there.

    Args:
        lab: the lab's folder.
        key: the task; without a file `continuation`, on the lab's own held-out passages.
        file: the examples.
        tell: is told the progress.
        how: of tasks whose answers are written.
        limit: most examples; 0 for all, of the lab's own text for `QUESTIONS`.
        level: of the intervals.
        seed: of the bootstrap.
        machine: where the tensors are.

    Raises:
        InputError: no ladder, a file at fault, or a task that these models cannot do.
    """
    plan = Plan.load(lab / "plan.json")
    runs = finished(lab, plan)
    if not runs:
        raise InputError(f"{lab} holds no finished run of its ladder; train it first: chidu ladder or chidu run")
    sheet = own_sheet(lab, limit) if file is None else file_sheet(lab, key, file, limit)
    folder = _open(lab, sheet, how)
    prepare_machine(machine)
    missing = [config for config in runs if not (folder / f"{config.id}.json").exists()]
    for number, config in enumerate(missing):
        loaded = load_any(lab / "runs" / config.id, device=machine.device)
        assert loaded.tokenizer is not None
        tuned = Tuned(loaded.model, loaded.tokenizer, loaded.specials, start_token=loaded.start)
        metrics = sheet.task.metrics(sheet.examples, _answer(tuned, sheet, how))
        if not (folder / BASELINE).exists():
            write_json(folder / BASELINE, _best_baseline(sheet, metrics[0]))
        scores = [make_score(sheet.task.key, metric, level=level, seed=seed).to_json() for metric in metrics]
        write_json(folder / f"{config.id}.json", {"run": config.id, "scores": scores})
        tell(f"run {number + 1} of {len(missing)}", (number + 1) / len(missing))
    return sheet.name


def finished(lab: Path, plan: Plan) -> list[TrainConfig]:
    """The done runs that the law is fitted on, and the lab's target where it is done."""
    configs = [rung.config for rung in plan.law_runs]
    if (lab / "forecast.json").exists():
        configs.append(TrainConfig.from_json(read_json(lab / "forecast.json")["config"]))
    out = []
    for config in configs:
        path = lab / "runs" / config.id / "run.json"
        if path.exists() and Run.from_json(read_json(path)).status == "done":
            out.append(config)
    return out


def own_sheet(lab: Path, limit: int = 0) -> Sheet:
    """Continuations of the lab's own held-out passages.

    Raises:
        InputError: they are too short.
    """
    data = Dataset.open(lab / "data")
    task = Continuation(tokenizer=data.tokenizer)
    every = thin(task.questions(held_out_texts(data)), limit or QUESTIONS)
    if len(every) < LEAST:
        raise InputError(f"the held-out text of {lab} makes {len(every)} questions of {LEAST} at least; add text")
    train = [Example(source=text) for text in training_texts(data, BASELINE_TOKENS)]
    asked = [example for i, example in enumerate(every) if i % EVERY]
    return Sheet(task.key, task, asked, train, every[::EVERY])


def file_sheet(lab: Path, key: str, file: Path, limit: int) -> Sheet:
    """A task file, with the splits beside it."""
    data = Dataset.open(lab / "data")
    task = know_tokenizer(find_task(key, file), data.tokenizer)
    name = re.sub(r"[^\w.-]", "_", file.name.removesuffix(".gz").rpartition(".")[0] or file.name)
    examples = thin(task.examples(file), limit)
    return Sheet(name, task, examples, read_split(task, None, file, "train"), read_split(task, None, file, "valid"))


def _open(lab: Path, sheet: Sheet, how: Decoding) -> Path:
    """The folder of a task's results, emptied where they are of another task, file or way of decoding."""
    folder = lab / FOLDER / sheet.name
    examples = hash_json([asdict(example) for example in sheet.examples])
    about = {"name": sheet.name, **sheet.task.to_json(), "examples": examples, "count": len(sheet.examples)}
    about["decoding"] = asdict(how)
    if folder.exists() and not ((folder / TASK).exists() and read_json(folder / TASK) == about):
        shutil.rmtree(folder)
    if not folder.exists():
        write_json(folder / TASK, about)
    return folder


def _answer(tuned: Tuned, sheet: Sheet, how: Decoding) -> list[Prediction]:
    """What a run answers; of texts to generate only how likely it finds them, for writing them takes long."""
    if not isinstance(sheet.task, Generation):
        return predict(tuned, sheet.task, sheet.examples, how)
    nats = text_nats(tuned, [example.source for example in sheet.examples])
    return [Prediction(text="", nats=value) for value in nats]


def _best_baseline(sheet: Sheet, first: Metric) -> dict[str, Any]:
    """The best simple method's name and values; none where the task has none for these examples."""
    candidates = sheet.task.baselines(sheet.examples)
    best = choose(candidates, sheet.train, sheet.valid, sheet.task.judge, lower_is_better=first.lower_is_better)
    if best is None:
        return {"name": "", "values": {}}
    metrics = sheet.task.metrics(sheet.examples, best.answer(sheet.examples))
    return {"name": best.name, "values": {metric.name: metric.measure.value() for metric in metrics}}
