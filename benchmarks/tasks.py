"""The table of the tasks: each model is trained from nothing within its minutes and examined beside the best baseline.

Bars (on two cores; wall minutes of training, compiling included):
multi30k en->de BLEU 35 in 10 minutes and 38 in 30, de->en 36 and 39; tatoeba en->zh 30 in 20 minutes and 4 above its
baseline; pydocs en->zh above its baseline by more than the interval; agnews accuracy 0.885, csl_category 0.80, sst2
0.83 in 20 minutes and never below the best linear model; cmrc2018 F1 35, exact match 12, fairytaleqa F1 25 in 30
minutes; scitldr ROUGE-L 36, csl_title 36 in 20 minutes; python_code 1.25 bits per byte and 25 % valid completions in 20
minutes.

    python benchmarks/tasks.py [--tasks multi30k_en_de agnews] [--minutes 10] [--seeds 0] [--limit 0] [--check]

The data are named with --data. `--baselines` scores the best simple method of each task and trains nothing. Each task
keeps its rows in `results/tasks_<name>.json`, a row a seed and budget; `--show` prints all that are there.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import record
from chidu.data.tokenizer import Tokenizer
from chidu.store import write_text
from chidu.tasks import Answering
from chidu.tasks.baselines.baseline import choose
from chidu.tasks.baselines.linear import linear_baselines
from chidu.tasks.ensemble import combine, fit_weights
from chidu.tasks.examination import Examination, examine, show, thin
from chidu.tasks.example import Example, Prediction
from chidu.tasks.fresh import fresh
from chidu.tasks.generation import Generation
from chidu.tasks.mixing import fit_mixture
from chidu.tasks.picking import fit_picker
from chidu.tasks.pointing import fit_pointer
from chidu.tasks.predicting import predict
from chidu.tasks.score import Score, make_score
from chidu.tasks.tuned import Tuned
from chidu.tasks.tuning import tune
from chidu.tasks.tuning_config import TuneConfig, Tuning
from chidu.training.train import Machine, prepare_machine
from task_trials import TRIALS, Bar, Phase, Trial

DATA = record.ROOT.parent / "shared" / "data"
VOTED, MIXED = "with linear models", "with n-gram models"
TOGETHER = (VOTED, MIXED)
"""Rows of a model that does not answer alone."""
BEGIN, END = "<!-- benchmarks/tasks.py --document -->", "<!-- end -->"


@dataclass
class Done:
    """A trained and examined model."""

    name: str
    seed: int
    budget: float
    """Minutes of training that were asked for; 0 where none were."""
    minutes: float
    """Wall time of everything that learns: tokenizer, compiling, training, judging on the validation split."""
    tuning: Tuning | None
    """None of what is no Transformer."""
    examinations: dict[str, Examination]
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: one.to_json() for name, one in self.examinations.items()}
        row = {"task": self.name, "seed": self.seed, "budget": self.budget, "minutes": self.minutes}
        tuning = self.tuning.to_json() if self.tuning else None
        return {**row, "notes": self.notes, "tuning": tuning, "examinations": found}


def main() -> int:
    """Train, examine, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=sorted(TRIALS), default=list(TRIALS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--minutes", type=float, default=0.0, help="training budget instead of the task's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, default=0, help="most test examples; 0 for all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiled", action="store_true", help="compile what writes: half a minute, then faster")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--keep", type=Path, help="keep the models here")
    parser.add_argument("--pretrain", type=float, default=0.0, help="minutes of masked tokens first, side by side")
    parser.add_argument("--baselines", action="store_true", help="score the best simple methods and train nothing")
    parser.add_argument("--show", action="store_true", help="print the results that are there and end")
    parser.add_argument("--document", action="store_true", help="write them into docs/tasks.md and end")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.show:
        return show_all()
    if asked.document:
        return document()
    if asked.baselines:
        return baselines_alone(asked)
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chidu-tasks-") as folder:
        for name in asked.tasks:
            for seed in asked.seeds:
                row = run(name, seed, asked, asked.keep or Path(folder))
                missed += judge(TRIALS[name], row)
                print(keep_row(name, row.to_json()), flush=True)
    return record.judge(missed, asked.check)


def keep_row(name: str, row: dict[str, Any]) -> Path:
    """Put a row into its task's file, in the place of one of the same seed and budget."""
    path = record.RESULTS / f"tasks_{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    kept = [one for one in rows if (one["seed"], one["budget"]) != (row["seed"], row["budget"])]
    about = {"machine": record.machine(), "commit": record.commit()}
    return record.write(
        f"tasks_{name}", {"rows": sorted([*kept, {**row, **about}], key=lambda r: (r["budget"], r["seed"]))}
    )


def run(name: str, seed: int, asked: argparse.Namespace, folder: Path) -> Done:
    """One row: train, examine on the test file and on the further ones."""
    prepare_machine(Machine(threads=asked.threads))
    trial = TRIALS[name]
    train = [example for part in (f"{trial.files}.train", *trial.more_train) for example in read(trial, asked, part)]
    valid, test = read(trial, asked, f"{trial.files}.valid"), read(trial, asked, f"{trial.files}.test")
    test = thin(test, asked.limit or trial.limit)
    started = time.monotonic()
    if trial.pickers:
        done = pick(name, seed, trial, asked, train, valid, test)
    else:
        done = learn(name, seed, trial, asked, folder, train, valid, test)
    done.notes["minutes in all"] = (time.monotonic() - started) / 60
    for title, found in done.examinations.items():
        print(f"--- {title}\n{found}", flush=True)
    return done


def pick(
    name: str,
    seed: int,
    trial: Trial,
    asked: argparse.Namespace,
    train: list[Example],
    valid: list[Example],
    test: list[Example],
) -> Done:
    """Parts of the text, or spans of the passage, picked; how many trees, the validation split says."""
    started, busy = time.monotonic(), time.process_time()
    fit = fit_pointer if isinstance(trial.task, Answering) else fit_picker
    answerers = {f"{trees} trees": fit(train, trees=trees, seed=seed) for trees in trial.pickers}
    values = {one: trial.task.judge(valid, answer(valid)) for one, answer in answerers.items()}
    minutes, busy = (time.monotonic() - started) / 60, (time.process_time() - busy) / 60
    best = max(values, key=lambda one: values[one])
    notes = {"chosen": best, "among": values, "CPU minutes": busy}
    done = Done(name, seed, 0.0, minutes, None, {}, notes)
    for title, examples in {"test": test, **{other: read(trial, asked, other) for other in trial.also}}.items():
        found = answerers[best](examples)
        scores = trial.task.score(examples, found, train=train, valid=valid)
        done.examinations[title] = Examination(tuple(scores), tuple(show(trial.task, examples, found)))
    return done


def learn(
    name: str,
    seed: int,
    trial: Trial,
    asked: argparse.Namespace,
    folder: Path,
    train: list[Example],
    valid: list[Example],
    test: list[Example],
) -> Done:
    """A Transformer, or several of different seeds."""
    config = replace(trial.config, seed=seed, dtype=asked.dtype)
    if asked.compiled and trial.shape.kind != "encoder":
        config = replace(config, compiled=True)
    if asked.minutes:
        config = replace(config, minutes=asked.minutes)
    started = time.monotonic()
    models: list[Tuned] = []
    tunings: list[Tuning] = []
    for member in range(trial.members):
        own = replace(config, seed=seed + 100 * member)
        models.append(fresh(trial.shape, trial.task, train, seed=own.seed))
        out = folder / f"{name}-{own.seed}-{config.minutes:g}"
        tunings.append(tune(models[-1], trial.task, train, valid, own, out, progress(name)))
    # of a tuning that was kept from before the clock knows nothing
    minutes = max(time.monotonic() - started, sum(tuning.seconds for tuning in tunings)) / 60
    print(f"{name}, seed {seed}: {minutes:.1f} min\n{tunings[0]}", flush=True)
    done = Done(name, seed, config.minutes, minutes, tunings[0], {})
    done.examinations["test"] = examine(models[0], trial.task, test, train=train, valid=valid, how=trial.how)
    if trial.ensemble:
        done.examinations |= vote(trial, models, train, valid, test, done)
    if trial.mixture:
        done.examinations[MIXED] = mix(trial, models[0], train, valid, test, done)
    if asked.pretrain and trial.shape.kind == "encoder":
        done.examinations["pre-trained"] = pretrained(trial, asked.pretrain, config, train, valid, test, folder, done)
    for other in trial.also:
        examples = read(trial, asked, other)
        done.examinations[other] = examine(models[0], trial.task, examples, train=train, valid=valid, how=trial.how)
    if trial.then is not None:
        tune_again(trial.then, models[0], asked, folder / f"{name}-{seed}-then", done)
    return done


def pretrained(
    trial: Trial,
    minutes: float,
    config: TuneConfig,
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    folder: Path,
    done: Done,
) -> Examination:
    """The first model, tuned the same way after it guessed masked tokens of the training texts."""
    out = folder / f"{done.name}-{done.seed}-pretrained"
    tuned = fresh(trial.shape, trial.task, train, seed=done.seed)
    first = replace(config, epochs=0, minutes=minutes, dropout=0.1, patience=0)
    masked = tune(tuned, trial.task, train, valid, first, out / "masked", progress(done.name), masked=True)
    tuning = tune(tuned, trial.task, train, valid, config, out / "tuned", progress(done.name))
    done.notes["pre-training"] = {"masked": masked.to_json(), "tuning": tuning.to_json()}
    print(f"masked tokens first\n{masked}\nthen\n{tuning}", flush=True)
    return examine(tuned, trial.task, test, train=train, valid=valid, how=trial.how)


def tune_again(phase: Phase, tuned: Tuned, asked: argparse.Namespace, out: Path, done: Done) -> None:
    """The second tuning and its exams."""
    train, valid = read(phase, asked, f"{phase.files}.train"), read(phase, asked, f"{phase.files}.valid")
    started = time.monotonic()
    result = tune(tuned, phase.task, train, valid, replace(phase.config, dtype=asked.dtype), out, progress(done.name))
    done.minutes += max(time.monotonic() - started, result.seconds) / 60
    done.notes["second tuning"] = result.to_json()
    print(f"second tuning\n{result}", flush=True)
    for part, how, most in phase.exams:
        examples = thin(read(phase, asked, part), asked.limit or most)
        own = part.startswith(phase.files)
        done.examinations[part] = examine(
            tuned, phase.task, examples, train=train if own else (), valid=valid if own else (), how=how
        )


def read(trial: Trial | Phase, asked: argparse.Namespace, part: str) -> list[Example]:
    """The examples of a file of the data folder."""
    ending = ".txt.gz" if (asked.data / f"{part}.txt.gz").exists() else ".jsonl.gz"
    return trial.task.examples(asked.data / f"{part}{ending}")


def vote(
    trial: Trial,
    models: Sequence[Tuned],
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    done: Done,
) -> dict[str, Examination]:
    """The mean of the models; and with it the best linear model, or all: whichever does better on the validation split.

    The weights are fitted on the validation split too.
    """
    started = time.monotonic()
    linear = {baseline.name: baseline.fit(train) for baseline in linear_baselines()}
    heard = {name: answer(valid) for name, answer in linear.items()}
    values = {name: trial.task.judge(valid, answers) for name, answers in heard.items()}
    best = max(values, key=lambda name: values[name])

    def together(examples: Sequence[Example]) -> list[Prediction]:
        found = [predict(tuned, trial.task, examples) for tuned in models]
        return combine(found, [1 / len(models)] * len(models))

    ours, choices = together(valid), {}
    for names in ((best,), tuple(linear)):
        members = [ours, *(heard[name] for name in names)]
        weights = fit_weights(members, valid)
        choices[names] = (trial.task.judge(valid, combine(members, weights)), weights)
    names = max(choices, key=lambda one: choices[one][0])
    done.notes["ensemble"] = {
        "validation": {("all linear" if len(one) > 1 else one[0]): value for one, (value, _) in choices.items()},
        "weights": dict(zip(["the models", *names], choices[names][1], strict=True)),
        "the models alone, validation": trial.task.judge(valid, ours),
    }
    done.minutes += (time.monotonic() - started) / 60
    mean = together(test)
    both = combine([mean, *(linear[name](test) for name in names)], choices[names][1])
    found = {f"mean of {len(models)}": mean} if len(models) > 1 else {}
    found[VOTED] = both
    return {
        title: Examination(tuple(trial.task.score(test, answers, train=train, valid=valid)), ())
        for title, answers in found.items()
    }


def mix(
    trial: Trial,
    tuned: Tuned,
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    done: Done,
) -> Examination:
    """How well the model predicts text together with n-gram models of the training text and of the text itself."""
    assert isinstance(trial.task, Generation)
    started = time.monotonic()
    mixture = fit_mixture(tuned, train, valid)
    done.minutes += (time.monotonic() - started) / 60
    done.notes["mixture"] = mixture.to_json()
    task = replace(trial.task, tokenizer=tuned.tokenizer if isinstance(tuned.tokenizer, Tokenizer) else None)
    return Examination(tuple(task.score(test, mixture.answer(test), train=train, valid=valid)), ())


def baselines_alone(asked: argparse.Namespace) -> int:
    """Choose the best simple method of each task on its validation split and score it on the test split."""
    print(f"{'task':<16} {'metric':<24} {'score':>8}  {'interval':<18} {'n':>5}  method", flush=True)
    rows = []
    for name in asked.tasks:
        trial = TRIALS[name]
        started = time.monotonic()
        parts = (f"{trial.files}.train", *trial.more_train)
        train = [example for part in parts for example in read(trial, asked, part)]
        valid = read(trial, asked, f"{trial.files}.valid")
        for part in (f"{trial.files}.test", *trial.also):
            test = thin(read(trial, asked, part), asked.limit or trial.limit)
            task = trial.task
            lower = task.key == "generation"
            best = choose(task.baselines(test), train, valid, task.judge, lower_is_better=lower)
            assert best is not None
            for metric in task.metrics(test, best.answer(test)):
                score = make_score(task.key, metric)
                what = f"{score.metric:<24} {score.value:>8.4g}  {score.interval!s:<18} {score.count:>5}  {best.name}"
                print(f"{part.removesuffix('.test'):<16} {what}", flush=True)
                rows.append({"file": part, "method": best.name, "among": best.values, **score.to_json()})
        print(f"{name}: {(time.monotonic() - started) / 60:.1f} min", file=sys.stderr, flush=True)
    print(record.write("task_baselines", {"rows": rows}))
    return 0


def progress(name: str) -> Callable[[str, float], None]:
    """A line on stderr every minute."""
    last = time.monotonic()

    def tell(doing: str, part: float) -> None:
        nonlocal last
        if time.monotonic() - last > 60:
            last = time.monotonic()
            print(f"{name}: {doing}, {part:.0%}", file=sys.stderr, flush=True)

    return tell


def judge(trial: Trial, done: Done) -> list[str]:
    """The bars that a row missed; of a trial with an ensemble or a mixture, that one's row counts."""
    found = next(done.examinations[name] for name in (*TOGETHER, "test") if name in done.examinations)
    out = missed_bars(trial.bars, found, done)
    if trial.then is not None:
        out += missed_bars(trial.then.bars, done.examinations[trial.then.exams[0][0]], done)
    first = found.scores[0]
    if trial.above is not None and first.baseline is not None:
        lead = first.value - first.baseline.value
        holds = first.baseline.margin.lower > 0 if trial.above == 0 and not trial.ensemble else lead >= trial.above
        if not holds:
            out.append(f"{done.name}, seed {done.seed}: {trial.above} above {first.baseline.name}: it is {lead:+.4g}")
    return out


def missed_bars(bars: Sequence[Bar], found: Examination, done: Done) -> list[str]:
    """The bars that an examination misses, of those that hold for the row's budget."""
    scores: dict[str, Score] = {score.metric: score for score in found.scores}
    out = []
    for bar in bars:
        value = scores[bar.metric].value
        holds = value <= bar.value if bar.lower else value >= bar.value
        if done.budget >= bar.minutes and not holds:
            word = "at most" if bar.lower else "at least"
            out.append(f"{done.name}, seed {done.seed}: {bar.metric} {word} {bar.value}: it is {value:.4g}")
    return out


def all_rows() -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Every score that is there, with its row and what was examined."""
    out = []
    for name in TRIALS:
        path = record.RESULTS / f"tasks_{name}.json"
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []:
            for what, found in row["examinations"].items():
                out += [(row, what, score) for score in found["scores"]]
    return out


def show_all() -> int:
    """Print the committed rows as one table."""
    print(f"{'task':<16} {'seed':>4} {'min':>5}  {'what':<24} {'metric':<24} {'score':>8} {'baseline':>9}  which")
    for row, what, score in all_rows():
        beside = score["baseline"] or {"value": float("nan"), "name": "-"}
        print(
            f"{row['task']:<16} {row['seed']:>4} {row['minutes']:>5.1f}  {what:<24} {score['metric']:<24} "
            f"{score['value']:>8.4g} {beside['value']:>9.4g}  {beside['name']}"
        )
    return 0


def document() -> int:
    """Write the first metric of everything, and the bars, into docs/tasks.md."""
    lines = [
        "| task | what | minutes | metric | score | 95 % interval | n | best simple method | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    seen = set()
    for row, what, score in all_rows():
        if (key := (row["task"], row["seed"], row["budget"], what)) in seen:
            continue
        seen.add(key)
        bars = [bar for bar in TRIALS[row["task"]].bars if bar.metric == score["metric"]]
        bars = [bar for bar in bars if row["budget"] >= bar.minutes] or bars[:1]
        bar = f"{bars[-1].value:g}" if bars and what in ("test", *TOGETHER) else ""
        low, high = score["interval"]["lower"], score["interval"]["upper"]
        beside = score["baseline"]
        simple = f"{beside['value']:.4g} ({beside['name']})" if beside else ""
        seed = f", seed {row['seed']}" if row["seed"] else ""
        lines.append(
            f"| {row['task']}{seed} | {what} | {row['minutes']:.1f} | {score['metric']} | {score['value']:.4g} "
            f"| {low:.4g} to {high:.4g} | {score['count']} | {simple} | {bar} |"
        )
    path = record.ROOT / "docs" / "tasks.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(path, f"{before}{BEGIN}\n{chr(10).join(lines)}\n{END}{after}")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
