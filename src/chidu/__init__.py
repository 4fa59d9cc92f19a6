"""chidu: a scaling-law laboratory for language models."""

__version__ = "0.1.0"
