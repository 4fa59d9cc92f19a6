"""Answers that are a span of the passage: what is known of its units, their scores, the ranking of spans."""

from chidu.tasks.pointing.pointer import fit_pointer

__all__ = ["fit_pointer"]
