"""Every metric beside its reference, on the test files: BLEU, chrF, ROUGE, F1, exact match, classes, log-likelihoods.

The answers need no training: what simple methods answer, and the right answers spoilt with a fixed seed (words or
characters dropped and swapped, some empty). Ours is what `chidu eval` computes. The reference is

- sacrebleu's `corpus_bleu` and `corpus_chrf`; of tatoeba also with the several references that a sentence has;
- rouge-score's `RougeScorer`, one reference at a time; Chinese characters are spelt as words that its own tokenizer
  keeps;
- the rules of SQuAD's script (1606.05250; of 2.0, 1806.03822, where both answers are empty) and for Chinese of MLQA's
  (1910.07475), written down anew; beside them those of CMRC 2018 (1810.07366), another definition, for comparison;
- scikit-learn's accuracy and macro-F1;
- lm-evaluation-harness: `loglikelihood` and `loglikelihood_rolling` of its own backend for transformers on an exported
  model with random weights, beside `chidu eval --harness` and the task `choice`.

Bars: no figure is further than 1e-6 from its reference; of log-likelihoods, which both sides compute in float32, no
more than 1e-6 of their size.

    python benchmarks/reference_metrics.py [--data FOLDER] [--limit 0] [--check]
"""

import argparse
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import record
import reference_rules as rules
from chidu.tasks.answering import Answering
from chidu.tasks.baselines.constant import COPY, MAJORITY
from chidu.tasks.baselines.nearest import NEAREST
from chidu.tasks.baselines.sentences import LEAD, OVERLAP
from chidu.tasks.classification import Classification
from chidu.tasks.examination import thin
from chidu.tasks.example import Example, Prediction, is_chinese
from chidu.tasks.summarisation import Summarisation
from chidu.tasks.task import Task
from chidu.tasks.translation import Translation
from harness_rules import harness_rows

DATA = record.ROOT.parent / "shared" / "data"
BAR = 1e-6
KEPT = 0.8
"""Part of the pieces of a right answer that a spoilt one keeps."""
EMPTY = 41
"""Of so many spoilt answers one is empty."""
TRAINED_ON = 3000
"""Training examples that nearest neighbours are looked for among."""
ASKED = 300
"""Questions that the harness is asked of each file."""
Figures = Callable[[Sequence[str], Sequence[Sequence[str]]], dict[str, float]]


@dataclass(frozen=True)
class Row:
    """One figure of ours beside the reference's."""

    file: str
    answers: str
    metric: str
    count: int
    ours: float
    reference: float
    by: str
    """Whose the reference is."""

    @property
    def difference(self) -> float:
        """How far they are apart."""
        return abs(self.ours - self.reference)


def main() -> int:
    """Compare, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--limit", type=int, default=0, help="most examples of a file; 0 for all")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(f"{'file':<22} {'answers':<36} {'metric':<12} {'n':>5} {'ours':>12} {'reference':>12} {'apart':>8}  by")
    rows = [row for made in (translated, summed_up, answered, classified) for row in made(asked.data, asked.limit)]
    likely = harness_rows(asked.data, asked.limit or ASKED)
    for each in likely:
        print(f"{each['file']:<22} {each['what']:<49} {each['count']:>5} {each['relative']:>42.1e}  of its size")
    missed = [f"{row.file}, {row.answers}: {row.metric} is {row.difference:.1e} apart" for row in rows if apart(row)]
    missed += [f"{each['file']}: {each['what']} are {each['relative']:.1e} apart" for each in likely if off(each)]
    figures = {
        "largest_difference": max(row.difference for row in rows),
        "largest_relative_loglikelihood": max(float(each["relative"]) for each in likely),
        "libraries": {name: version(name) for name in ("sacrebleu", "rouge-score", "scikit-learn", "lm_eval")},
        "rows": [{**asdict(row), "difference": row.difference} for row in rows],
        "loglikelihoods": likely,
    }
    print(f"largest difference {figures['largest_difference']:.1e}", flush=True)
    print(record.write("reference_metrics", figures))
    return record.judge(missed, asked.check)


def apart(row: Row) -> bool:
    """Whether a figure misses the bar; one that is no number does."""
    return not row.difference <= BAR


def off(each: dict[str, float | str]) -> bool:
    """Whether log-likelihoods miss the bar."""
    return not float(each["relative"]) <= BAR


def translated(data: Path, limit: int) -> list[Row]:
    """BLEU and chrF."""
    rows = []
    for name, source, target in (
        ("multi30k", "en", "de"),
        ("multi30k", "de", "en"),
        ("tatoeba_enzh", "en", "zh"),
        ("pydocs_enzh", "en", "zh"),
    ):
        task, file = Translation(source=source, target=target), f"{name} {source}-{target}"
        examples = thin(task.examples(data / f"{name}.test.jsonl.gz"), limit)
        train = task.examples(data / f"{name}.train.jsonl.gz")[:TRAINED_ON]
        given = {
            COPY.name: COPY.fit([])(examples),
            NEAREST[0].name: NEAREST[0].fit(train)(examples),
            "spoilt": spoilt(examples),
        }
        rows += compare(file, task, examples, given, rules.sacrebleu_figures, "sacrebleu")
        if name == "tatoeba_enzh":
            several = grouped(examples)
            rows += compare(
                f"{file}, several", task, several, {"spoilt": spoilt(several)}, rules.sacrebleu_figures, "sacrebleu"
            )
    return rows


def summed_up(data: Path, limit: int) -> list[Row]:
    """ROUGE."""
    rows = []
    for name in ("scitldr", "csl_title"):
        examples = thin(Summarisation().examples(data / f"{name}.test.jsonl.gz"), limit)
        given = {LEAD.name: LEAD.fit([])(examples), "spoilt": spoilt(examples)}
        rows += compare(name, Summarisation(), examples, given, rules.rouge_figures, "rouge-score")
    return rows


def answered(data: Path, limit: int) -> list[Row]:
    """F1 and exact match; of drcd the only file there is."""
    rows = []
    files = ("cmrc2018.test", "drcd.train", "xquad_zh.test", "fairytaleqa.test", "xquad_en.test", "gsm8k.test")
    for name in files:
        examples = thin(Answering().examples(data / f"{name}.jsonl.gz"), limit)
        chinese = is_chinese([example.source for example in examples])
        given = {"spoilt": spoilt(examples)}
        if examples[0].context:
            given |= {each.name: each.fit([])(examples) for each in OVERLAP}
        by = "MLQA's rules" if chinese else "SQuAD's rules"
        figures = rules.mlqa_figures if chinese else rules.squad_figures
        rows += compare(name, Answering(), examples, given, figures, by)
        for what, predictions in given.items() if chinese else ():
            cmrc = rules.cmrc_figures([one.text for one in predictions], [example.targets for example in examples])
            print(
                f"{'':<22} {what:<36} by CMRC 2018's rules: F1 {cmrc['F1']:.4f}, exact match {cmrc['exact match']:.4f}"
            )
    return rows


def classified(data: Path, limit: int) -> list[Row]:
    """Accuracy and macro-F1."""
    rows = []
    for name in ("csl_category", "agnews", "sst2"):
        examples = thin(Classification().examples(data / f"{name}.test.jsonl.gz"), limit)
        train = Classification().examples(data / f"{name}.train.jsonl.gz")[:TRAINED_ON]
        given = {each.name: each.fit(train)(examples) for each in (MAJORITY, NEAREST[0])}
        given = {what: [replace(one, probabilities={}) for one in found] for what, found in given.items()}
        rows += compare(name, Classification(), examples, given, rules.class_figures, "scikit-learn")
    return rows


def compare(
    file: str,
    task: Task,
    examples: Sequence[Example],
    given: dict[str, list[Prediction]],
    figures: Figures,
    by: str,
) -> list[Row]:
    """Ours and the reference's figures of some answers, printed as they come."""
    rows = []
    for what, predictions in given.items():
        right = figures([one.text for one in predictions], [example.targets for example in examples])
        ours = {metric.name: metric.measure.value() for metric in task.metrics(examples, predictions)}
        if set(ours) != set(right):
            raise ValueError(f"{file}: {sorted(ours)} against {sorted(right)}")
        rows += [Row(file, what, name, len(examples), ours[name], right[name], by) for name in ours]
    for row in rows:
        size = f"{row.count:>5} {row.ours:>12.6f} {row.reference:>12.6f} {row.difference:>8.1e}"
        print(f"{row.file:<22} {row.answers:<36} {row.metric:<12} {size}  {row.by}", flush=True)
    return rows


def spoilt(examples: Sequence[Example], seed: int = 0) -> list[Prediction]:
    """The last right answer of each example, pieces dropped and two of them swapped; now and then nothing."""
    rng, out = random.Random(seed), []
    chinese = is_chinese([example.targets[0] for example in examples])
    between = "" if chinese else " "
    for number, example in enumerate(examples):
        text = example.targets[-1]
        pieces = [piece for piece in (text if chinese else text.split()) if rng.random() < KEPT]
        if len(pieces) > 3:
            i = rng.randrange(len(pieces) - 1)
            pieces[i], pieces[i + 1] = pieces[i + 1], pieces[i]
        out.append(Prediction(text="" if number % EMPTY == EMPTY - 1 else between.join(pieces)))
    return out


def grouped(examples: Sequence[Example]) -> list[Example]:
    """One example a source, with all its translations."""
    found: dict[str, list[str]] = {}
    for example in examples:
        found.setdefault(example.source, []).extend(example.targets)
    return [Example(source=source, targets=tuple(targets)) for source, targets in found.items()]


if __name__ == "__main__":
    sys.exit(main())
