"""Code: pass@k by the unbiased estimator of Chen et al. (2107.03374, eq. 1), and whether completions are programs."""

import ast
import warnings
from collections.abc import Sequence

import numpy as np

from chidu.stats import Array
from chidu.tasks.measure import mean_of
from chidu.tasks.score import Metric


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Probability that one of k of the samples, drawn without putting back, passes: 1 - C(n-c, k) / C(n, k).

    Raises:
        ValueError: fewer than k samples, or more passed than there are.
    """
    if not 0 <= passed <= samples or not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples, {passed} passed, is not defined")
    if samples - passed < k:
        return 1.0
    return float(1 - np.prod(1 - k / np.arange(samples - passed + 1, samples + 1)))


def passes(samples_N: Sequence[int], passed_N: Sequence[int], k: int) -> Metric:
    """pass@k over problems, 0 to 1."""
    values = [pass_at_k(samples, passed, k) for samples, passed in zip(samples_N, passed_N, strict=True)]
    return Metric(f"pass@{k}", mean_of(np.array(values)), f"samples:{min(samples_N)}|estimator:unbiased", best=1.0)


def parses(program: str) -> bool:
    """Whether a text is a Python program of the running version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def validity(prompts: Sequence[str], completions: Sequence[str], stopped: Sequence[bool]) -> list[Metric]:
    """Shares of completions, 0 to 1: valid (not empty, ended by itself, and a program with its prompt), and each part.

    Parsing alone means nothing: the empty completion of a prompt that ends at a line often parses. Nothing is cut off.
    """
    whole = _shares([parses(prompt + text) for prompt, text in zip(prompts, completions, strict=True)])
    empty = _shares([not text.strip() for text in completions])
    ended = _shares(stopped)
    bare = _shares([parses(prompt) for prompt in prompts])
    return [
        Metric("valid", mean_of(whole * ended * (1 - empty)), "nonempty:yes|stopped:yes|cut:none"),
        Metric("parses", mean_of(whole)),
        Metric("stops by itself", mean_of(ended)),
        Metric("empty", mean_of(empty)),
        Metric("parses when empty", mean_of(bare), "completion:empty"),
    ]


def _shares(values: Sequence[bool]) -> Array:
    return np.array(values, dtype=float)
