"""`chidu eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chidu.cli.app import app
from chidu.cli.options import Json, Seed, check_device, check_level, find_machine, open_terminal, show
from chidu.errors import InputError, Refusal

if TYPE_CHECKING:
    from chidu.terminal import Terminal


@app.command(name="eval")
def eval_(
    model: str,
    task: str = "",
    file: Path | None = None,
    /,
    *,
    ladder: bool = False,
    harness: str = "",
    include: Path | None = None,
    source: str = "",
    target: str = "",
    train: Path | None = None,
    valid: Path | None = None,
    tokens: int = 128,
    beams: int = 1,
    samples: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    limit: int = 0,
    level: float = 0.95,
    out: Path | None = None,
    device: str = "",
    threads: int = 0,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Examine a model on a task: scores with intervals, and beside each the best simple baseline.

    Example: `chidu eval tuned translation multi30k.test.jsonl.gz --source en --target de --beams 4`

    With --ladder, examine every run of a lab and forecast the score of its target: `chidu eval lab continuation
    --ladder`, or with a task and a file of yours.

    With --harness, run tasks of lm-evaluation-harness: `chidu eval lab --harness arc_easy,my_task --include my_tasks/`.

    Parameters
    ----------
    model
        A tuned model, a lab, a run's folder or a checkpoint, a Hugging Face folder or name.
    task
        generation, translation, answering, summarisation, coding, classification, choice or continuation.
    file
        The examples, one JSON object a line; for the continuation of a lab's held-out text, none.
    ladder
        Examine all runs of a lab, those that were not yet, and write `metrics.csv`, summary and page.
    harness
        Names of tasks of lm-evaluation-harness, with commas between.
    include
        A folder with task files (YAML) for the harness.
    source
        Of a translation file, the field to translate from.
    target
        Of a translation file, the field to translate to.
    train
        What baselines learn from; by default the `.train.` file beside a `.test.` one.
    valid
        What the best baseline is chosen on; by default the `.valid.` file beside.
    tokens
        Most tokens of an answer.
    beams
        Of beam search; 1 takes the likeliest token each time.
    samples
        Independent answers for each example, for pass@k; needs a temperature.
    temperature
        0 takes the likeliest token each time.
    top_p
        Draw among the likeliest tokens that hold this much probability.
    limit
        Most examples, evenly over the file (of the harness: the first of each task); 0 for all.
    level
        Probability that an interval holds.
    out
        Write the result to this JSON file too.
    device
        cpu or cuda; found out by default.
    threads
        Threads on the CPU; 0 takes all cores.
    """
    check_level(level)
    check_device(device)
    if limit < 0:
        raise InputError(f"--limit {limit}: give 0 for all examples, or how many")
    if out is not None and (out.is_dir() or not out.name):
        raise InputError(f"--out {out} is a folder; name a JSON file to write")
    _check_words(task, file, ladder=ladder, harness=harness, include=include)
    value: dict[str, Any] = {}
    text = refused = ""
    with open_terminal(json_) as watch:
        if ladder:
            options = {"limit": limit, "tokens": tokens, "beams": beams, "seed": seed}
            value, text, refused = _ladder(Path(model), task, file, watch, device=device, threads=threads, **options)
        elif harness:
            from chidu.tasks.harness import examine_harness

            machine = find_machine(device, threads)
            names = [name.strip() for name in harness.split(",") if name.strip()]
            tell = watch.share("harness")
            done = examine_harness(
                model, names, tell, include=include, limit=limit, level=level, seed=seed, machine=machine
            )
            value, text = done.to_json(), str(done)
        else:
            from chidu.tasks.examination import find_task
            from chidu.tasks.predicting import Decoding
            from chidu.tasks.verbs import examine_model

            how = Decoding(tokens=tokens, beams=beams, samples=samples, temperature=temperature, top_p=top_p, seed=seed)
            result = examine_model(
                model,
                file,
                watch.share("answering"),
                task=find_task(task, file, source=source, target=target),
                train=train,
                valid=valid,
                how=how,
                limit=limit,
                level=level,
                seed=seed,
                machine=find_machine(device, threads),
            )
            value, text = result.to_json(), str(result)
    if out is not None:
        from chidu.store import write_json

        write_json(out, value)
    if refused:
        raise Refusal(refused)
    show(json_, value, text)


def _check_words(task: str, file: Path | None, *, ladder: bool, harness: str, include: Path | None) -> None:
    """Refuse words that contradict each other before any work is done."""
    if harness and (task or file or ladder):
        raise InputError("--harness names its tasks itself: leave out the task, its file and --ladder")
    if include is not None and not harness:
        raise InputError(f"--include {include}: it goes with --harness")
    if not harness and not task:
        raise InputError("name a task and its file, such as: chidu eval MODEL choice FILE; or --harness TASKS")
    if not harness and file is None and task != "continuation":
        raise InputError(f"{task} needs a file of examples; only continuation makes its own, of a lab's held-out text")


def _ladder(
    lab: Path,
    task: str,
    file: Path | None,
    watch: "Terminal",
    *,
    limit: int,
    tokens: int,
    beams: int,
    seed: int,
    device: str,
    threads: int,
) -> tuple[dict[str, Any], str, str]:
    """Examine a lab's runs: the JSON, the text, and why the task's first metric is not forecast."""
    from chidu.loop import metrics_of_lab
    from chidu.metrics import TABLE, first_refusal
    from chidu.stages import metric_stage
    from chidu.tasks.predicting import Decoding

    how = Decoding(tokens=tokens, beams=beams)
    name = metric_stage(
        lab, watch, task=task, file=file, how=how, limit=limit, seed=seed, device=device, threads=threads
    )
    studies = [study for study in metrics_of_lab(lab) if study.task == name]
    value = {"metrics": [study.to_json() for study in studies], "table": str(lab / TABLE)}
    text = "\n".join([*(f"{study.task}: {study}" for study in studies), f"table: {lab / TABLE}"])
    return value, text, first_refusal(studies, name)
