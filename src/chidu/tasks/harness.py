"""Tasks of lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness) on our models.

The harness makes the requests and the metrics, the model answers as it stands: nothing is exported. It is loaded when
it is asked for; its tasks read data from the Hugging Face hub, or from local files that a task's YAML names.
"""

import contextlib
import logging
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from chidu import __version__
from chidu.errors import ChiduError, InputError
from chidu.stats import Array, Interval, quantile_interval
from chidu.tasks.measure import Measure, Tally, mean_of
from chidu.tasks.score import Score
from chidu.training.train import Machine, prepare_machine

SEEDS = (0, 1234)
"""Of Python's generator, and of numpy's and the few-shot examples', as the harness sets them."""
RESAMPLED = 100
"""Bootstrap samples that the harness takes for the standard error of a metric of a whole corpus."""
PER_UNIT: dict[str, Callable[[float], float]] = {
    "word_perplexity": lambda nats: math.exp(-nats),
    "byte_perplexity": lambda nats: math.exp(-nats),
    "bits_per_byte": lambda nats: -nats / math.log(2),
}
"""Metrics of (log-probability, units) sums, and what they are of the ratio."""
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class HarnessResult:
    """What the harness found."""

    scores: tuple[Score, ...]
    version: str
    """Of the harness."""

    def __str__(self) -> str:
        """A line a score, each named by its task."""
        return "\n".join(f"{score.task}: {score}" for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"harness": self.version, "scores": [score.to_json() for score in self.scores]}


def examine_harness(
    model: str,
    tasks: Sequence[str],
    tell: Tell = lambda doing, part: None,
    *,
    include: Path | None = None,
    limit: int = 0,
    level: float = 0.95,
    seed: int = 0,
    machine: Machine = Machine(),
) -> HarnessResult:
    """Run tasks of the harness on a model.

    Args:
        model: a lab, a run's folder, a checkpoint, a tuned model, a Hugging Face folder or name.
        tasks: their names, groups and tags included.
        tell: is told the progress.
        include: a folder with task files of one's own.
        limit: most examples of a task, the first ones; 0 for all.
        level: of the intervals.
        seed: of the bootstrap.
        machine: where the tensors are.

    Raises:
        InputError: no such task, its data are not here, or a model that gives no text a probability.
        ModuleNotFoundError: the harness, the extra `lmeval`, is not installed.
    """
    import lm_eval.evaluator

    if include is not None and not include.is_dir():
        raise InputError(f"--include {include}: there is no such folder; name one with task files (YAML)")
    with _quiet():
        manager = _find_tasks(tasks, include)
        answering = _open(model, machine, tell)
        _set_seeds()
        try:
            loaded = manager.load(list(tasks))
        except Exception as error:  # data sets fail in many classes; all mean that the task's data are not to be had
            raise InputError(f"{', '.join(tasks)}: the data cannot be loaded ({_first_line(error)})") from None
        for task in loaded["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=SEEDS[1])
        try:
            found = lm_eval.evaluator.evaluate(
                lm=answering, task_dict=loaded, limit=limit or None, bootstrap_iters=RESAMPLED, log_samples=True
            )
        except ChiduError:
            raise
        except ValueError as error:
            raise InputError(f"the harness refuses: {_first_line(error)}") from None
    scores = [_score(found, task, metric, level, seed) for task, metric in _metrics(found)]
    return HarnessResult(tuple(scores), version("lm_eval"))


def _open(model: str, machine: Machine, tell: Tell) -> Any:
    """The model behind the harness's interface."""
    from chidu.tasks.fresh import Shape
    from chidu.tasks.generation import Generation
    from chidu.tasks.harness_model import HarnessModel
    from chidu.tasks.verbs import open_model

    prepare_machine(machine)
    tuned = open_model(model, Generation(), [], Shape(), 0)
    tuned.head.to(machine.device).eval()
    return HarnessModel(tuned, tell)


def _find_tasks(tasks: Sequence[str], include: Path | None) -> Any:
    """The harness's index: of one's own tasks where they are enough, for that of all takes seconds.

    Raises:
        InputError: a name is in neither.
    """
    import difflib

    from lm_eval.tasks import TaskManager

    if not tasks:
        raise InputError("--harness names no task; write names with commas between")
    own = TaskManager(include_path=str(include), include_defaults=False) if include else None
    manager = own if own and not _unknown(own, tasks) else TaskManager(include_path=str(include) if include else None)
    for name in _unknown(manager, tasks):
        near = difflib.get_close_matches(name, list(manager.task_index), 3)
        said = f"; near it are {', '.join(near)}" if near else ""
        raise InputError(f"the harness has no task {name}{said}; --include names a folder with tasks of your own")
    return manager


def _unknown(manager: Any, tasks: Sequence[str]) -> list[str]:
    return [name for name in tasks if name not in manager.task_index]


def _set_seeds() -> None:
    random.seed(SEEDS[0])
    np.random.seed(SEEDS[1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of the harness on stdout, and no bars or hints of it on stderr."""
    import datasets

    names = ("lm_eval", "datasets", "transformers", "huggingface_hub")
    before = {name: logging.getLogger(name).level for name in names}
    bars = datasets.utils.logging.is_progress_bar_enabled()
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _metrics(found: Any) -> Iterator[tuple[str, str]]:
    """Tasks and groups, and the keys of their metrics: `acc,none`."""
    for name, values in {**found["results"], **found.get("groups", {})}.items():
        for key, value in values.items():
            plain = "," in key and not key.partition(",")[0].endswith("_stderr")
            if plain and isinstance(value, int | float) and not isinstance(value, bool):
                yield name, key


def _score(found: Any, task: str, key: str, level: float, seed: int) -> Score:
    """A metric of the harness as our record.

    Its interval is a bootstrap over the examples where the metric is made of sums, else normal with the harness's
    standard error; of neither there is none.
    """
    metric, _, filter_ = key.partition(",")
    values = {**found["results"], **found.get("groups", {})}[task]
    value, error = float(values[key]), values.get(f"{metric}_stderr,{filter_}")
    samples = [sample[metric] for sample in found["samples"].get(task, []) if sample["filter"] == filter_]
    measure = _measure(metric, samples)
    known = float(error) if isinstance(error, int | float) and math.isfinite(error) else None
    interval, kind = None, "none"
    if measure is not None and math.isclose(measure.value(), value, rel_tol=1e-9, abs_tol=1e-12):
        draws = measure.draws(seed)
        interval, kind = quantile_interval(draws, level), f"bootstrap|seed:{seed}"
        known = float(draws.std(ddof=1)) if known is None else known
    elif known is not None:
        from statistics import NormalDist

        reach = NormalDist().inv_cdf((1 + level) / 2) * known
        interval, kind = Interval(value - reach, value + reach, level), "normal"
    shots, revision = found["n-shot"].get(task, 0), found["versions"].get(task)
    signature = f"lm-eval:{version('lm_eval')}|task:{task}|version:{revision}|filter:{filter_}|shots:{shots}"
    return Score(
        task=task,
        metric=metric,
        value=value,
        interval=interval,
        count=len(samples) or int(values.get("sample_len", 0)),
        signature=f"{signature}|level:{level:g}|interval:{kind}|chidu:{__version__}",
        standard_error=known,
    )


def _measure(metric: str, samples: Sequence[Any]) -> Measure | None:
    """A metric that is made of sums over examples; None where it is of another kind."""
    if not samples:
        return None
    if all(isinstance(sample, int | float) for sample in samples):
        return mean_of(np.array(samples, dtype=float))
    pairs = all(isinstance(sample, tuple | list) and len(sample) == 2 for sample in samples)
    if metric not in PER_UNIT or not pairs:
        return None
    of_ratio = PER_UNIT[metric]

    def of_sums(sums: Array) -> float:
        return of_ratio(float(sums[0] / sums[1]))

    return Tally(np.array(samples, dtype=float), of_sums)
