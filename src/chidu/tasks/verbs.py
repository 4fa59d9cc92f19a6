"""What `chidu tune` and `chidu eval` do: files and words in, a tuned model or its scores out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from chidu.config import Kind
from chidu.data.dataset import RECORD
from chidu.errors import InputError
from chidu.store import read_json
from chidu.tasks import TASKS
from chidu.tasks.continuation import Continuation
from chidu.tasks.examination import Examination, examine, know_tokenizer, read_split, thin
from chidu.tasks.example import Example
from chidu.tasks.fresh import Shape, fresh, put_head
from chidu.tasks.generation import Generation
from chidu.tasks.predicting import Decoding
from chidu.tasks.rungs import own_sheet
from chidu.tasks.task import Task
from chidu.tasks.tuned import ABOUT, Tuned, find_tuned
from chidu.tasks.tuning import tune
from chidu.tasks.tuning_config import TuneConfig, Tuning
from chidu.training.loading import load_any
from chidu.training.train import Machine, prepare_machine

Tell = Callable[[str, float], None]


def tune_model(
    model: str,
    file: Path,
    out: Path,
    tell: Tell,
    *,
    task: Task,
    valid: Path | None,
    config: TuneConfig,
    shape: Shape,
    machine: Machine,
) -> Tuning:
    """Tune a model on a task file; the validation split is named, or lies beside it.

    Raises:
        InputError: there is no validation split, or the model cannot do the task.
    """
    train, judged_on = task.examples(file), read_split(task, valid, file, "valid")
    if not judged_on:
        raise InputError(f"{file} has no .valid. file beside it to judge the tuning on; name one with --valid")
    prepare_machine(machine)
    tuned = open_model(model, task, train, shape, config.seed)
    tuned.head.to(machine.device)
    return tune(tuned, task, train, judged_on, config, out, tell)


def examine_model(
    model: str,
    file: Path | None,
    tell: Tell,
    *,
    task: Task,
    train: Path | None,
    valid: Path | None,
    how: Decoding,
    limit: int,
    level: float,
    seed: int,
    machine: Machine,
) -> Examination:
    """Examine a model on a task file; what baselines learn from is named, or lies beside it.

    Without a file the task is the continuation of the held-out passages of the lab that the model lies in.

    Raises:
        InputError: a file is at fault, or the model cannot do the task.
        Refusal: there is code to run, and no sandbox works here.
    """
    examples: Sequence[Example] = []
    if file is not None and not isinstance(task, Continuation):
        examples = thin(task.examples(file), limit)  # a file's faults are told before a model is loaded
    prepare_machine(machine)
    tuned = open_model(model, task, [], Shape(), seed)
    tuned.head.to(machine.device)
    task = know_tokenizer(task, tuned.tokenizer)
    if file is None:
        sheet = own_sheet(find_lab(Path(model)), limit)
        examples, learnt, chosen_on = sheet.examples, sheet.train, sheet.valid
    else:
        examples = examples or thin(task.examples(file), limit)
        learnt, chosen_on = read_split(task, train, file, "train"), read_split(task, valid, file, "valid")
    return examine(tuned, task, examples, train=learnt, valid=chosen_on, how=how, level=level, seed=seed, tell=tell)


def find_lab(model: Path) -> Path:
    """The lab that a model is: itself, or the one that a run's folder or a checkpoint lies in.

    Raises:
        InputError: there is none.
    """
    for folder in (model, *model.resolve().parents[:3]):
        if (folder / "data" / RECORD).is_file():
            return folder
    raise InputError(f"{model} lies in no lab with held-out text; name a file of text to make questions of")


def prompt_for(model: Path, text: str) -> str:
    """A text as a tuned model's task puts it before the model; of other models, and to be gone on with, as it is.

    What a task needs besides, such as the passage of a question, is left out.
    """
    folder = find_tuned(model)
    task = TASKS[read_json(folder / ABOUT)["task"]["task"]]() if folder is not None else None
    if task is None or isinstance(task, Generation):
        return text
    return task.prompt(Example(source=text))


def open_model(model: str, task: Task, train: Sequence[Example], shape: Shape, seed: int) -> Tuned:
    """The model to tune or to examine; where there are training examples, with the head that the task wants.

    `model` is a tuned model's folder, a lab, a run's folder, a checkpoint, a Hugging Face folder or name; or a kind of
    model: then a fresh one, with a tokenizer learnt from the training examples.

    Raises:
        InputError: nothing is there, or it cannot do the task.
    """
    path = Path(model)
    if model in get_args(Kind) and not path.exists():
        if not train:
            raise InputError(
                f"{model} is a kind of model, of which a fresh one knows nothing yet: tune it on a training file with "
                f"chidu tune {model} FILE, or name a folder"
            )
        return fresh(replace(shape, kind=cast(Kind, model)), task, train, seed=seed)
    folder = find_tuned(path)
    if folder is not None:
        tuned = Tuned.load(folder)
    else:
        loaded = load_any(path)
        if loaded.tokenizer is None:
            raise InputError(f"{path} has no tokenizer.json; put the model's own beside it")
        head = loaded.head if loaded.head is not None else loaded.model
        tuned = Tuned(head, loaded.tokenizer, loaded.specials, loaded.labels, loaded.start)
    return put_head(tuned, task, train, seed=seed) if train else tuned
