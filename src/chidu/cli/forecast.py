"""`chidu forecast`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, Seed, check_level, read_number, read_table, show
from chidu.errors import InputError, Refusal

if TYPE_CHECKING:
    from chidu.forecast.backtest import Backtest
    from chidu.forecast.loss import Forecast
    from chidu.forecast.metric import MetricForecast
    from chidu.forecast.quote import Quote
    from chidu.forecast.targets import Target
    from chidu.laws.fit import Fit
    from chidu.laws.metric import MetricLaw
    from chidu.runs import RunTable


@app.command
def forecast(
    runs: Path,
    /,
    *,
    params: Annotated[float | None, Parameter(converter=read_number)] = None,
    tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    flops: Annotated[float | None, Parameter(converter=read_number)] = None,
    unique_tokens: Annotated[float | None, Parameter(converter=read_number)] = None,
    targets: Path | None = None,
    out: Path | None = None,
    level: float = 0.9,
    of: str = "run",
    form: str = "auto",
    group: str | None = None,
    metric: str = "",
    chance: float | None = None,
    best: float | None = None,
    hardware: str = "h100",
    backtest: bool = False,
    lock: bool = False,
    receipts: Path | None = None,
    column: Columns = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Forecast the loss of runs that were not trained, with an interval.

    Example: `chidu forecast runs.csv --params 70e9 --tokens 1.4e12`

    Example: `chidu forecast runs.csv --targets targets.csv --out out.csv --level 0.9`

    Beside it stands how chidu did at that distance: on published tables, and, where `chidu backtest` left its result
    beside the runs, on these. A forecast that is locked is scored by `chidu score` once the run has landed.

    Parameters
    ----------
    runs
        Runs with params, tokens and loss, or flops and loss: a CSV, JSONL or Parquet table, or what W&B, MLflow,
        TensorBoard, a Hugging Face Trainer or nanoGPT left.
    params
        Parameters of the target, counted as in the table.
    tokens
        Training tokens of the target.
    flops
        Compute of the target, instead of params and tokens.
    unique_tokens
        Of the target's tokens, those that are not repeats; for form repetition.
    targets
        A CSV with a row a target: params and tokens, or flops; unique_tokens for form repetition.
    out
        Where to write the answers: the targets' own columns, then median, lower, upper.
    level
        Probability that the interval is to hold.
    of
        run: where one new run will land; law: where the curve is.
    form
        auto, chinchilla, tied, coupled, frontier, kaplan, overtraining, or repetition (docs/statistics.md).
    group
        Forecast from the runs of this group or family alone.
    metric
        Forecast this column, a task's score, through the loss: `--metric accuracy` (docs/statistics.md).
    chance
        What guessing gets of that metric, such as 0.25.
    best
        The best value that the metric can have; 1 or 0 of a share, by default.
    hardware
        The device to price the target on (see `hardware.yaml`).
    backtest
        Hold out the largest of these runs at about the target's distance, and say how that went.
    lock
        Write a receipt, before the run is trained.
    receipts
        The folder of the receipts and their ledger; by default `receipts` beside the runs.
    """
    from chidu.forecast.cost import price
    from chidu.forecast.loss import forecast_targets
    from chidu.forecast.targets import Target, read_targets, write_forecasts
    from chidu.laws.fit import fit as fit_law

    check_level(level)
    if targets is None and params is None and tokens is None and flops is None:
        raise InputError("nothing to forecast: give --params and --tokens, or --flops, or --targets FILE")
    if of not in ("run", "law"):
        raise InputError(f"--of {of}: it is run (where one new run will land) or law (where the curve is)")
    _check_flags(of, lock=lock, receipts=receipts, backtest=backtest)
    if not metric and (chance is not None or best is not None):
        raise InputError("--chance and --best are of a metric: name its column with --metric")
    if metric and (backtest or of != "run"):
        raise InputError("--metric is not backtested: leave out --backtest and --of")
    wanted = (
        read_targets(targets)
        if targets
        else [Target(params=params, tokens=tokens, flops=flops, unique_tokens=unique_tokens)]
    )
    table = read_table(runs, column)
    law = fit_law(table, form=form, group=group, seed=seed)
    if metric:
        folder = (receipts or runs.parent / "receipts") if lock else None
        return _metric(
            table, law, wanted, metric, chance, best, level=level, out=out, many=bool(targets), lock=folder, json_=json_
        )
    answers = forecast_targets(law, wanted, level, of)  # type: ignore[arg-type]
    made, notes = _backtest(table, answers, form=form, group=group, level=level, seed=seed) if backtest else (None, [])
    quotes, unread = _quotes(runs.parent, law, answers, level, made) if of == "run" else ([[]] * len(answers), [])
    notes += unread
    values = [
        {**answer.to_json(), "record": [quote.to_json() for quote in own]}
        for answer, own in zip(answers, quotes, strict=True)
    ]
    if targets is None:
        cost = price(answers[0].flops, hardware=hardware)
        notes = [*table.notes, *law.warnings, *notes]
        values[0] |= {"cost": cost.to_json(), "notes": notes}
        lines = [str(answers[0]), *map(str, quotes[0]), f"cost: {cost}"]
    else:
        if out is not None:
            write_forecasts(out, wanted, answers)
        lines = [str(answer) for answer in answers] if out is None else [f"{len(answers)} forecasts in {out}"]
        lines += dict.fromkeys(str(quote) for own in quotes for quote in own)
        notes = [*table.notes, *notes]
    lines += [f"note: {note}" for note in notes]
    if lock:
        lines.append(_lock(answers, law, receipts or runs.parent / "receipts", values, many=targets is not None))
    show(json_, values[0] if targets is None else values, "\n".join(lines))


def _metric(
    table: "RunTable",
    law: "Fit",
    wanted: "Sequence[Target]",
    metric: str,
    chance: float | None,
    best: float | None,
    *,
    level: float,
    out: Path | None,
    many: bool,
    lock: Path | None,
    json_: bool,
) -> None:
    """Forecast a column of the table through the loss, and lock that in a folder of receipts, if one is given."""
    from chidu.forecast.metric import forecast_metrics
    from chidu.forecast.targets import write_forecasts
    from chidu.laws.metric import fit_metric

    curve = fit_metric(table, metric, chance=chance, best=best, seed=law.seed)
    answers = forecast_metrics(law, curve, wanted, level)
    if many and out is not None:
        write_forecasts(out, wanted, answers)
    notes = [*table.notes, *law.warnings]
    lines = [f"{len(answers)} forecasts in {out}"] if many and out is not None else [str(answer) for answer in answers]
    values: list[dict[str, Any]] = [{**answer.to_json(), "notes": notes} for answer in answers]
    lines += [f"note: {note}" for note in notes]
    if lock is not None:
        lines.append(_lock(answers, law, lock, values, many=many, curve=curve))
    show(json_, values if many else values[0], "\n".join(lines))


def _check_flags(of: str, *, lock: bool, receipts: Path | None, backtest: bool) -> None:
    """Refuse flags that contradict each other before any work is done."""
    if backtest and of != "run":
        raise InputError("--backtest looks at where runs landed: leave out --of law")
    if receipts is not None and not lock:
        raise InputError(f"--receipts {receipts}: nothing is locked without --lock")
    if lock and of != "run":
        raise InputError("--lock locks where one new run will land: leave out --of law")


def _lock(
    answers: "Sequence[Forecast | MetricForecast]",
    law: "Fit",
    folder: Path,
    values: list[dict[str, Any]],
    *,
    many: bool,
    curve: "MetricLaw | None" = None,
) -> str:
    """Lock each answer; receipts and the hash of the ledger's last line go into the values, and are told."""
    from chidu.forecast.ledger import read_ledger
    from chidu.forecast.receipt import lock

    locked = [lock(answer, folder, fit=law, curve=curve) for answer in answers]
    head = read_ledger(folder)[-1].hash
    for value, path in zip(values, locked, strict=True):
        value |= {"receipt": str(path), "head": head}
    what = f"{len(locked)} receipts in {folder}" if many else str(locked[0])
    return f"locked: {what}; head of the ledger, to publish: {head}"


def _backtest(
    table: "RunTable", answers: "Sequence[Forecast]", *, form: str, group: str | None, level: float, seed: int
) -> "tuple[Backtest | None, list[str]]":
    """Backtest the runs at the distance of the target, or at all where there are many targets."""
    from chidu.forecast.backtest import backtest

    near = answers[0].distance if len(answers) == 1 else None
    try:
        return backtest(table, form=form, group=group, level=level, seed=seed, near=near, alone=False), []
    except Refusal as why:
        return None, [f"no backtest: {why}"]


def _quotes(
    folder: Path, law: "Fit", answers: "Sequence[Forecast]", level: float, made: "Backtest | None"
) -> "tuple[list[list[Quote]], list[str]]":
    """What each answer's distance has been worth: on published tables, and on these runs where that is known."""
    from chidu.forecast.quote import UNTRIED, published, saved

    out, notes, table = [], [], law.table_hash
    for answer in answers:
        own, why = (made.quote(answer.distance), "") if made else saved(folder, table, answer.distance)
        known = published(answer.distance, level) if law.form not in UNTRIED else None
        out.append([quote for quote in (known, own) if quote])
        notes += [why] if why else []
    return out, list(dict.fromkeys(notes))
