"""Designs of a ladder, each with its price and the interval that is expected of its forecast, before anything runs.

The fixed shapes are those of `ladder/design.py`. `optimal` is searched for (`forecast/optimal_design.py`), so that the
target's interval is as narrow as the budget allows: at several sizes of the largest rung, among runs of the recipe's
widths at halved budgets below it. Two cheap runs of far apart tokens/param are in every design; they carry the probes
of the rate gate, one of them the replicates that measure the noise.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from chidu.accounting import law_flops
from chidu.errors import InputError
from chidu.forecast.optimal_design import SPREAD, Candidate, Search, expected_half_width
from chidu.ladder.design import (
    Cell,
    Corpus,
    Design,
    Shape,
    Site,
    assemble,
    check_corpus,
    design,
    smallest_compute,
)
from chidu.ladder.plan import Offer, Plan, Speed
from chidu.ladder.price import price_job, work_seconds
from chidu.ladder.recipe import Recipe
from chidu.laws.priors import NOISE

Kind = Literal["auto", "isoflop", "grid", "trunk", "optimal"]
KINDS = get_args(Kind)
OTHERS: tuple[Shape, ...] = ("grid", "trunk")
PART = 0.2
"""Of the ladder's work that its largest rung takes where the target is a multiple of it: at 10x the ladder then costs
half of its target."""
WALL = 0.8
"""Most of the wall-clock time that it takes, where there are many workers."""
TOPS = tuple(2 ** (i / 2) for i in range(-4, 5))
"""Other sizes of the largest rung that are tried for a target in FLOPs, relative to that one."""
SMALLER = 6
"""Halvings of the compute, at most, until a design for a multiple fits."""
LEVELS = 5
"""Amounts of compute of its candidates, each half of the one before."""
ANCHORS = (4, 3)
"""The level of the two runs that are always there, the first that is possible: a sixteenth of the largest rung's
compute, or an eighth."""
ANCHOR_RATIOS = (40.0, 5.0)
"""Their tokens per parameter; the first has the replicates."""
NEAREST = 2.0
"""A target in FLOPs is at least so many times the largest rung of an optimal design."""
TARGET_RATIO = 20.0
"""Tokens per parameter of a target whose split is not known yet (2203.15556)."""
SAME = 0.01
"""Relative difference of half-widths below which the cheaper design is taken."""


def parse_target(text: str, largest_flops: float) -> float:
    """Read `10x` (times the largest rung's compute) or a number of FLOPs.

    Raises:
        InputError: neither.
    """
    try:
        flops = float(text[:-1]) * largest_flops if text.endswith("x") else float(text)
    except ValueError:
        flops = math.nan
    if not (math.isfinite(flops) and flops > 0):
        raise InputError(f"--target {text}: give a multiple of the largest rung, such as 10x, or FLOPs, such as 1e15")
    return flops


def check_kind(kind: str) -> None:
    """Refuse the name of a design that there is not.

    Raises:
        InputError: there is no such design.
    """
    if kind not in KINDS:
        raise InputError(f"there is no design {kind!r}; there are {', '.join(KINDS)}")


def plan_ladder(
    budget_seconds: float,
    corpus: Corpus,
    speed: Speed,
    *,
    target: str = "10x",
    kind: str = "auto",
    recipe: Recipe = Recipe(),
    shape: Design = Design(),
    noise: float = NOISE,
    seed: int = 0,
) -> Plan:
    """Design a ladder for a budget of wall-clock time and a target, as `kind` says; `auto` takes the best of all.

    The best is the one whose interval is expected to be the narrowest at a target that is the same for all: the one
    asked for; of a multiple of the largest rung, the optimal design's. Of designs that are as good
    within 1 %, the cheapest is taken.

    Args:
        budget_seconds: wall-clock time.
        corpus: the data.
        speed: of this machine.
        target: `10x`, times the largest rung's compute, or FLOPs.
        kind: `isoflop`, `grid`, `trunk`, `optimal` or `auto`.
        recipe: of every run.
        shape: of the fixed shapes; bounds, replicates and probes of all.
        noise: a guess of the sd of a run's log loss.
        seed: of the runs.

    Raises:
        InputError: an unknown design, a target that is none, or a budget or corpus that is too small.
    """
    check_kind(kind)
    parse_target(target, 1.0)
    site = Site(corpus, speed, recipe, seed)
    usual = design(budget_seconds, corpus, speed, recipe=recipe, shape=replace(shape, kind="isoflop"), seed=seed)
    plans = [usual] if kind in ("auto", "isoflop") else []
    found = None
    for name in OTHERS:
        if kind in ("auto", name):
            try:
                other = replace(shape, kind=name)
                plans.append(design(budget_seconds, corpus, speed, recipe=recipe, shape=other, seed=seed))
            except InputError:
                if kind == name:
                    raise
    if kind in ("auto", "optimal"):
        found = _search(Question(site, shape, budget_seconds, target, noise))
        if found is None and kind == "optimal":
            raise InputError(
                f"no optimal design fits a budget of {budget_seconds:.0f} s for --target {target}; give a larger "
                "budget or target, or take --design isoflop"
            )
        plans += [found] if found is not None else []
    common = parse_target(target, (found or plans[0]).largest_flops)
    offers = [_offer(plan, target, common, site, noise) for plan in plans]
    least = min(offer.common_half_width for offer in offers)
    good = [i for i, offer in enumerate(offers) if offer.common_half_width <= least * (1 + SAME)]
    best = min(good, key=lambda i: offers[i].seconds)
    ordered = [offers[best], *[offer for i, offer in enumerate(offers) if i != best]]
    return replace(plans[best], asked=kind, target=target, offers=tuple(ordered))


@dataclass(frozen=True)
class Question:
    """What an optimal design is searched for."""

    site: Site
    shape: Design
    budget_seconds: float
    target: str
    noise: float


def _search(question: Question) -> Plan | None:
    """The best optimal design, with probes and replicates if there is room for them."""
    site, shape = question.site, question.shape
    limit = check_corpus(0.0, site.corpus, shape)
    least = smallest_compute(site, shape) * 2 ** min(ANCHORS)
    usual = min(limit, _largest_rung(question, least))
    if question.target.endswith("x"):
        tops = [usual / 2 ** (i / 2) for i in range(2 * SMALLER)]
    else:
        limit = min(limit, parse_target(question.target, 1.0) / NEAREST)
        tops = sorted({min(usual * factor, limit) for factor in TOPS})
    tops = [top for top in tops if top >= least]
    for asked in (shape, shape.bare()):
        found = list[tuple[float, Plan]]()
        for top in tops:
            found += [best for level in ANCHORS if (best := _at_top(question, asked, top, level))]
            if found and question.target.endswith("x"):
                break
        if found:
            return min(found, key=lambda pair: pair[0])[1]
    return None


def _largest_rung(question: Question, least: float) -> float:
    """Compute of the compute-optimal run that takes the largest rung's part of the time."""
    site = question.site
    seconds = question.budget_seconds * min(PART * site.speed.workers, WALL)
    top = least
    while _alone(top * 2**0.25, site) <= seconds:
        top *= 2**0.25
    return top


def _alone(flops: float, site: Site) -> float:
    """Seconds of a compute-optimal run."""
    params, tokens = _point(flops)
    return site.rung(site.config((site.nearest(params), tokens))).seconds


def _at_top(question: Question, shape: Design, top: float, anchor: int) -> tuple[float, Plan] | None:
    """The best design whose largest run takes `top` FLOPs, and its expected half-width at the target."""
    site = question.site
    cells = [(level, cell) for level in range(LEVELS) for cell in _level(top / 2**level, site, shape)]
    anchors = [
        min(
            (i for i, (level, _) in enumerate(cells) if level == anchor),
            key=lambda i: abs(math.log(_ratio(cells[i][1], site) / wanted)),
            default=-1,
        )
        for wanted in ANCHOR_RATIOS
    ]
    if min(anchors) < 0:
        return None
    high, low = (cells[i][1] for i in anchors)
    if _ratio(high, site) < SPREAD * _ratio(low, site):
        return None

    def job(cell: Cell, factor: float = 1.0) -> Candidate:
        rung = site.rung(site.config(cell, factor=factor))
        made = price_job(rung, site.speed, site.corpus.evaluation_tokens)
        return Candidate(float(rung.params), float(rung.tokens), made)

    search = Search(
        [job(cell) for _, cell in cells],
        _point(parse_target(question.target, top)),
        extra=[job(cell, factor).job for cell in (low, high) for factor in shape.probe_factors],
        workers=site.speed.workers,
        budget_seconds=question.budget_seconds,
        noise=question.noise,
        replicates=shape.replicates,
    )
    fixed = [*[anchors[0]] * (1 + shape.replicates), anchors[1]]
    if not search.fits(fixed):
        return None
    chosen = search.find(fixed)
    runs = [cells[i][1] for i in sorted(chosen.runs)]
    rungs = assemble(runs, high, (low, high), site, replace(shape, replicates=0))
    return chosen.half_width, site.plan(question.budget_seconds, rungs, "optimal")


def _level(flops: float, site: Site, shape: Design) -> list[Cell]:
    """Every width that may spend an amount of compute."""
    cells = [(width, flops / 6 / site.params(width)) for width in site.sizes]
    return [cell for cell in cells if site.allows(cell, shape)]


def _ratio(cell: Cell, site: Site) -> float:
    return cell[1] / site.params(cell[0])


def _point(flops: float) -> tuple[float, float]:
    """Params and tokens of a target whose split is not known yet."""
    params = math.sqrt(flops / law_flops(1.0, TARGET_RATIO))
    return params, TARGET_RATIO * params


def _offer(plan: Plan, target: str, common: float, site: Site, noise: float) -> Offer:
    """What a plan is worth and costs."""
    own = parse_target(target, plan.largest_flops)
    runs = [(float(rung.params), float(rung.tokens)) for rung in plan.law_runs]
    replicates = sum(rung.role == "replicate" for rung in plan.rungs)
    widths = [expected_half_width(runs, _point(flops), noise=noise, replicates=replicates) for flops in (own, common)]
    return Offer(
        design=plan.design,
        runs=len(plan.rungs),
        largest_flops=plan.largest_flops,
        target_flops=own,
        half_width=widths[0],
        common_half_width=widths[1],
        seconds=plan.seconds,
        flops=plan.flops,
        share=work_seconds(site.jobs(plan.rungs)) / _alone(own, site),
    )
