"""The command line: argument parsing and nothing else. Rooms are imported inside the commands, so that a command
starts as fast as what it needs.

Exit codes: 0 done; 2 the input is at fault; 3 refused; 1 chidu is at fault (see `chidu.errors`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from chidu import __version__
from chidu.errors import ChiduError, InputError, say_os_error
from chidu.options import (
    Columns,
    Duration,
    Json,
    Number,
    check_level,
    drop_output,
    fail,
    open_terminal,
    read_number,
    read_table,
    show,
)

app = App(
    name="chidu",
    version=__version__,
    help="A scaling-law laboratory: know how good the big model will be, and what it costs, before you train it.",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)


@app.command
def run(
    sources: Annotated[list[str], Parameter(help="Files or folders of text, or `builtin`.")],
    /,
    *,
    out: Path = Path("lab"),
    budget: Duration = 600.0,
    target: str = "10x",
    confirm: bool = False,
    vocab_size: int = 1024,
    level: float = 0.9,
    hardware: str = "",
    workers: int = 0,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Do the whole loop: data, plan, gates, ladder, law, forecast, next run, report.

    Example: `chidu run my_texts/ --budget 10min --target 10x --out lab`

    Called again on the same folder it goes on where it was.

    Parameters
    ----------
    out
        The lab folder.
    budget
        Wall-clock time of the ladder on this machine: 90s, 10min, 2h.
    target
        What to forecast: a multiple of the largest rung's compute, or FLOPs.
    confirm
        Train the target too, and score the locked forecast.
    vocab_size
        Tokens of the byte-level BPE; 257 for plain bytes.
    level
        Probability that the interval is to hold.
    hardware
        Price the target on this device too (see `hardware.yaml`).
    workers
        Runs side by side; one a core or GPU by default.
    """
    from chidu.loop import LoopOptions, run_loop
    from chidu.report import summarise, to_text

    check_level(level)
    with open_terminal(json_) as watch:
        study = run_loop(
            LoopOptions(
                sources=sources,
                budget_seconds=budget,
                target=target,
                vocab_size=vocab_size,
                level=level,
                seed=seed,
                workers=workers,
                hardware=hardware,
            ),
            out,
            watch,
            confirm=confirm,
        )
    show(
        json_, summarise(study), f"{to_text(study)}\n\nreport: {out / 'report.html'}   summary: {out / 'summary.json'}"
    )


@app.command
def data(
    sources: Annotated[list[str], Parameter(help="Files or folders of text, or `builtin`.")],
    /,
    *,
    out: Path = Path("lab/data"),
    vocab_size: int = 1024,
    json_: Json = False,
) -> None:
    """Turn raw text into training tokens, held-out text and a data sheet.

    Example: `chidu data novels.jsonl.gz notes/ --out lab/data`

    Reads .txt .md .rst .py .jsonl .json .csv, each also .gz; `builtin` is Python's standard library.

    Parameters
    ----------
    out
        The data folder.
    vocab_size
        Tokens of the byte-level BPE; 257 for plain bytes.
    """
    from chidu.data.prepare import prepare

    with open_terminal(json_) as watch:
        made = prepare(sources, out, vocab_size=vocab_size, progress=watch.share("data"))
    show(json_, made.to_json(), str(made))


@app.command
def plan(
    *,
    data: Path = Path("lab/data"),
    budget: Duration = 600.0,
    out: Path = Path("lab/plan.json"),
    workers: int = 0,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Measure this machine and choose the runs of a ladder that fits a time.

    Example: `chidu plan --data lab/data --budget 90s --out lab/plan.json`

    Parameters
    ----------
    data
        A folder that `chidu data` wrote.
    budget
        Wall-clock time: 90s, 10min, 2h.
    out
        The plan.
    workers
        Runs side by side; one a core or GPU by default.
    """
    from chidu.data.dataset import Dataset
    from chidu.stages import plan_stage

    opened = Dataset.open(data)
    with open_terminal(json_) as watch:
        made = plan_stage(out, opened, budget, watch, seed=seed, workers=workers)
    show(json_, made.to_json(), f"{made}\nplan: {out}")


@app.command
def ladder(
    plan: Path,
    /,
    *,
    data: Path = Path("lab/data"),
    out: Path = Path("lab"),
    checkpoint_seconds: float = 20.0,
    json_: Json = False,
) -> None:
    """Train the runs of a plan; those that are done already are skipped.

    Example: `chidu ladder lab/plan.json --data lab/data --out lab`

    Writes `runs/` and last `runs.csv`. Killed at any moment, the same command goes on and ends with the same table.

    Parameters
    ----------
    plan
        A file that `chidu plan` wrote.
    data
        The data folder that it was made for.
    out
        The lab folder.
    checkpoint_seconds
        Seconds between checkpoints: what a kill costs at most.
    """
    from chidu.ladder.plan import Plan
    from chidu.stages import ladder_stage

    loaded = Plan.load(plan)
    with open_terminal(json_) as watch:
        table = ladder_stage(loaded, data, out, watch, checkpoint_seconds=checkpoint_seconds)
    show(json_, [run.to_json() for run in table], f"{len(table)} runs in {out / 'runs.csv'}")


@app.command
def train(
    *,
    data: Path = Path("lab/data"),
    out: Path = Path("run"),
    config: Path | None = None,
    width: int = 64,
    tokens: Number = 1e6,
    device: str = "",
    threads: int = 1,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Train one model, from a config or by the recipe from its width and tokens.

    Example: `chidu train --data lab/data --width 64 --tokens 2M --out run`

    Parameters
    ----------
    data
        A folder that `chidu data` wrote.
    out
        The run's folder; killed, the same command goes on from its checkpoint.
    config
        A TrainConfig in JSON, such as a run's `config.json`; overrides width, tokens and seed.
    width
        Width of the model; the recipe derives the rest.
    tokens
        Training tokens.
    device
        cpu or cuda; found out by default.
    threads
        Threads on the CPU.
    """
    from chidu.stages import train_stage

    with open_terminal(json_) as watch:
        landed = train_stage(
            data, out, watch, config=config, width=width, tokens=tokens, device=device, threads=threads, seed=seed
        )
    show(json_, landed.to_json(), f"{landed.status}: loss {landed.loss:.4f} nats/token in {out}")


@app.command
def fit(
    runs: Path,
    /,
    *,
    form: str = "auto",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: a power law towards a floor.

    Example: `chidu fit runs.csv --column params=N --column tokens=D`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss.
    form
        chinchilla, frontier, or auto.
    """
    from chidu.laws.fit import fit as fit_law

    law = fit_law(read_table(runs, column), form=form, seed=seed)
    show(json_, law.to_json(), str(law))


@app.command
def forecast(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    targets: Path | None = None,
    out: Path | None = None,
    level: float = 0.9,
    of: str = "run",
    form: str = "auto",
    hardware: str = "h100",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Forecast the loss of runs that were not trained, with an interval.

    Example: `chidu forecast runs.csv --params 70e9 --tokens 1.4e12`

    Example: `chidu forecast runs.csv --targets targets.csv --out out.csv --level 0.9`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss.
    params
        Parameters of the target, counted as in the table.
    tokens
        Training tokens of the target.
    flops
        Compute of the target, instead of params and tokens.
    targets
        A CSV with a row a target: params and tokens, or flops.
    out
        Where to write the answers: the targets' own columns, then median, lower, upper.
    level
        Probability that the interval is to hold.
    of
        run: where one new run will land; law: where the curve is.
    form
        chinchilla, frontier, or auto.
    hardware
        The device to price the target on (see `hardware.yaml`).
    """
    from chidu.forecast.cost import price
    from chidu.forecast.loss import forecast_loss, forecast_targets
    from chidu.forecast.targets import read_targets, write_forecasts
    from chidu.laws.fit import fit as fit_law

    check_level(level)
    if targets is None and params is None and tokens is None and flops is None:
        raise InputError("nothing to forecast: give --params and --tokens, or --flops, or --targets FILE")
    if of not in ("run", "law"):
        raise InputError(f"--of {of}: it is run (where one new run will land) or law (where the curve is)")
    wanted = read_targets(targets) if targets else []
    table = read_table(runs, column)
    law = fit_law(table, form=form, seed=seed)
    if targets is None:
        answer = forecast_loss(law, params=params, tokens=tokens, flops=flops, level=level, of=of)  # type: ignore[arg-type]
        cost = price(answer.flops, hardware=hardware)
        notes = [*table.notes, *law.warnings]
        value = {**answer.to_json(), "cost": cost.to_json(), "notes": notes}
        show(json_, value, "\n".join([str(answer), f"cost: {cost}", *[f"note: {note}" for note in notes]]))
        return
    answers = forecast_targets(law, wanted, level, of)  # type: ignore[arg-type]
    if out is not None:
        write_forecasts(out, wanted, answers)
    text = "\n".join(str(answer) for answer in answers) if out is None else f"{len(answers)} forecasts in {out}"
    show(json_, [answer.to_json() for answer in answers], text)


@app.command(name="next")
def next_(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    budget_flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    hardware: str = "h100",
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Say which run to train next, so that the target's interval narrows most for its price.

    Example: `chidu next runs.csv --params 70e9 --tokens 1.4e12`

    Parameters
    ----------
    runs
        A CSV with params, tokens and loss, or flops and loss.
    params
        Parameters of the target.
    tokens
        Training tokens of the target.
    flops
        Compute of the target; by default ten times the largest run's.
    budget_flops
        The most that the next run may take; by default three times the largest run's.
    hardware
        The device to price it on (see `hardware.yaml`).
    """
    from chidu.forecast.next_run import next_run
    from chidu.laws.fit import fit as fit_law

    law = fit_law(read_table(runs, column), seed=seed)
    if (params is None) != (tokens is None):
        raise InputError("give both --params and --tokens of the target, or --flops")
    largest = max(each.flops or 0.0 for each in law.runs)
    target = (params, tokens) if params is not None and tokens is not None else flops or 10 * largest
    answer = next_run(law, target=target, budget_flops=budget_flops, hardware=hardware)
    show(json_, answer.to_json(), str(answer))


@app.command
def generate(
    model: Path,
    prompt: str,
    /,
    *,
    tokens: int = 100,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Continue a text with a trained model.

    Example: `chidu generate lab "def main():" --tokens 80 --temperature 0.8`

    Parameters
    ----------
    model
        A lab, a run's folder, or a checkpoint; of a lab, the run of most compute.
    prompt
        The text to continue.
    tokens
        Most tokens to add.
    temperature
        0 takes the likeliest token each time.
    top_k
        Draw among the k likeliest only; 0 for all.
    top_p
        Draw among the likeliest that hold this much probability.
    """
    from chidu.stages import generate_stage

    text = generate_stage(model, prompt, tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    show(json_, {"prompt": prompt, "text": text}, prompt + text)


@app.command
def export(model: Path, /, *, out: Path = Path("exported"), json_: Json = False) -> None:
    """Write a model as a Llama checkpoint that `transformers` loads without our code.

    Example: `chidu export lab --out exported`

    Parameters
    ----------
    model
        A lab, a run's folder, or a checkpoint; of a lab, the run of most compute.
    out
        The folder to write.
    """
    from chidu.stages import export_stage

    source = export_stage(model, out)
    show(json_, {"model": str(source), "out": str(out)}, f"{source} exported to {out}")


@app.command
def report(
    source: Path,
    /,
    *,
    out: Path | None = None,
    column: Columns = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Write the page of a lab, or of a table of runs: figures, forecast, cost, next run, what was set aside.

    Example: `chidu report lab`   or   `chidu report runs.csv --out report.html`

    Parameters
    ----------
    source
        A lab folder that `chidu run` finished, or a CSV of runs.
    out
        The page; by default `report.html` beside the source.
    """
    from chidu.report import summarise, to_text, write_report

    if source.is_dir():
        from chidu.loop import study_of_lab

        study = study_of_lab(source)
    else:
        from chidu.loop import study_of_table

        study = study_of_table(read_table(source, column), source.name, seed)
    page = out or (source / "report.html" if source.is_dir() else source.with_name("report.html"))
    write_report(study, page)
    show(json_, summarise(study), f"{to_text(study)}\n\nreport: {page}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; no traceback reaches a user unless CHIDU_DEBUG is set."""
    try:
        app(
            arguments if arguments is not None else sys.argv[1:],
            exit_on_error=False,
            print_error=False,
            error_console=Console(stderr=True),
            result_action="return_value",
        )
        sys.stdout.flush()
    except CycloptsError as error:
        return fail(2, str(error).strip().replace("\n", " "))
    except ChiduError as error:
        return fail(error.exit_code, str(error))
    except KeyboardInterrupt:
        return fail(130, "stopped; the same command goes on where it was")
    except BrokenPipeError:
        drop_output()
        return 0
    except OSError as error:
        drop_output()
        return fail(2, say_os_error(error))
    except Exception as error:
        return fail(1, f"a fault of chidu itself: {type(error).__name__}: {error}; CHIDU_DEBUG=1 shows where", error)
    return 0
