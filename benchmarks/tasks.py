"""The table of the tasks: each model is trained from nothing within its minutes and examined beside the best baseline.

Bars (on two cores; wall minutes of training, compiling included):
multi30k en->de BLEU 35 in 10 minutes and 38 in 30, de->en 36 and 39; tatoeba en->zh 30 in 20 minutes and 4 above its
baseline; pydocs en->zh above its baseline by more than the interval; agnews accuracy 0.885, csl_category 0.80, sst2
0.83 in 20 minutes and never below the best linear model; cmrc2018 F1 35, exact match 12, fairytaleqa F1 25 in 30
minutes; scitldr ROUGE-L 36, csl_title 36 in 20 minutes; python_code 1.25 bits per byte and 25 % valid completions in 20
minutes.

    python benchmarks/tasks.py [--tasks multi30k_en_de agnews] [--minutes 10] [--seeds 0] [--limit 0] [--check]

The data are named with --data. `--baselines` scores the best simple method of each task and trains nothing. Each task
writes `results/tasks_<name>.json`; `--show` prints all that are there.
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
from chidu.tasks import Answering, Classification, Coding, Generation, Summarisation, Task, Translation
from chidu.tasks.baselines.baseline import choose
from chidu.tasks.baselines.linear import linear_baselines
from chidu.tasks.ensemble import combine, fit_weights
from chidu.tasks.examination import Examination, examine, thin
from chidu.tasks.example import Example, Prediction
from chidu.tasks.fresh import Shape, fresh
from chidu.tasks.predicting import Decoding, predict
from chidu.tasks.score import Score, make_score
from chidu.tasks.tuned import Tuned
from chidu.tasks.tuning import tune
from chidu.tasks.tuning_config import TuneConfig, Tuning
from chidu.training.train import Machine, prepare_machine

DATA = record.ROOT.parent / "shared" / "data"
GREEDY = Decoding()


@dataclass(frozen=True)
class Bar:
    """A figure to reach."""

    metric: str
    value: float
    minutes: float = 0.0
    """Holds for budgets of so many minutes or more."""
    lower: bool = False


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A second tuning of the same model, and what it is then examined on."""

    task: Task
    files: str
    config: TuneConfig
    exams: tuple[tuple[str, Decoding, int], ...]
    """Test file, how it is answered, most examples."""
    bars: tuple[Bar, ...] = ()
    """Of the first exam."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One row of the table."""

    task: Task
    files: str
    """Name of the files before `.train.jsonl.gz`."""
    shape: Shape
    config: TuneConfig
    how: Decoding = GREEDY
    bars: tuple[Bar, ...] = ()
    more_train: tuple[str, ...] = ()
    """Further training files."""
    also: tuple[str, ...] = ()
    """Further test files of the same model."""
    ensemble: bool = False
    """Whether the linear models vote too."""
    above: float | None = None
    """How far above its baseline the first metric must be; 0 means that the margin's interval excludes 0."""
    limit: int = 0
    then: Phase | None = None


TRANSLATE = TuneConfig(
    epochs=0,
    minutes=10,
    batch_tokens=1536,
    learning_rate=1e-3,
    embedding_factor=8,
    dropout=0.2,
    smoothing=0.1,
    evaluations=20,
    patience=0,
)
LABEL = TuneConfig(
    epochs=4,
    minutes=15,
    batch_tokens=1024,
    learning_rate=1e-3,
    embedding_factor=20,
    dropout=0.3,
    evaluations=15,
    patience=5,
)
SPAN = replace(LABEL, epochs=0, minutes=25, dropout=0.2, patience=0)
BEAM = Decoding(beams=4, batch=128, tokens=90)
ENCODER = Shape(kind="encoder", width=192, layers=4, heads=4, vocab=8000, context=128)

TRIALS = {
    "multi30k_en_de": Trial(
        task=Translation(source="en", target="de"),
        files="multi30k",
        shape=Shape(vocab=5000),
        config=TRANSLATE,
        how=BEAM,
        bars=(Bar("BLEU", 35, 10), Bar("BLEU", 38, 30)),
    ),
    "multi30k_de_en": Trial(
        task=Translation(source="de", target="en"),
        files="multi30k",
        shape=Shape(vocab=5000),
        config=TRANSLATE,
        how=BEAM,
        bars=(Bar("BLEU", 36, 10), Bar("BLEU", 39, 30)),
    ),
    "tatoeba_en_zh": Trial(
        task=Translation(source="en", target="zh"),
        files="tatoeba_enzh",
        shape=Shape(vocab=6000),
        config=replace(TRANSLATE, minutes=20, dropout=0.25),
        how=BEAM,
        bars=(Bar("BLEU", 30),),
        above=4,
    ),
    "pydocs_en_zh": Trial(
        task=Translation(source="en", target="zh"),
        files="pydocs_enzh",
        shape=Shape(vocab=8000, context=192),
        config=replace(TRANSLATE, minutes=20, batch_tokens=1920),
        how=replace(BEAM, tokens=180, batch=64),
        above=0,
    ),
    "agnews": Trial(
        task=Classification(),
        files="agnews",
        shape=ENCODER,
        config=LABEL,
        bars=(Bar("accuracy", 0.885),),
        ensemble=True,
        above=0,
    ),
    "csl_category": Trial(
        task=Classification(),
        files="csl_category",
        shape=replace(ENCODER, vocab=4000, context=64),
        config=replace(LABEL, batch_tokens=512),
        bars=(Bar("accuracy", 0.80),),
        ensemble=True,
        above=0,
    ),
    "sst2": Trial(
        task=Classification(),
        files="sst2",
        shape=replace(ENCODER, context=96),
        config=replace(LABEL, epochs=3),
        bars=(Bar("accuracy", 0.83),),
        ensemble=True,
        above=0,
    ),
    "cmrc2018": Trial(
        task=Answering(),
        files="cmrc2018",
        more_train=("drcd.train",),
        shape=replace(ENCODER, width=128, vocab=6000, context=384),
        config=SPAN,
        bars=(Bar("F1", 35), Bar("exact match", 12)),
    ),
    "fairytaleqa": Trial(
        task=Answering(),
        files="fairytaleqa",
        also=("xquad_en.test",),
        shape=replace(ENCODER, width=128, vocab=6000, context=384),
        config=SPAN,
        bars=(Bar("F1", 25),),
    ),
    "scitldr": Trial(
        task=Summarisation(),
        files="scitldr",
        shape=Shape(vocab=4000, context=384),
        config=replace(TRANSLATE, minutes=15, dropout=0.3),
        how=replace(BEAM, tokens=60, batch=64),
        bars=(Bar("ROUGE-L", 36),),
    ),
    "csl_title": Trial(
        task=Summarisation(),
        files="csl_title",
        shape=Shape(vocab=4000, context=384),
        config=replace(TRANSLATE, minutes=15, dropout=0.3),
        how=replace(BEAM, tokens=40, batch=64),
        bars=(Bar("ROUGE-L", 36),),
    ),
    "python_code": Trial(
        task=Generation(),
        files="python_code",
        shape=Shape(kind="decoder", width=256, layers=4, vocab=4096, context=256),
        config=replace(TRANSLATE, minutes=13, dropout=0.0, smoothing=0.0, batch_tokens=2048),
        how=Decoding(tokens=80, temperature=1.0),
        bars=(Bar("bits per byte", 1.25, lower=True),),
        then=Phase(
            task=Coding(),
            files="python_code",
            config=replace(
                TRANSLATE,
                minutes=6,
                dropout=0.1,
                smoothing=0.0,
                learning_rate=4e-4,
                embedding_factor=1,
                evaluations=8,
            ),
            exams=(
                ("python_code.test", Decoding(tokens=128), 300),
                ("humaneval.test", Decoding(tokens=128, samples=10, temperature=0.8, top_p=0.95), 0),
                ("mbpp.test", Decoding(tokens=128, samples=10, temperature=0.8, top_p=0.95), 0),
            ),
            bars=(Bar("valid", 0.25),),
        ),
    ),
    "tinyshakespeare": Trial(
        task=Generation(),
        files="tinyshakespeare",
        shape=Shape(kind="decoder", width=192, layers=4, vocab=1024, context=256),
        config=replace(TRANSLATE, minutes=8, dropout=0.2, smoothing=0.0, batch_tokens=2048),
        how=Decoding(tokens=100, temperature=1.0),
    ),
    "poems_zh": Trial(
        task=Generation(opening=8, length=40),
        files="poems_zh",
        shape=Shape(kind="decoder", width=192, layers=4, vocab=6000, context=256),
        config=replace(TRANSLATE, minutes=8, dropout=0.1, smoothing=0.0, batch_tokens=2048),
        how=Decoding(tokens=60, temperature=1.0),
        limit=400,
    ),
}


@dataclass
class Done:
    """A trained and examined model."""

    name: str
    seed: int
    minutes: float
    tuning: Tuning
    examinations: dict[str, Examination]
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: one.to_json() for name, one in self.examinations.items()}
        row = {"task": self.name, "seed": self.seed, "minutes": self.minutes, "notes": self.notes}
        return {**row, "tuning": self.tuning.to_json(), "examinations": found}


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
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.show:
        return show_all()
    if asked.baselines:
        return baselines_alone(asked)
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chidu-tasks-") as folder:
        for name in asked.tasks:
            rows = [run(name, seed, asked, asked.keep or Path(folder)) for seed in asked.seeds]
            missed += [bar for row in rows for bar in judge(TRIALS[name], row)]
            print(record.write(f"tasks_{name}", {"rows": [row.to_json() for row in rows]}), flush=True)
    return record.judge(missed, asked.check)


def run(name: str, seed: int, asked: argparse.Namespace, folder: Path) -> Done:
    """One row: train, examine on the test file and on the further ones."""
    prepare_machine(Machine(threads=asked.threads))
    trial = TRIALS[name]
    config = replace(trial.config, seed=seed, dtype=asked.dtype)
    if asked.compiled and trial.shape.kind != "encoder":
        config = replace(config, compiled=True)
    if asked.minutes:
        config = replace(config, minutes=asked.minutes)
    started = time.monotonic()
    train = [example for part in (f"{trial.files}.train", *trial.more_train) for example in read(trial, asked, part)]
    valid, test = read(trial, asked, f"{trial.files}.valid"), read(trial, asked, f"{trial.files}.test")
    test = thin(test, asked.limit or trial.limit)
    tuned = fresh(trial.shape, trial.task, train, seed=seed)
    tuning = tune(tuned, trial.task, train, valid, config, folder / f"{name}-{seed}-{config.minutes:g}", progress(name))
    minutes = (time.monotonic() - started) / 60
    print(f"{name}, seed {seed}: {minutes:.1f} min\n{tuning}", flush=True)
    done = Done(name, seed, minutes, tuning, {})
    done.examinations["test"] = examine(tuned, trial.task, test, train=train, valid=valid, how=trial.how)
    if trial.ensemble:
        done.examinations["with the linear models"] = vote(trial, tuned, train, valid, test, done)
    if asked.pretrain and trial.shape.kind == "encoder":
        done.examinations["pre-trained"] = pretrained(trial, asked.pretrain, config, train, valid, test, folder, done)
    for other in trial.also:
        done.examinations[other] = examine(
            tuned, trial.task, read(trial, asked, other), train=train, valid=valid, how=trial.how
        )
    if trial.then is not None:
        tune_again(trial.then, tuned, asked, folder / f"{name}-{seed}-then", done)
    done.notes["minutes in all"] = (time.monotonic() - started) / 60
    for title, found in done.examinations.items():
        print(f"--- {title}\n{found}", flush=True)
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
    """The same model, tuned the same way after it guessed masked tokens of the training texts."""
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
    done.minutes += (time.monotonic() - started) / 60
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
    tuned: Tuned,
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    done: Done,
) -> Examination:
    """The model together with every linear model, the weights fitted on the validation split."""
    answerers = {baseline.name: baseline.fit(train) for baseline in linear_baselines()}
    names = ["the model", *answerers]

    def members(examples: Sequence[Example]) -> list[list[Prediction]]:
        return [predict(tuned, trial.task, examples), *(answer(examples) for answer in answerers.values())]

    weights = fit_weights(members(valid), valid)
    done.notes["weights"] = dict(zip(names, weights, strict=True))
    together = combine(members(test), weights)
    return Examination(tuple(trial.task.score(test, together, train=train, valid=valid)), ())


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
    """The bars that a row missed; of a trial with an ensemble, the ensemble's row counts."""
    found = done.examinations.get("with the linear models") or done.examinations["test"]
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
    budget = max(1, round(done.tuning.seconds / 60))
    out = []
    for bar in bars:
        value = scores[bar.metric].value
        holds = value <= bar.value if bar.lower else value >= bar.value
        if budget >= bar.minutes and not holds:
            word = "at most" if bar.lower else "at least"
            out.append(f"{done.name}, seed {done.seed}: {bar.metric} {word} {bar.value}: it is {value:.4g}")
    return out


def show_all() -> int:
    """Print the committed rows as one table."""
    print(f"{'task':<16} {'seed':>4} {'min':>5}  {'what':<24} {'metric':<24} {'score':>8} {'baseline':>9}  which")
    for path in sorted(record.RESULTS.glob("tasks_*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            for what, found in row["examinations"].items():
                for score in found["scores"]:
                    beside = score["baseline"] or {"value": float("nan"), "name": "-"}
                    print(
                        f"{row['task']:<16} {row['seed']:>4} {row['minutes']:>5.1f}  {what:<24} {score['metric']:<24} "
                        f"{score['value']:>8.4g} {beside['value']:>9.4g}  {beside['name']}"
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
