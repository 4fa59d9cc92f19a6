"""What a model is and how it is trained: frozen, checked, JSON in and out.

The files here say everything that changes a run's numbers and nothing else: which machine does it, how many threads,
where the data lie, is the launcher's business, so that the hash of a config names the run wherever it is trained.
"""

import math
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from chidu.errors import InputError
from chidu.store import hash_json

Position = Literal["rotary", "sinusoidal", "learned"]
Activation = Literal["swiglu", "gelu"]
Dtype = Literal["float32", "bfloat16"]


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


def _check_types(config: Any) -> None:
    """Check that numbers are finite numbers and switches switches, whatever a file held."""
    for field in fields(config):
        value = getattr(config, field.name)
        if field.type is float:
            finite = isinstance(value, int | float) and math.isfinite(value)
            _check(finite, f"{field.name} must be a finite number, not {value!r}")
        elif field.type is int:
            _check(isinstance(value, int), f"{field.name} must be a whole number, not {value!r}")
        elif field.type is bool:
            _check(isinstance(value, bool), f"{field.name} must be true or false, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A decoder-only Transformer (Radford et al. 2019, with the parts of Llama, 2302.13971)."""

    vocab_size: int
    """Rows of the embedding: the tokenizer's vocabulary, end-of-text included."""
    d_model: int
    """Width of the residual stream."""
    n_layer: int
    """Blocks of attention and feed-forward."""
    n_head: int
    """Query heads; each is d_model / n_head wide."""
    n_kv_head: int
    """Key and value heads, shared by n_head / n_kv_head queries each (grouped-query attention, 2305.13245)."""
    d_ff: int
    """Width of the feed-forward's hidden layer."""
    context: int
    """Tokens that a position can look back on, itself included."""
    position: Position = "rotary"
    """Rotary (2104.09864), sinusoidal (1706.03762) or learned positions."""
    activation: Activation = "swiglu"
    """SwiGLU (2002.05202) with three matrices, or GELU (1606.08415) with two."""
    tied: bool = True
    """Whether the output head is the embedding's transpose (1608.05859)."""
    rope_theta: float = 10_000.0
    """Base of the rotary frequencies."""
    norm_eps: float = 1e-5
    """Added to the mean square in RMSNorm (1910.07467)."""
    init_std: float = 0.02
    """Standard deviation of the embedding at the start; matrices start at 1/sqrt(fan-in), residual outputs at 0."""
    residual_scale: float = 1.0
    """Every block's output is multiplied by this before it joins the residual stream (2505.01618: 1/depth)."""
    logit_scale: float = 1.0
    """The logits are multiplied by this (2203.03466: base width / width)."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InputError: a field is out of range, or two of them contradict each other.
        """
        _check_types(self)
        for name in ("vocab_size", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "context"):
            value = getattr(self, name)
            _check(value >= 1, f"model.{name} must be a whole number >= 1, not {value!r}")
        _check(
            self.d_model % self.n_head == 0,
            f"d_model {self.d_model} is not divisible by n_head {self.n_head}",
        )
        _check(
            self.n_head % self.n_kv_head == 0,
            f"n_head {self.n_head} is not divisible by n_kv_head {self.n_kv_head}",
        )
        _check(self.head_dim % 2 == 0, f"a head must be an even number of channels wide, not {self.head_dim}")
        _check(self.position in get_args(Position), f"model.position must be one of {get_args(Position)}")
        _check(self.activation in get_args(Activation), f"model.activation must be one of {get_args(Activation)}")
        for name in ("rope_theta", "norm_eps", "init_std", "residual_scale", "logit_scale"):
            _check(getattr(self, name) > 0, f"model.{name} must be positive, not {getattr(self, name)!r}")

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.d_model // self.n_head

    def to_json(self) -> dict[str, Any]:
        """Plain values, every field."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ModelConfig":
        """Read what `to_json` wrote; an unknown or a missing field is an InputError."""
        return cls(**_known(cls, value))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run: the model, its data, its budget and its optimiser (AdamW, 1711.05101)."""

    model: ModelConfig
    data: str
    """Hash of the data set (`Dataset.id`)."""
    tokens: int
    """Training tokens, repeats counted."""
    batch_tokens: int
    """Tokens an optimiser step; a multiple of context x accumulate."""
    learning_rate: float
    """Peak rate of embeddings and norms."""
    hidden_learning_rate: float
    """Peak rate of the matrices inside the blocks (2203.03466: falls as 1/width)."""
    weight_decay: float = 0.1
    """Decoupled decay of the matrices inside the blocks, multiplied by the current rate as in torch's AdamW."""
    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-10
    clip_norm: float = 1.0
    """Largest gradient norm that is let through unscaled."""
    warmup_fraction: float = 0.05
    """Part of the steps in which the rate rises linearly from zero."""
    decay_fraction: float = 0.3
    """Part of the steps, at the end, in which the rate falls linearly to zero (2405.18392)."""
    accumulate: int = 1
    """Micro-batches an optimiser step."""
    dtype: Dtype = "float32"
    """Arithmetic of the matrix products; weights, optimiser and the loss stay in float32."""
    seed: int = 0
    """Of the initial weights. The data order belongs to the data and is the same for every rung."""
    eval_every: int = 0
    """Steps between evaluations on the way; 0 means only at the end."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InputError: a field is out of range, or two of them contradict each other.
        """
        _check_types(self)
        for name in ("tokens", "batch_tokens", "accumulate"):
            value = getattr(self, name)
            _check(value >= 1, f"{name} must be a whole number >= 1, not {value!r}")
        for name in ("learning_rate", "hidden_learning_rate", "eps", "clip_norm"):
            _check(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("beta1", "beta2", "warmup_fraction", "decay_fraction"):
            _check(0 <= getattr(self, name) < 1, f"{name} must lie in [0, 1), not {getattr(self, name)!r}")
        _check(self.warmup_fraction + self.decay_fraction <= 1, "warm-up and decay overlap: their parts exceed 1")
        _check(self.weight_decay >= 0, f"weight_decay must not be negative, not {self.weight_decay!r}")
        _check(self.eval_every >= 0, f"eval_every must not be negative, not {self.eval_every!r}")
        _check(self.dtype in get_args(Dtype), f"dtype must be one of {get_args(Dtype)}, not {self.dtype!r}")
        micro = self.model.context * self.accumulate
        _check(
            self.batch_tokens % micro == 0,
            f"batch_tokens {self.batch_tokens} is not a multiple of context x accumulate = {micro}",
        )
        _check(
            self.tokens >= self.batch_tokens,
            f"tokens {self.tokens} is less than one batch of {self.batch_tokens}",
        )

    @property
    def steps(self) -> int:
        """Optimiser steps: whole batches in `tokens`."""
        return self.tokens // self.batch_tokens

    @property
    def id(self) -> str:
        """Name of the run: the hash of everything that changes its numbers."""
        return hash_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain values, every field, the model's nested."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrainConfig":
        """Read what `to_json` wrote; an unknown or a missing field is an InputError."""
        known = _known(cls, value)
        return cls(**{**known, "model": ModelConfig.from_json(known["model"])})


def _known(cls: type, value: dict[str, Any]) -> dict[str, Any]:
    """Check the names of a JSON object against the fields of a dataclass."""
    if not isinstance(value, dict):
        raise InputError(f"{cls.__name__} must be a JSON object, not {type(value).__name__}")
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    for name in value:
        if name not in names:
            raise InputError(f"{cls.__name__} has no field {name!r}; it has {', '.join(sorted(names))}")
    needed = {field.name for field in fields(cls) if field.default is MISSING}  # type: ignore[arg-type]
    missing = sorted(needed - set(value))
    if missing:
        raise InputError(f"{cls.__name__} lacks {', '.join(missing)}")
    return value
