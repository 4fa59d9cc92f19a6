"""What each verb of the command line does, one function a stage of the loop.

Each stage writes its file last and whole, and does nothing when that file is there already.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, get_args

from chidu.config import Kind, TrainConfig
from chidu.data.dataset import MIN_WINDOWS, Dataset
from chidu.data.loader import count_windows
from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError, Refusal
from chidu.ladder.climb import check_data, climb, load_run, training_job
from chidu.ladder.design import Corpus, design
from chidu.ladder.gates import GateReport, gate_rungs, read_gates
from chidu.ladder.launcher import LocalLauncher, Progress
from chidu.ladder.machine import count_workers, find_device, measure_speed
from chidu.ladder.plan import Plan, Rung
from chidu.ladder.recipe import recipe_for
from chidu.runs import Run, RunTable, read_runs
from chidu.store import read_json, write_json

if TYPE_CHECKING:
    from chidu.tasks.examination import Examination
    from chidu.tasks.example import Example
    from chidu.tasks.fresh import Shape
    from chidu.tasks.predicting import Decoding
    from chidu.tasks.task import Task
    from chidu.tasks.tuned import Tuned
    from chidu.tasks.tuning_config import TuneConfig, Tuning


class Watch(Protocol):
    """Whoever looks on: the terminal, or nobody."""

    def say(self, text: str) -> None:
        """Show a sentence or a small table."""

    def share(self, what: str) -> Callable[[str, float], None]:
        """Open a bar; the function returned is told what is being done and which part of it, 0 to 1."""

    def work(self, what: str) -> Callable[[Progress], None]:
        """Open a bar for runs, with time left and cost so far."""


def plan_stage(
    path: Path,
    data: Dataset,
    budget_seconds: float,
    watch: Watch,
    *,
    seed: int = 0,
    workers: int = 0,
) -> Plan:
    """Measure the machine and design the ladder, or read the plan that the same question got before.

    Raises:
        InputError: the budget or the corpus is too small, or `path` holds the plan of another question.
    """
    if path.exists():
        plan = Plan.load(path)
        if (plan.data, plan.budget_seconds, plan.seed) == (data.id, budget_seconds, seed):
            return plan
        raise InputError(
            f"{path} was made for data {plan.data}, budget {plan.budget_seconds:.0f}s and seed {plan.seed}; delete it, "
            "or choose another folder"
        )
    device = find_device()
    recipe = recipe_for(device)
    side_by_side = workers or count_workers(device)
    speed = measure_speed(recipe, data.vocab_size, device, side_by_side, watch.share("speed"))
    windows = len(data.windows("passages", recipe.context))
    if count_windows(len(data.unseen), recipe.context) >= MIN_WINDOWS:
        windows += len(data.windows("unseen", recipe.context))
    corpus = Corpus(data.id, data.vocab_size, data.train_tokens, windows * recipe.context)
    plan = design(budget_seconds, corpus, speed, recipe=recipe, seed=seed)
    plan.save(path)
    return plan


def gate_stage(plan: Plan, lab: Path, watch: Watch) -> GateReport | None:
    """Train the probes and judge them, before the money is spent; None where the budget left no room for them."""
    rungs = gate_rungs(plan)
    if not rungs:
        return None
    _launcher(plan, watch, "gates").run([training_job(rung, lab / "data", lab) for rung in rungs])
    gates = read_gates(plan, lab)
    write_json(lab / "gates.json", gates.to_json())
    watch.say(str(gates))
    return gates


def ladder_stage(plan: Plan, data: Path, lab: Path, watch: Watch, *, checkpoint_seconds: float = 20.0) -> RunTable:
    """Train what is missing of a plan and write `runs.csv`."""
    check_data(plan, Dataset.open(data).id)
    climb(plan, data, lab, _launcher(plan, watch, "ladder"), checkpoint_seconds=checkpoint_seconds)
    return read_runs(lab / "runs.csv")


def _launcher(plan: Plan, watch: Watch, what: str, workers: int = 0, threads: int = 1) -> LocalLauncher:
    return LocalLauncher(workers or plan.speed.workers, plan.speed.device, threads, watch.work(what))


def confirm_stage(target: TrainConfig, plan: Plan, lab: Path, watch: Watch) -> Run:
    """Train the target with the whole machine, on the CPU as one process of all cores.

    Raises:
        Refusal: it diverged.
    """
    rung = Rung(target, plan.speed.seconds(target) / plan.speed.workers)
    threads = plan.speed.workers if plan.speed.device == "cpu" else 1
    _launcher(plan, watch, "target", workers=1, threads=threads).run([training_job(rung, lab / "data", lab)])
    run = load_run(target, lab)
    if run.status != "done":
        raise Refusal(f"the target {target.id} diverged, so its forecast cannot be scored; see its metrics.jsonl")
    return run


def train_stage(
    data: Path,
    out: Path,
    watch: Watch,
    *,
    config: Path | None,
    width: int,
    tokens: float,
    device: str,
    threads: int,
    seed: int,
) -> Run:
    """Train one run in a worker of its own.

    Raises:
        InputError: the config, the width or the data is at fault.
    """
    opened = Dataset.open(data)
    device = device or find_device()
    if config is not None:
        wanted = TrainConfig.from_json(read_json(config))
    else:
        recipe = recipe_for(device)
        if width not in recipe.widths():
            near = sorted(recipe.widths(), key=lambda known: abs(known - width))[:3]
            raise InputError(f"--width {width}: the recipe has widths such as {', '.join(map(str, sorted(near)))}")
        wanted = recipe.config(width, tokens, opened.vocab_size, opened.id, seed)
    if (out / "config.json").exists() and TrainConfig.from_json(read_json(out / "config.json")) != wanted:
        raise InputError(f"{out} belongs to another run; choose another --out or delete it")
    launcher = LocalLauncher(1, device, threads, watch.work("training"))
    job = training_job(Rung(wanted, 1.0), data, out.parent)
    spec = {**job.spec, "out": str(out)}
    launcher.run([replace(job, spec=spec, file=out / "job.json", done=out / "run.json")])
    return Run.from_json(read_json(out / "run.json"))


def find_model(path: Path) -> Path:
    """The run's folder meant by a lab (its run of most compute), a run's folder or a checkpoint.

    Raises:
        InputError: nothing finished is there.
    """
    if list(path.glob("checkpoint-*")) or path.name.startswith("checkpoint-"):
        return path
    finished = [file.parent for file in path.glob("runs/*/run.json")]
    runs = {folder: Run.from_json(read_json(folder / "run.json")) for folder in finished}
    done = {folder: run for folder, run in runs.items() if run.status == "done"}
    if not done:
        raise InputError(
            f"{path} holds no finished run; name a lab, a run's folder such as LAB/runs/ID, or a checkpoint"
        )
    return max(done, key=lambda folder: (done[folder].flops or 0.0, folder.name))


def tokenizer_file(model: Path) -> Path:
    """The tokenizer of a run's folder or checkpoint.

    Raises:
        InputError: it is not there.
    """
    folder = model.parent if model.name.startswith("checkpoint-") else model
    if not (folder / "tokenizer.json").exists():
        raise InputError(f"{folder / 'tokenizer.json'} is missing; copy it from the data folder of the run")
    return folder / "tokenizer.json"


def generate_stage(
    path: Path, prompt: str, *, tokens: int, temperature: float, top_k: int, top_p: float, seed: int
) -> str:
    """Continue a text; returns what was added."""
    from chidu.model.generation import Sampling, generate
    from chidu.training.checkpoint import load_model

    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    folder = find_model(path)
    tokenizer = Tokenizer.load(tokenizer_file(folder))
    model, _ = load_model(folder)
    ids = [int(i) for i in tokenizer.encode(prompt)]
    return tokenizer.decode(list(generate(model, ids, tokens=tokens, stop=tokenizer.eot, sampling=sampling)))


def export_stage(path: Path, out: Path) -> Path:
    """Write a model as a Llama checkpoint; returns the folder that it came from."""
    from chidu.model.export import export_llama
    from chidu.training.checkpoint import load_model

    folder = find_model(path)
    tokenizer = tokenizer_file(folder)
    if out.exists() and any(out.iterdir()) and not (out / "config.json").exists():
        raise InputError(f"{out} holds other files; choose another --out")
    model, _ = load_model(folder)
    export_llama(model, tokenizer.read_text(encoding="utf-8"), Tokenizer.load(tokenizer).eot, out)
    return folder


def tune_stage(
    model: str,
    file: Path,
    out: Path,
    watch: Watch,
    *,
    task: "Task",
    valid: Path | None,
    config: "TuneConfig",
    shape: "Shape",
) -> "Tuning":
    """Tune a model on a task file; the validation split is named, or lies beside it.

    Raises:
        InputError: there is no validation split, or the model cannot do the task.
    """
    from chidu.tasks.examination import read_split
    from chidu.tasks.tuning import tune

    train, judged_on = task.examples(file), read_split(task, valid, file, "valid")
    if not judged_on:
        raise InputError(f"{file} has no .valid. file beside it to judge the tuning on; name one with --valid")
    tuned = open_model(model, task, train, shape, config.seed)
    return tune(tuned, task, train, judged_on, config, out, watch.share("tuning"))


def eval_stage(
    model: str,
    file: Path,
    watch: Watch,
    *,
    task: "Task",
    train: Path | None,
    valid: Path | None,
    how: "Decoding",
    limit: int,
    level: float,
    seed: int,
) -> "Examination":
    """Examine a model on a task file; what baselines learn from is named, or lies beside it."""
    from chidu.tasks.examination import examine, read_split, thin
    from chidu.tasks.fresh import Shape

    examples = thin(task.examples(file), limit)
    learnt, chosen_on = read_split(task, train, file, "train"), read_split(task, valid, file, "valid")
    tuned = open_model(model, task, [], Shape(), seed)
    return examine(
        tuned,
        task,
        examples,
        train=learnt,
        valid=chosen_on,
        how=how,
        level=level,
        seed=seed,
        tell=watch.share("answering"),
    )


def open_model(model: str, task: "Task", train: "Sequence[Example]", shape: "Shape", seed: int) -> "Tuned":
    """The model to tune or to examine, with the head that the task wants.

    `model` is a tuned model's folder, a lab, a run's folder or a checkpoint, or a kind of model: then a fresh one, with
    a tokenizer learnt from the training examples.

    Raises:
        InputError: nothing is there, or it cannot do the task.
    """
    from chidu.tasks.fresh import fresh, put_head
    from chidu.tasks.tuned import ABOUT, Tuned
    from chidu.training.checkpoint import load_model

    path = Path(model)
    if model in get_args(Kind) and not path.exists():
        if not train:
            raise InputError(f"a fresh {model} learns its tokenizer from a training file; name one")
        return fresh(replace(shape, kind=cast(Kind, model)), task, train, seed=seed)
    for folder in (path, path / "model"):
        if (folder / ABOUT).exists():
            tuned = Tuned.load(folder)
            return put_head(tuned, task, train, seed=seed) if train else tuned
    if (path / "config.json").exists() and (path / "model.safetensors").exists() and not (path / "state.json").exists():
        tuned = _from_hub(path)
    else:
        folder = find_model(path)
        body, _ = load_model(folder)
        tuned = Tuned(body, Tokenizer.load(tokenizer_file(folder)))
    return put_head(tuned, task, train, seed=seed) if train else tuned


def _from_hub(folder: Path) -> "Tuned":
    """A model in the format of `transformers`, with its tokenizer.

    Raises:
        InputError: it has no tokenizer.
    """
    from chidu.model.pretrained import load_pretrained
    from chidu.tasks.tuned import Tuned

    found = load_pretrained(folder)
    if found.tokenizer is None:
        raise InputError(f"{folder} has no tokenizer.json; copy it from where the model came from")
    head = found.head if found.head is not None else found.model
    return Tuned(head, found.tokenizer, found.specials, found.labels, found.start)
