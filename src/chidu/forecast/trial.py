"""One trial of a backtest: a cut is fitted, by chidu and by each law alone, and asked for the runs above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.errors import InputError, Refusal
from chidu.forecast.grade import Answers
from chidu.forecast.holdout import Cut
from chidu.forecast.loss import forecast_targets
from chidu.forecast.standard import forecast_standard
from chidu.forecast.targets import Target
from chidu.laws.fit import Fit, fit
from chidu.laws.forms import FORMS
from chidu.laws.posterior import SPLIT_FORMS
from chidu.laws.select import select_runs
from chidu.runs import Run
from chidu.stats import Array

ENGINE = "chidu"
BOOTSTRAPS = 200
"""Of each law alone: enough to see how its intervals do, in a fifth of the time."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One cut, fitted and asked; T targets."""

    cut: Cut
    group: str
    """Where groups were too far apart to be fitted together: which one."""
    answers: dict[str, Answers]
    """Method -> what it said of the targets."""
    refused: dict[str, str]
    """Method -> why it did not answer."""
    fitted: int
    """Rows of the cut that chidu fitted; 0 where it refused to."""

    @property
    def losses(self) -> Array:
        """What the targets reached, nats per token, [T]."""
        return np.array([run.loss for run in self.cut.targets])

    def to_json(self, level: float) -> list[dict[str, Any]]:
        """Plain values, one row a held-out run, with every method's interval of one of the levels."""
        rows = []
        for t, run in enumerate(self.cut.targets):
            row = {name: getattr(run, name) for name in ("run", "params", "tokens", "flops", "loss")}
            row |= {"group": self.group, "distance": (run.flops or 0.0) / self.cut.largest_flops}
            row["forecasts"] = {
                method: {
                    "median": float(said.median[t]),
                    "lower": float(said.at(level)[0][t]),
                    "upper": float(said.at(level)[1][t]),
                }
                for method, said in self.answers.items()
            }
            rows.append(row)
        return rows


def try_cut(cut: Cut, group: str, form: str, levels: tuple[float, ...], seed: int, alone: bool) -> Trial:
    """Fit what a cut keeps, by every method, and ask for its targets."""
    answers: dict[str, Answers] = {}
    refused: dict[str, str] = {}
    try:
        law = fit(cut.kept, form=form, seed=seed)
    except (Refusal, InputError) as why:
        return Trial(cut, group, answers, {ENGINE: str(why)}, 0)
    try:
        answers[ENGINE] = _ask(law, cut.targets, levels)
    except Refusal as why:
        refused[ENGINE] = str(why)
    for key in _laws_alone(law) if alone else ():
        try:
            answers[f"{key} alone"] = _ask_alone(key, law, cut, levels, seed)
        except (Refusal, InputError) as why:
            refused[f"{key} alone"] = str(why)
    return Trial(cut, group, answers, refused, len(law.runs))


def _laws_alone(law: Fit) -> tuple[str, ...]:
    """The forms to try alone: that of the fit, those that forecasts average over, and the frontier."""
    split = SPLIT_FORMS if law.runs.has_params else ()
    return tuple(dict.fromkeys((law.form, *split, "frontier")))


def _ask(law: Fit, targets: Sequence[Run], levels: tuple[float, ...]) -> Answers:
    """What chidu says of runs of known size, as `chidu forecast` would."""
    names = ("params", "tokens", "flops", "unique_tokens")
    asked = [Target(**{name: getattr(run, name) for name in names}) for run in targets]
    said = [forecast_targets(law, asked, level) for level in levels]
    lower, upper = ([[getattr(f.interval, end) for f in row] for row in said] for end in ("lower", "upper"))
    return Answers(levels, np.array([f.median for f in said[0]]), np.array(lower), np.array(upper)).check()


def _ask_alone(key: str, law: Fit, cut: Cut, levels: tuple[float, ...], seed: int) -> Answers:
    """What one law says, fitted to the rows that chidu found usable: of a frontier, the best at their compute."""
    table, theta = law.runs, law.theta if key == law.form else None
    if key == "frontier" and law.form != "frontier":
        table = select_runs(table, frontier=True)
    return forecast_standard(FORMS[key], table, cut.targets, levels, draws=BOOTSTRAPS, seed=seed, theta=theta)
