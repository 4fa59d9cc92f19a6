"""`chidu eval`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, check_level, find_machine, open_terminal, show


@app.command(name="eval")
def eval_(
    model: str,
    task: str,
    file: Path,
    /,
    *,
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
    device: str = "",
    threads: int = 0,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Examine a model on a task: scores with intervals, and beside each the best simple baseline.

    Example: `chidu eval tuned translation multi30k.test.jsonl.gz --source en --target de --beams 4`

    Parameters
    ----------
    model
        A tuned model, a lab, a run's folder or a checkpoint.
    task
        generation, translation, answering, summarisation, coding or classification.
    file
        The examples, one JSON object a line.
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
        Most examples, evenly over the file; 0 for all.
    level
        Probability that an interval holds.
    device
        cpu or cuda; found out by default.
    threads
        Threads on the CPU; 0 takes all cores.
    """
    from chidu.tasks.examination import find_task
    from chidu.tasks.predicting import Decoding
    from chidu.tasks.verbs import examine_model

    check_level(level)
    found = find_task(task, file, source=source, target=target)
    how = Decoding(tokens=tokens, beams=beams, samples=samples, temperature=temperature, top_p=top_p, seed=seed)
    with open_terminal(json_) as watch:
        result = examine_model(
            model,
            file,
            watch.share("answering"),
            task=found,
            train=train,
            valid=valid,
            how=how,
            limit=limit,
            level=level,
            seed=seed,
            machine=find_machine(device, threads),
        )
    show(json_, result.to_json(), str(result))
