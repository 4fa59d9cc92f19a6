"""Code: programs that pass tests, and function bodies that are gone on with."""

import ast
import secrets
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.constant import EMPTY
from chidu.tasks.baselines.nearest import NEAREST
from chidu.tasks.example import Example, Prediction, text_field
from chidu.tasks.metrics.programs import parses, passes, validity
from chidu.tasks.sandbox import Limits, Outcome, run_programs
from chidu.tasks.score import Metric
from chidu.tasks.task import Task

KS = (1, 10, 100)
"""k of pass@k, as far as there are samples."""
STOPS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(")
"""Where the answer to a function's head ends (2107.03374, section 3.1): what follows is no part of the function."""
PROBLEM_STOPS = ("\nclass ", '\n"""', "\nif ", "\nprint(", "\nassert ")
"""Where the answer to a problem in words ends; it may have several functions."""
SHORTEST, LONGEST = 5, 60
"""Lines of the functions of a file that are cut in two."""
WORKERS = 2
"""Programs that run side by side."""


@dataclass(frozen=True, kw_only=True)
class Coding(Task):
    """pass@k in the sandbox where there are tests; else the share of completions that are valid programs.

    A file of code becomes its functions, each cut at the middle character of its body: the first half is the prompt.
    """

    key: ClassVar[str] = "coding"
    fields: ClassVar[dict[str, str]] = {
        "prompt": "of HumanEval: what the solution goes on from, with `test`, `entry_point`, `canonical_solution`",
        "text": "of MBPP: the problem in words, with `test_list`, `test_setup_code`, `code`; alone: a file of code",
    }

    seconds: float = 10.0
    """Wall time that a program may take."""

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        if "prompt" in record:
            return [_humaneval(record)]
        if "test_list" in record:
            return [_mbpp(record)]
        return cut_functions(text_field(record, "text"))

    def prompt(self, example: Example) -> str:
        """See Task: the code itself, to be gone on with."""
        return example.source

    def stops(self, example: Example) -> tuple[str, ...]:
        """See Task; half a function has none: it must end by itself."""
        if example.check is None:
            return ()
        return PROBLEM_STOPS if example.source.startswith('"""') else STOPS

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task.

        Raises:
            Refusal: there are tests to run, and no sandbox works on this machine.
        """
        prompts = [example.source for example in examples]
        texts = [prediction.text for prediction in predictions]
        found = validity(prompts, texts, [prediction.stopped for prediction in predictions])
        if not any(example.check for example in examples):
            return found
        counts = [len(prediction.samples) or 1 for prediction in predictions]
        passed = count_passed(examples, predictions, Limits(wall_seconds=self.seconds))
        return [*(passes(counts, passed, k) for k in KS if k <= min(counts)), *found]

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task; the empty answer parses often and is never counted as valid."""
        return [EMPTY, *NEAREST]


def count_passed(examples: Sequence[Example], predictions: Sequence[Prediction], limits: Limits) -> list[int]:
    """How many of each example's samples pass its tests.

    Raises:
        Refusal: no sandbox works on this machine.
    """
    programs, owners, marks = [], [], []
    for i, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        for sample in prediction.samples or (prediction.text,):
            mark = secrets.token_hex(8)
            programs.append(f"{example.source}{sample}\n\n{example.check or ''}\nprint({mark!r})\n")
            owners.append(i)
            marks.append(mark)
    passed = [0] * len(examples)
    for i, mark, outcome in zip(owners, marks, run_programs(programs, limits, WORKERS), strict=True):
        passed[i] += reached(outcome, mark)
    return passed


def reached(outcome: Outcome, mark: str) -> bool:
    """Whether a program came to its end: one that leaves before its tests with exit code 0 prints no mark."""
    return outcome.status == "passed" and outcome.output.endswith(f"{mark}\n")


def cut_functions(code: str) -> list[Example]:
    """The functions of a file, without their indentation, each cut at the middle character of its body."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = code.splitlines(keepends=True)
    if "".join(lines) != code or "\f" in code or "\r" in code:
        return []
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            text = textwrap.dedent("".join(lines[node.lineno - 1 : node.end_lineno])).rstrip() + "\n"
            whole = SHORTEST <= text.count("\n") <= LONGEST and node.body[0].lineno > node.lineno and parses(text)
            if not whole:
                continue
            head = sum(len(line) for line in text.splitlines(keepends=True)[: node.body[0].lineno - node.lineno])
            middle = (head + len(text)) // 2
            out.append(Example(source=text[:middle], targets=(text[middle:],), name=node.name))
    return out


def _humaneval(record: dict[str, Any]) -> Example:
    prompt, test, entry = (text_field(record, name) for name in ("prompt", "test", "entry_point"))
    solution = (text_field(record, "canonical_solution"),) if "canonical_solution" in record else ()
    check = f"{test}\ncheck({entry})"
    return Example(source=prompt, targets=solution, check=check, name=str(record.get("task_id", "")))


def _mbpp(record: dict[str, Any]) -> Example:
    """The problem and its tests as a docstring, then the code."""
    tests = record["test_list"]
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise ValueError('the field "test_list" must hold a list of strings')
    words = "\n".join([text_field(record, "text"), *tests]).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    solution = (text_field(record, "code").replace("\r\n", "\n"),) if "code" in record else ()
    check = "\n".join([text_field(record, "test_setup_code") if "test_setup_code" in record else "", *tests])
    return Example(source=f'"""\n{words}\n"""\n', targets=solution, check=check, name=str(record.get("task_id", "")))
