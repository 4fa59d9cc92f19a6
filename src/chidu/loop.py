"""The whole loop on one lab folder: text -> data -> plan -> gates -> ladder -> law -> forecast -> next run -> report.

Killed at any moment it goes on where it was. The result is a function of the folder: `study_of_lab` reads it back.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.design_page import study_design
from chidu.designs import check_kind, parse_target
from chidu.errors import Refusal
from chidu.forecast.allocation import Allocation, compute_optimal
from chidu.forecast.cost import Cost, price, price_seconds
from chidu.forecast.loss import Forecast, forecast_loss
from chidu.forecast.next_run import NextRun, next_run
from chidu.forecast.receipt import lock, read_receipt, score
from chidu.forecast.sparing import check_spare, read_sparing
from chidu.forecast.targets import Target
from chidu.ladder.climb import load_run
from chidu.ladder.gates import read_gates
from chidu.ladder.plan import Plan
from chidu.ladder.recipe import Parametrisation
from chidu.ladder.rung import Rung
from chidu.laws.fit import Fit, fit
from chidu.metrics import RECEIPTS, MetricStudy, lock_metrics, score_metrics, study_metrics
from chidu.report import Study, summarise, write_report
from chidu.runs import RunTable
from chidu.stages import Watch, confirm_stage, gate_stage, ladder_stage, metric_stage, plan_stage
from chidu.store import read_json, write_json
from chidu.tables.read import read_runs

NEAR = 0.01
"""How much loss, as a fraction of the best, the target's split may give up to stay within the text at hand."""
VERSIONS = ("chidu", "numpy", "scipy", "torch", "tokenizers", "tiktoken")


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """What `chidu run` is asked for."""

    sources: Sequence[str]
    budget_seconds: float
    target: str = "10x"
    vocab_size: int = 1024
    level: float = 0.9
    seed: int = 0
    workers: int = 0
    hardware: str = ""
    parametrisation: Parametrisation = "mup"
    design: str = "auto"
    metrics: bool = False
    """Examine the runs on continuing the held-out text, and forecast that score too."""
    spare: float = 0.0
    """Part of the interval's expected width that may be given up for runs that are left out."""


def run_loop(options: LoopOptions, lab: Path, watch: Watch, *, confirm: bool = False) -> Study:
    """Do everything that the lab folder lacks and return the whole result.

    Raises:
        InputError, Refusal: as the stages do.
    """
    parse_target(options.target, 1.0)
    check_kind(options.design)
    check_spare(options.spare)
    data = prepare(options.sources, lab / "data", vocab_size=options.vocab_size, progress=watch.share("data"))
    watch.say(str(data))
    write_json(lab / "loop.json", {**asdict(options), "sources": list(options.sources)})
    plan = plan_stage(
        lab / "plan.json",
        data,
        options.budget_seconds,
        watch,
        target=options.target,
        kind=options.design,
        seed=options.seed,
        workers=options.workers,
        parametrisation=options.parametrisation,
        spare=options.spare,
    )
    watch.say(str(plan))
    gate_stage(plan, lab, watch)
    law = fit(ladder_stage(plan, lab / "data", lab, watch), seed=options.seed)
    write_json(lab / "fit.json", law.to_json())
    target = choose_target(law, plan, data, parse_target(options.target, plan.largest_flops))
    forecast, receipt = forecast_stage(law, target, lab, options.level)
    if options.metrics:
        metric_stage(lab, watch, seed=options.seed)
        lock_scores(law, forecast, target, lab, watch)
    if confirm:
        watch.say(f"forecast locked as {receipt.stem}: {forecast.median:.4f} {forecast.interval}; training the target")
        score(receipt, confirm_stage(target, plan, lab, watch))
        if options.metrics:
            metric_stage(lab, watch, seed=options.seed)
    return write_study(lab)


def write_study(lab: Path) -> Study:
    """Read back a lab, and write its summary and its page anew."""
    study = study_of_lab(lab)
    write_json(lab / "summary.json", summarise(study))
    write_report(study, lab / "report.html")
    return study


def metrics_of_lab(lab: Path) -> tuple[MetricStudy, ...]:
    """What the runs of a lab score on the tasks that they were examined on; where it has a target, with its forecast.

    Then its summary and its page are written anew.

    Raises:
        Refusal, InputError: there is no law of its loss.
    """
    if (lab / "forecast.json").exists():
        return write_study(lab).metrics
    table = read_runs(lab / "runs.csv")
    return study_metrics(lab, fit(table), None, None, 0.9)


def choose_target(law: Fit, plan: Plan, data: Dataset, flops: float) -> TrainConfig:
    """The run that spends at least these FLOPs best: the width nearest to compute-optimal.

    Where that would repeat text and a larger width would not, at less than 1 % of loss, it takes the larger one.
    """
    recipe, vocab = plan.recipe, data.vocab_size
    best = compute_optimal(law, flops=flops)
    width = recipe.nearest_width(best.params, vocab)
    if flops / 6 / recipe.params(width, vocab) > data.train_tokens:
        limit = best.near[NEAR][1]
        fresh = [
            wider
            for wider in recipe.widths()
            if recipe.params(wider, vocab) <= limit and flops / 6 / recipe.params(wider, vocab) <= data.train_tokens
        ]
        width = fresh[0] if fresh else width
    return recipe.config(width, flops / 6 / recipe.params(width, vocab), vocab, data.id, plan.seed)


def forecast_stage(law: Fit, target: TrainConfig, lab: Path, level: float) -> tuple[Forecast, Path]:
    """Forecast the target and lock the forecast; the same forecast is locked only once."""
    rung = Rung(target, 0.0)
    forecast = forecast_loss(law, params=float(rung.params), tokens=float(rung.tokens), level=level)
    path = lab / "forecast.json"
    if path.exists():
        receipt = lab / RECEIPTS / f"{read_json(path)['receipt']}.json"
        if receipt.exists() and read_receipt(receipt)["forecast"] == forecast.to_json():
            return forecast, receipt
    receipt = lock(forecast, lab / RECEIPTS, fit=law)
    write_json(path, {**forecast.to_json(), "receipt": receipt.stem, "config": target.to_json()})
    return forecast, receipt


def lock_scores(law: Fit, forecast: Forecast, target: TrainConfig, lab: Path, watch: Watch) -> None:
    """Lock what the target is forecast to score, unless it was trained already."""
    if (lab / "runs" / target.id / "run.json").exists():
        return
    studies = study_metrics(lab, law, point_of(forecast), None, forecast.interval.level)
    for receipt in lock_metrics(studies, lab, law):
        watch.say(f"{read_receipt(receipt)['quantity']} locked as {receipt.stem}")


def point_of(forecast: Forecast) -> Target:
    """The target of a forecast."""
    return Target(params=forecast.params, tokens=forecast.tokens, flops=forecast.flops)


def study_of_lab(lab: Path) -> Study:
    """Read back a finished lab: everything that the report shows.

    Raises:
        InputError: the loop has not got as far as a forecast there.
    """
    options = read_json(lab / "loop.json")
    planned, data = Plan.load(lab / "plan.json"), Dataset.open(lab / "data")
    sparing = read_sparing(planned, lab)
    plan = planned.without(sparing.verdict.spared) if sparing else planned
    law = fit(read_runs(lab / "runs.csv"), seed=options["seed"])
    target = TrainConfig.from_json(read_json(lab / "forecast.json")["config"])
    forecast, receipt = forecast_stage(law, target, lab, options["level"])
    landed = load_run(target, lab) if (lab / "runs" / target.id / "run.json").exists() else None
    seconds = sum(float(load_run(rung.config, lab).extra["seconds"]) for rung in plan.rungs)
    took = seconds / plan.speed.workers
    gates = read_gates(plan, lab)
    upcoming, refused = propose(law, forecast)
    if upcoming is not None:
        share = upcoming.flops / forecast.flops
        basis = "estimated from what the target would take on this machine"
        cost = price_seconds(share * plan.speed.seconds(target), device_here(plan), basis=basis)
        upcoming = replace(upcoming, cost=cost)
    studies = study_metrics(lab, law, point_of(forecast), landed, options["level"])
    notes = (
        [] if gates.probes else ["the budget left no room for the learning-rate gate: the recipe's rates are unchecked"]
    )
    if (repeats := Rung(target, 0.0).tokens / data.train_tokens) > 1:
        notes.append(
            f"the target reads its text {repeats:.1f} times, but the law is for fresh text: it may land higher"
        )
    return Study(
        title=", ".join(Path(source).name or source for source in options["sources"]),
        fit=law,
        forecast=forecast,
        allocation=compute_optimal(law, flops=forecast.flops),
        next_run=upcoming,
        next_refused=refused,
        outcome=score(receipt, landed) if landed is not None and landed.status == "done" else None,
        outcome_run=landed,
        metrics=score_metrics(studies, lab, landed),
        cost=costs(plan, target, forecast, seconds, options["hardware"]),
        plan=plan,
        design=study_design(planned, law, forecast, took, sparing),
        gates=gates,
        datasheet=data.datasheet,
        ladder_seconds=took,
        warnings=(*law.warnings, *forecast.warnings, *gates.warnings, *notes),
        versions=versions(),
        seed=plan.seed,
    )


def propose(law: Fit, forecast: Forecast) -> tuple[NextRun | None, str]:
    """The next run for a forecast's target, or why there is none."""
    point = (forecast.params, forecast.tokens) if forecast.params and forecast.tokens else forecast.flops
    try:
        return next_run(law, target=point), ""
    except Refusal as why:
        return None, str(why)


def device_here(plan: Plan) -> str:
    """What this machine's time is priced as (`hardware.yaml`)."""
    return "cpu-core" if plan.speed.device == "cpu" else "h100"


def costs(plan: Plan, target: TrainConfig, forecast: Forecast, seconds: float, hardware: str) -> dict[str, Cost]:
    """What the ladder cost and the target would: on this machine by its measured speed, and on the hardware named."""
    here, basis = device_here(plan), "estimated from this machine's measured speed"
    out = {
        "ladder": price_seconds(seconds, here),
        "target": price_seconds(plan.speed.seconds(target), here, basis=basis),
    }
    if hardware:
        out[f"target on {hardware}"] = price(forecast.flops, hardware=hardware)
    return out


def versions() -> dict[str, str]:
    """What has to be the same for the same numbers."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _allocate(law: Fit, flops: float) -> Allocation | None:
    """The compute-optimal split; None where the runs cannot tell params from tokens."""
    try:
        return compute_optimal(law, flops=flops)
    except Refusal:
        return None


def study_of_table(table: RunTable, title: str, seed: int = 0) -> Study:
    """The result for runs that came from elsewhere, forecast at ten times the largest: no plan, no data."""
    law = fit(table, seed=seed)
    largest = max(run.flops or 0.0 for run in law.runs)
    forecast = forecast_loss(law, flops=10 * largest)
    upcoming, refused = propose(law, forecast)
    return Study(
        title=title,
        fit=law,
        forecast=forecast,
        allocation=_allocate(law, forecast.flops),
        next_run=upcoming,
        next_refused=refused,
        cost={"target on h100": price(forecast.flops, hardware="h100")},
        warnings=(*table.notes, *law.warnings, *forecast.warnings),
        versions=versions(),
        seed=seed,
    )
