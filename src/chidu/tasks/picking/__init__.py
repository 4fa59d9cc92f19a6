"""Summaries picked from the text: its parts, what describes them, and the regression that ranks them."""

from chidu.tasks.picking.picker import fit_picker

__all__ = ["fit_picker"]
