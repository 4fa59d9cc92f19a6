"""What forecasts from these very runs would have been worth: the largest are held out, forecast, and looked at.

Each cut is fitted anew, as if the larger runs were not there, by chidu and beside it by each law alone with its
bootstrap (`standard.py`). Nothing of the held-out runs reaches the fit, but which rows are usable *targets* is judged
with all runs at hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.forecast.grade import LEVELS, Grade, coverage, grade, percent
from chidu.forecast.groups import Part, split_groups
from chidu.forecast.holdout import Cut, hold_out, targets_of
from chidu.forecast.quote import Quote
from chidu.forecast.trial import ENGINE, Trial, try_cut
from chidu.runs import RunTable

Progress = Callable[[str, float], None]
"""Is told what is being done, and which part of all is done."""


@dataclass(frozen=True, eq=False)
class Backtest:
    """How forecasts from a table's smaller runs did on its larger ones."""

    runs: int
    """Rows of the table."""
    table: str
    """Hash of the fitted rows, as a fit of the same table has it: of the group that forecasts are of."""
    level: float
    levels: tuple[float, ...]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]
    """Which rows are no targets, and what else to know."""
    seed: int
    source: str = field(default="")

    @property
    def methods(self) -> tuple[str, ...]:
        """chidu first, then each law alone."""
        return tuple(dict.fromkeys(name for trial in self.trials for name in (*trial.answers, *trial.refused)))

    @cached_property
    def distances(self) -> tuple[float, ...]:
        """Those of `holdout.DISTANCES` that the table allows, nearest first."""
        return tuple(sorted({trial.cut.about for trial in self.trials}))

    def at(self, about: float) -> list[Trial]:
        """The trials of a distance: one, or one a group."""
        return [trial for trial in self.trials if trial.cut.about == about]

    def distance(self, about: float) -> float:
        """Geometric mean of how far the targets of a distance really are."""
        return float(np.exp(np.mean([np.log(trial.cut.distance) for trial in self.at(about)])))

    def grade(self, method: str, about: float) -> Grade | None:
        """How a method did at a distance; None where it answered nothing."""
        trials = [trial for trial in self.at(about) if method in trial.answers]
        if not trials:
            return None
        return grade([trial.answers[method] for trial in trials], [trial.losses for trial in trials], self.level)

    def coverage(self, method: str, about: float) -> tuple[float, ...]:
        """The share of a method's intervals that held at a distance, for each of `levels`; empty without answers."""
        trials = [trial for trial in self.at(about) if method in trial.answers]
        if not trials:
            return ()
        return coverage([trial.answers[method] for trial in trials], [trial.losses for trial in trials])

    def quote(self, distance: float) -> Quote | None:
        """What to say beside a forecast so far away: chidu's grade at the nearest distance that was tried."""
        known = {about: made for about in self.distances if (made := self.grade(ENGINE, about))}
        if not known:
            return None
        about = min(known, key=lambda each: abs(np.log(self.distance(each) / distance)))
        made, away = known[about], self.distance(about)
        return Quote("backtest of these runs", away, away, made.targets, made.error, made.cover, made.level)

    def __str__(self) -> str:
        """A table, one row a distance and method, and what it means."""
        head = f"{'distance':>8} {'fitted':>7}  {'method':<17} {'error':>7} {'bias':>7} {'held':>10}"
        lines = [f"backtest of {self.runs} runs: the largest held out, {self.level:.0%} intervals", ""]
        lines.append(f"{head} {'width':>7} {'score':>7}")
        for about in self.distances:
            fitted = "+".join(str(trial.fitted) for trial in self.at(about))
            for i, method in enumerate(self._answered(about)):
                start = f"{self.distance(about):>7.3g}x {fitted[:7]:>7}" if i == 0 else " " * 16
                lines.append(f"{start}  {method:<17} {self._row(method, about)}")
        lines += [
            "",
            "error: mean |forecast/loss - 1|; bias: above 0 too high; held: intervals that held the loss;",
            "score: of the intervals, width + penalty, smaller is better. All in % of the loss.",
        ]
        return "\n".join([*lines, *[f"note: {text}" for text in self.notes]])

    def _answered(self, about: float) -> list[str]:
        """The methods that have something to show for a distance: a grade, or the reason for none."""
        known = {name for trial in self.at(about) for name in (*trial.answers, *trial.refused)}
        return [method for method in self.methods if method in known]

    def _row(self, method: str, about: float) -> str:
        made = self.grade(method, about)
        if made is None:
            return f"none: {next((t.refused[method] for t in self.at(about) if method in t.refused), '')}"
        held = f"{made.held} of {made.targets}"
        width, score = percent(made.width), percent(made.score)
        return f"{percent(made.error):>7} {percent(made.bias, '+'):>7} {held:>10} {width:>7} {score:>7}"

    def to_json(self) -> dict[str, Any]:
        """Plain values: grades by distance and method, then every held-out run with its forecasts."""
        return {
            "runs": self.runs,
            "table": self.table,
            "source": self.source,
            "level": self.level,
            "levels": list(self.levels),
            "seed": self.seed,
            "notes": list(self.notes),
            "distances": [self._distance_json(about) for about in self.distances],
            "held_out": [row for trial in self.trials for row in trial.to_json(self.level)],
        }

    def _distance_json(self, about: float) -> dict[str, Any]:
        methods = {}
        for method in self.methods:
            if (made := self.grade(method, about)) is not None:
                methods[method] = {**made.to_json(), "coverage": list(self.coverage(method, about))}
        trials = self.at(about)
        return {
            "about": about,
            "distance": self.distance(about),
            "fitted": [trial.fitted for trial in trials],
            "methods": methods,
            "refused": {name: why for trial in trials for name, why in trial.refused.items()},
        }


def backtest(
    runs: RunTable,
    *,
    form: str = "auto",
    group: str | None = None,
    level: float = 0.9,
    seed: int = 0,
    near: float | None = None,
    alone: bool = True,
    progress: Progress | None = None,
) -> Backtest:
    """Hold out the largest runs at several distances, refit, forecast them, and see.

    Args:
        runs: the table, dirty rows and all.
        form: as `fit` takes it.
        group: as `fit` takes it; without it, groups that lie apart are tried one by one.
        level: probability of the intervals that are graded.
        seed: of every fit and bootstrap.
        near: times the largest fitted run's compute: try only the nearest distance that the table allows.
        alone: whether each law alone is tried beside chidu.
        progress: is told how far it is.

    Raises:
        InputError: an unknown form or group, columns that the form lacks, or a level outside (0, 1).
        Refusal: the table is too small, or its runs cannot be fitted.
    """
    if not 0 < level < 1:
        raise InputError(f"a level lies between 0 and 1, not {level}; 0.9 is usual")
    levels = tuple(sorted({*LEVELS, level}))
    parts, notes = split_groups(runs, form=form, group=group, seed=seed)
    jobs = []
    for part in parts:
        try:
            jobs += [(part.group, cut) for cut in _nearest(hold_out(part.table, part.law), near)]
        except Refusal as why:
            if len(parts) == 1:
                raise
            notes.append(f"{part.group}: {why}")
    if not jobs:
        raise Refusal(f"no group of this table is large enough to backtest: {'; '.join(notes)}")
    trials = []
    for i, (name, cut) in enumerate(jobs):
        if progress:
            progress(f"backtest at {cut.distance:.3g} times", i / len(jobs))
        trials.append(try_cut(cut, name, form, levels, seed, alone))
    if progress:
        progress("backtest", 1.0)
    notes += _no_targets(parts)
    table = parts[0].law.table_hash
    return Backtest(len(runs), table, level, levels, tuple(trials), (*runs.notes, *notes), seed, runs.source)


def _nearest(cuts: list[Cut], near: float | None) -> list[Cut]:
    return cuts if near is None else [min(cuts, key=lambda cut: abs(np.log(cut.distance / near)))]


def _no_targets(parts: Sequence[Part]) -> list[str]:
    """Which rows are never asked for, and why."""
    aside = sum(len(part.table) - len(part.law.runs) for part in parts)
    low = sum(int((~part.law.used).sum()) for part in parts)
    worse = sum(int(part.law.used.sum()) - len(targets_of(part.law)) for part in parts)
    reasons = (
        (aside, "set aside by the fit; chidu fit lists them with reasons"),
        (low, "undertrained, and forecasts leave them out"),
        (worse, "of a cell where another rate or batch did better"),
    )
    return [f"no targets: {count} rows that are {why}" for count, why in reasons if count]
