"""What each verb of the command line does, one function a stage of the loop.

Each stage writes its file last and whole, and does nothing when that file is there already.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chidu.card import BY_EXPORT, model_card
from chidu.config import TrainConfig
from chidu.data.dataset import MIN_WINDOWS, RECORD, Dataset
from chidu.data.loader import count_windows
from chidu.designs import check_kind, parse_target, plan_ladder
from chidu.errors import InputError, Refusal
from chidu.forecast.sparing import check_spare, keep_decisions
from chidu.ladder.climb import check_data, climb, load_run, training_job, training_jobs
from chidu.ladder.coordinates import CoordinateCheck, Shapes, coordinate_jobs, read_coordinates
from chidu.ladder.design import Corpus
from chidu.ladder.gates import GateReport, gate_jobs, gate_rungs, read_gates
from chidu.ladder.launcher import LocalLauncher, Progress
from chidu.ladder.machine import count_workers, find_device, measure_speed
from chidu.ladder.plan import Plan
from chidu.ladder.rates import RateCheck, sweep
from chidu.ladder.recipe import Parametrisation, Recipe, recipe_for
from chidu.ladder.rung import Rung
from chidu.ladder.stacking import suit
from chidu.ladder.trunks import with_shorter
from chidu.metrics import write_table
from chidu.runs import Run, RunTable
from chidu.store import read_json, write_json
from chidu.tables.read import read_runs
from chidu.transfer import write_check

if TYPE_CHECKING:
    from chidu.audit.study import AttentionStudy
    from chidu.model.pretrained import Pretrained
    from chidu.model.sampling import Sampling
    from chidu.tasks.predicting import Decoding


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
    target: str = "10x",
    kind: str = "auto",
    seed: int = 0,
    workers: int = 0,
    parametrisation: Parametrisation = "mup",
    spare: float = 0.0,
) -> Plan:
    """Measure the machine and design the ladder, or read the plan that the same question got before.

    `target` is what it is to forecast, `kind` a design or `auto` (`designs.py`), `spare` the part of the interval's
    width that may be given up for runs that are left out (`forecast/sparing.py`). A plan from before there was a choice
    answers for any design and target.

    Raises:
        InputError: the budget or the corpus is too small, or `path` holds the plan of another question.
    """
    check_kind(kind)
    check_spare(spare)
    parse_target(target, 1.0)
    if path.exists():
        plan = Plan.load(path)
        asked = (data.id, budget_seconds, seed, parametrisation, spare)
        same = (plan.data, plan.budget_seconds, plan.seed, plan.recipe.parametrisation, plan.spare) == asked
        if same and (not plan.asked or (plan.asked, plan.target) == (kind, target)):
            return plan
        choice = f", design {plan.asked} and target {plan.target}" if plan.asked else ""
        raise InputError(
            f"{path} was made for data {plan.data}, budget {plan.budget_seconds:.0f}s, parametrisation "
            f"{plan.recipe.parametrisation}, seed {plan.seed}, spare {plan.spare:g}{choice}; delete it, or choose "
            "another folder"
        )
    device = find_device()
    recipe = recipe_for(device, parametrisation)
    side_by_side = workers or count_workers(device)
    speed = measure_speed(recipe, data.vocab_size, device, side_by_side, watch.share("speed"))
    windows = len(data.windows("passages", recipe.context))
    if count_windows(len(data.unseen), recipe.context) >= MIN_WINDOWS:
        windows += len(data.windows("unseen", recipe.context))
    corpus = Corpus(data.id, data.vocab_size, data.train_tokens, windows * recipe.context)
    made = plan_ladder(budget_seconds, corpus, speed, target=target, kind=kind, recipe=recipe, seed=seed)
    plan = replace(made, spare=spare)
    plan.save(path)
    return plan


def gate_stage(plan: Plan, lab: Path, watch: Watch) -> GateReport:
    """Check coordinates, train the probes that the budget left room for, and judge both before the money is spent."""
    probes = training_jobs(plan, with_shorter(gate_rungs(plan), plan.rungs), lab / "data", lab)
    _launcher(plan, watch, "gates").run([*gate_jobs(plan, lab), *probes])
    gates = read_gates(plan, lab)
    write_json(lab / "gates.json", gates.to_json())
    watch.say(str(gates))
    return gates


def coordinates_stage(
    data: Dataset, out: Path, watch: Watch, *, recipe: Recipe, shapes: Shapes, workers: int = 0
) -> CoordinateCheck:
    """Check a recipe's coordinates and write the page and its JSON."""
    device = find_device()
    jobs = coordinate_jobs(recipe, data.vocab_size, data.id, data.folder, out / "measured", shapes)
    LocalLauncher(workers or count_workers(device), device, 1, watch.work("coordinates")).run(jobs)
    check = read_coordinates(recipe, shapes, jobs)
    write_check(check, out)
    return check


def rates_stage(
    data: Dataset,
    out: Path,
    watch: Watch,
    *,
    recipe: Recipe,
    shapes: Sequence[tuple[int, int | None]],
    tokens: float,
    seeds: int,
    workers: int = 0,
) -> RateCheck:
    """Sweep the learning rate at several shapes, (width, layers) each, and write the page and its JSON.

    The runs lie in `out/runs`; those that are there already are not done again.
    """
    device = find_device()
    launcher = LocalLauncher(workers or count_workers(device), device, 1, watch.work("rates"))

    def train(configs: Sequence[TrainConfig]) -> list[Run]:
        jobs = [training_job(Rung(config, float(config.tokens)), data.folder, out) for config in configs]
        launcher.run(suit(jobs, device))
        return [load_run(config, out) for config in configs]

    identity = (data.id, data.vocab_size)
    probes = tuple(sweep(recipe, shape, tokens, identity, train, seeds=seeds) for shape in shapes)
    check = RateCheck(recipe.name, recipe.parametrisation, round(tokens), seeds, probes)
    write_check(check, out)
    return check


def ladder_stage(plan: Plan, data: Path, lab: Path, watch: Watch, *, checkpoint_seconds: float = 20.0) -> RunTable:
    """Train what is missing of a plan and write `runs.csv`; where the plan allows it, leave out what is not needed."""
    check_data(plan, Dataset.open(data).id)
    spare = None
    if plan.spare:
        flops = parse_target(plan.target or "10x", plan.largest_flops)
        spare = keep_decisions(plan, lab, flops, lambda decision: watch.say(str(decision)))
    launcher = _launcher(plan, watch, "ladder")
    climb(plan, data, lab, launcher, checkpoint_seconds=checkpoint_seconds, spare=spare)
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
    parametrisation: Parametrisation = "mup",
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
        recipe = recipe_for(device, parametrisation)
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


def generate_stage(
    path: Path,
    prompts: Sequence[str],
    *,
    tokens: int,
    sampling: "Sampling",
    stops: Sequence[str] = (),
    beams: int = 1,
    length_penalty: float = 1.0,
) -> Iterator[str]:
    """Continue texts: one in pieces, as they come; several side by side, one piece each.

    An encoder-decoder reads each prompt as its source and writes the target. A tuned model sees each prompt as its task
    puts it.

    Raises:
        InputError: no such model, or one that writes no text.
    """
    from chidu.model.text import complete, encode, stream_text
    from chidu.tasks.verbs import prompt_for

    loaded = load_model(path)
    if loaded.tokenizer is None:
        raise InputError(f"{path} has no tokenizer.json; put the model's own beside it")
    if loaded.head is not None:
        raise InputError(f"{path} gives labels or spans and writes no text; ask it with chidu eval")
    model, tokenizer = loaded.model, loaded.tokenizer
    if not all(prompts):
        raise InputError("the prompt is empty; give some text to continue")
    prompts = [prompt_for(path, prompt) for prompt in prompts]
    both = model.config.kind == "encoder_decoder"
    begun = ["" for _ in prompts] if both else list(prompts)
    sources = [encode(tokenizer, prompt) for prompt in prompts] if both else None
    if len(prompts) == 1 and beams == 1:
        source = sources[0] if sources else None
        yield from stream_text(
            model, tokenizer, begun[0], tokens=tokens, stops=stops, sampling=sampling, source=source,
            stop=loaded.stops or None, start=loaded.start,
        )  # fmt: skip
    else:
        yield from complete(
            model, tokenizer, begun, tokens=tokens, stops=stops, sampling=sampling, beams=beams,
            length_penalty=length_penalty, sources=sources, stop=loaded.stops or None, start=loaded.start,
        )  # fmt: skip


def metric_stage(
    lab: Path,
    watch: Watch,
    *,
    task: str = "continuation",
    file: Path | None = None,
    how: "Decoding | None" = None,
    limit: int = 0,
    seed: int = 0,
    device: str = "",
    threads: int = 0,
) -> str:
    """Examine the finished runs of a lab that were not yet on a task, and write `metrics.csv`; returns its name there.

    Raises:
        InputError: no ladder, a file at fault, or a task that its models cannot do.
    """
    from chidu.tasks.predicting import Decoding
    from chidu.tasks.rungs import examine_rungs
    from chidu.training.train import Machine

    machine = Machine(device=device or find_device(), threads=threads or os.cpu_count() or 1)
    tell = watch.share(f"examining on {task if file is None else file.name}")
    name = examine_rungs(lab, task, file, tell, how=how or Decoding(), limit=limit, seed=seed, machine=machine)
    write_table(lab)
    return name


def load_model(path: Path) -> "Pretrained":
    """Any model by its place, one that `chidu tune` wrote too.

    Raises:
        InputError: nothing of the kind is there.
        CorruptError: a file is damaged.
    """
    from chidu.tasks.tuned import Tuned, find_tuned
    from chidu.training.loading import load_any

    tuned = find_tuned(path)
    return load_any(path) if tuned is None else Tuned.load(tuned).pretrained()


def export_stage(path: Path, out: Path) -> tuple[Path, str]:
    """Write a model, tuned or not, in the format of `transformers`; returns the folder that it came from and the
    architecture.

    Raises:
        InputError: no such model, one that no architecture is the same as, or a folder of other files.
    """
    from chidu.model.pretrained import save_pretrained
    from chidu.tasks.tuned import find_tuned
    from chidu.training.loading import find_model

    if out.exists() and any(out.iterdir()) and not _is_export(out):
        raise InputError(f"{out} holds other files; choose another --out")
    if out.resolve() == path.resolve():
        raise InputError(f"{out} is the model itself; choose another --out")
    loaded, source = load_model(path), find_tuned(path)
    if source is None:
        source = path if (path / "config.json").is_file() else find_model(path)
    subject = loaded.head if loaded.head is not None else loaded.model
    save_pretrained(
        subject,
        loaded.tokenizer,
        out,
        specials=loaded.specials,
        labels=loaded.labels,
        card=model_card(source, loaded.model.config),
    )
    return source, str(read_json(out / "config.json")["architectures"][0])


def _is_export(folder: Path) -> bool:
    """Whether a folder is one that `chidu export` wrote, and may write again: its card says so."""
    card = folder / "README.md"
    return card.is_file() and BY_EXPORT in card.read_text(encoding="utf-8", errors="replace")


def attend_stage(
    path: Path, text: str, out: Path, *, words: str, target: str, on: Path | None, seed: int
) -> "AttentionStudy":
    """Look at a model's attention on a text and write the page.

    Raises:
        InputError: no such model, no words, or more than the model can read.
    """
    from chidu.audit.look import look, rows_of
    from chidu.audit.page import write_page
    from chidu.tasks.tuned import find_tuned
    from chidu.training.loading import find_model, is_hub_folder

    loaded = load_model(path)
    known = is_hub_folder(path) or find_tuned(path) is not None
    rows, said = None, ""
    if on is not None:
        rows, said = rows_of(loaded, read_text_file(on)), str(on)
    elif path.exists() and not known and loaded.model.config.kind != "encoder_decoder":
        data = find_data(find_model(path))
        if data is not None:
            context = loaded.model.config.context
            rows = data.windows("passages", context)[: max(2, ABLATION_TOKENS // context)]
            said = "the held-out passages"
    study = look(loaded, text, model=str(path), cut=words.split(), target=target, rows=rows, rows_said=said, seed=seed)
    write_page(study, out)
    return study


ABLATION_TOKENS = 8192
"""Held-out tokens on which the loss without each head is measured."""


def find_data(run: Path) -> Dataset | None:
    """The data set of the lab that a run's folder or checkpoint lies in, if it is one and was the run's."""
    folder = run.parent if run.name.startswith("checkpoint-") else run
    lab = folder.parent.parent
    if not (lab / "data" / RECORD).is_file() or not (folder / "config.json").is_file():
        return None
    data = Dataset.open(lab / "data")
    return data if data.id == TrainConfig.from_json(read_json(folder / "config.json")).data else None


def read_text_file(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it is not there, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; name a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; convert it first") from None
