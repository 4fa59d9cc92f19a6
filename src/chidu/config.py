"""What a model is and how it is trained: frozen, checked, JSON in and out.

The files here say everything that changes a run's numbers and nothing else: which machine does it, how many threads,
where the data lie, is the launcher's business, so that the hash of a config names the run wherever it is trained.
"""

import math
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

from chidu.errors import InputError
from chidu.store import hash_json

Kind = Literal["decoder", "encoder", "encoder_decoder"]
Position = Literal["rotary", "sinusoidal", "learned", "relative"]
Activation = Literal["swiglu", "gelu", "geglu", "gelu_tanh", "relu"]
NormKind = Literal["rms", "layer"]
Bias = Literal["none", "qkv", "all"]
Dtype = Literal["float32", "bfloat16"]
Schedule = Literal["wsd", "cosine"]
Start = Literal["fan_in", "fixed"]

WORDS = {
    "position": get_args(Position),
    "activation": get_args(Activation),
    "kind": get_args(Kind),
    "norm": get_args(NormKind),
    "bias": get_args(Bias),
    "start": get_args(Start),
}
"""Words that the fields of ModelConfig of that name take."""


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
    """A Transformer of one of three kinds; the defaults are a decoder with the parts of Llama (2302.13971)."""

    vocab_size: int
    """Rows of the embedding: the tokenizer's vocabulary, end-of-text included."""
    d_model: int
    """Width of the residual stream."""
    n_layer: int
    """Blocks of attention and feed-forward; of an encoder-decoder those of the decoder."""
    n_head: int
    """Query heads; each is d_model / n_head wide unless `head_width` says otherwise."""
    n_kv_head: int
    """Key and value heads, shared by n_head / n_kv_head queries each (grouped-query attention, 2305.13245)."""
    d_ff: int
    """Width of the feed-forward's hidden layer."""
    context: int
    """Tokens that a position can look back on, itself included; of an encoder-decoder on either side."""
    position: Position = "rotary"
    """Rotary (2104.09864), sinusoidal (1706.03762), learned, or relative positions (buckets, 1910.10683)."""
    activation: Activation = "swiglu"
    """SwiGLU or GEGLU (2002.05202) with three matrices; GELU (1606.08415), its tanh form, or ReLU with two."""
    tied: bool = True
    """Whether the output head is the embedding's transpose (1608.05859)."""
    rope_theta: float = 10_000.0
    """Base of the rotary frequencies."""
    norm_eps: float = 1e-5
    """Added to the mean square in RMSNorm (1910.07467), to the variance in LayerNorm (1607.06450)."""
    init_std: float = 0.02
    """Standard deviation of the embedding at the start; of the matrices `start` says."""
    residual_scale: float = 1.0
    """Every block's output is multiplied by this before it joins the residual stream (2505.01618: 1/depth)."""
    logit_scale: float = 1.0
    """The logits are multiplied by this (2203.03466: base width / width)."""
    kind: Kind = "decoder"
    """A decoder (GPT: the next token), an encoder (BERT, 1810.04805: the token at a place, seen from both sides), or
    both (1706.03762: the next token of a target, given a source)."""
    n_encoder_layer: int = 0
    """Blocks of an encoder-decoder's encoder; 0 means as many as the decoder's."""
    norm: NormKind = "rms"
    """RMSNorm, or LayerNorm with its bias."""
    post_norm: bool = False
    """Norm after each sum (1706.03762) rather than before each sublayer; there is no last norm then."""
    embedding_norm: bool = False
    """A norm right after the embeddings, as in BERT."""
    bias: Bias = "none"
    """Biases nowhere, on queries, keys and values (Qwen2), or on every matrix of the blocks (GPT-2, BERT)."""
    qk_norm: bool = False
    """RMSNorm on each head's queries and keys (2302.05442, as in Qwen3)."""
    head_width: int = 0
    """Channels of a head; 0 means d_model / n_head."""
    rope_factor: float = 1.0
    """Slow rotary frequencies are divided by this, to reach further than was trained (Llama 3.1, 2407.21783)."""
    rope_low: float = 1.0
    """Frequencies of fewer turns than this in `rope_context` are slow ..."""
    rope_high: float = 4.0
    """... and those of more than this are left as they are; between the two they change smoothly."""
    rope_context: int = 0
    """Context of the first training, in tokens; 0 means that every frequency is slow (2306.15595)."""
    relative_buckets: int = 32
    """Rows of the table of relative positions."""
    relative_distance: int = 128
    """Distances from this on share a bucket."""
    token_types: int = 0
    """Kinds of tokens that are told apart by a vector added to the embedding (BERT's segments); 0 means none."""
    head_transform: bool = False
    """A dense layer, GELU and a norm before the output head (BERT's masked-token head)."""
    head_bias: bool = False
    """Whether each logit has a bias."""
    dropout: float = 0.0
    """Part of the embedding's and every sublayer's output that is set to zero in training (1207.0580)."""
    start: Start = "fan_in"
    """Matrices at 1/sqrt(fan-in) and residual outputs at 0 (2203.03466); or all at init_std, residual outputs at
    init_std / sqrt(2 n_layer) (GPT-2, section 2.3)."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InputError: a field is out of range, or two of them contradict each other.
        """
        _check_types(self)
        for name in ("vocab_size", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "context"):
            value = getattr(self, name)
            _check(value >= 1, f"model.{name} must be a whole number >= 1, not {value!r}")
        for name in ("n_encoder_layer", "head_width", "token_types", "rope_context"):
            _check(getattr(self, name) >= 0, f"model.{name} must not be negative, not {getattr(self, name)!r}")
        _check(
            self.head_width > 0 or self.d_model % self.n_head == 0,
            f"d_model {self.d_model} is not divisible by n_head {self.n_head}",
        )
        _check(
            self.n_head % self.n_kv_head == 0,
            f"n_head {self.n_head} is not divisible by n_kv_head {self.n_kv_head}",
        )
        _check(self.head_dim % 2 == 0, f"a head must be an even number of channels wide, not {self.head_dim}")
        for name, words in WORDS.items():
            _check(getattr(self, name) in words, f"model.{name} must be one of {words}")
        for name in ("rope_theta", "norm_eps", "init_std", "residual_scale", "logit_scale"):
            _check(getattr(self, name) > 0, f"model.{name} must be positive, not {getattr(self, name)!r}")
        self._check_later_fields()

    def _check_later_fields(self) -> None:
        _check(0 <= self.dropout < 1, f"model.dropout must lie in [0, 1), not {self.dropout!r}")
        _check(
            0 < self.rope_low < self.rope_high and self.rope_factor > 0,
            f"model.rope_low {self.rope_low} must lie between 0 and rope_high {self.rope_high}, rope_factor above 0",
        )
        least = 8  # an encoder halves the buckets by direction, and half of those are exact
        _check(
            self.relative_buckets >= least and self.relative_buckets % 4 == 0,
            f"model.relative_buckets must be a multiple of 4, at least {least}, not {self.relative_buckets!r}",
        )
        _check(
            self.relative_distance > self.relative_buckets // 2,
            f"model.relative_distance {self.relative_distance} must exceed half of the {self.relative_buckets} buckets",
        )
        _check(
            self.n_encoder_layer == 0 or self.kind == "encoder_decoder",
            f"model.n_encoder_layer is of an encoder_decoder; a model of kind {self.kind} has n_layer alone",
        )

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.head_width or self.d_model // self.n_head

    @property
    def encoder_layers(self) -> int:
        """Blocks that see a whole text: all of an encoder's, none of a decoder's."""
        if self.kind == "encoder_decoder":
            return self.n_encoder_layer or self.n_layer
        return self.n_layer if self.kind == "encoder" else 0

    @property
    def gated(self) -> bool:
        """Whether the feed-forward has a gate, and so three matrices."""
        return self.activation in ("swiglu", "geglu")

    def to_json(self) -> dict[str, Any]:
        """Plain values; of the fields that came later (`kind` and below) those that are not at their default.

        A config of before has the same JSON as ever, and its run the same name.
        """
        value = asdict(self)
        return {name: value[name] for name in _not_at_default(self, value, "kind")}

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
    schedule: Schedule = "wsd"
    """Warm-up, stable, decay (2405.18392); or warm-up and a cosine down to a tenth of the peak (2203.15556)."""
    warmup_tokens: int = 0
    """Tokens of warm-up, however long the run is; 0 means `warmup_fraction` of it. Runs that agree in this and differ
    in length alone are the same run up to the first one's decay: they share a trunk."""
    average: float = 0.0
    """Part of the steps, at the end, whose weights are averaged; the mean is what is evaluated and kept."""
    hidden_eps: float = 0.0
    """AdamW's epsilon of the matrices inside the blocks, whose gradients shrink with depth too (2505.01618, table 1); 0
    means `eps`."""

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
        for name in ("beta1", "beta2", "warmup_fraction", "decay_fraction", "average"):
            _check(0 <= getattr(self, name) < 1, f"{name} must lie in [0, 1), not {getattr(self, name)!r}")
        _check(self.warmup_fraction + self.decay_fraction <= 1, "warm-up and decay overlap: their parts exceed 1")
        _check(self.weight_decay >= 0, f"weight_decay must not be negative, not {self.weight_decay!r}")
        _check(self.hidden_eps >= 0, f"hidden_eps must not be negative, not {self.hidden_eps!r}")
        _check(self.eval_every >= 0, f"eval_every must not be negative, not {self.eval_every!r}")
        _check(self.dtype in get_args(Dtype), f"dtype must be one of {get_args(Dtype)}, not {self.dtype!r}")
        _check(self.schedule in get_args(Schedule), f"schedule must be one of {get_args(Schedule)}")
        _check(self.warmup_tokens >= 0, f"warmup_tokens must not be negative, not {self.warmup_tokens!r}")
        micro = self.model.context * self.accumulate
        _check(
            self.batch_tokens % micro == 0,
            f"batch_tokens {self.batch_tokens} is not a multiple of context x accumulate = {micro}",
        )
        _check(
            self.tokens >= self.batch_tokens,
            f"tokens {self.tokens} is less than one batch of {self.batch_tokens}",
        )
        _check(
            self.warmup_steps < self.steps or not self.warmup_tokens,
            f"a warm-up of {self.warmup_tokens} tokens does not fit a run of {self.tokens}",
        )

    @property
    def steps(self) -> int:
        """Optimiser steps: whole batches in `tokens`."""
        return self.tokens // self.batch_tokens

    @property
    def warmup_steps(self) -> int:
        """Optimiser steps in which the rate rises."""
        if self.warmup_tokens:
            return round(self.warmup_tokens / self.batch_tokens)
        return round(self.warmup_fraction * self.steps)

    @property
    def decay_steps(self) -> int:
        """Optimiser steps, at the end, in which the rate falls; all after the warm-up with a cosine."""
        if self.schedule == "cosine":
            return self.steps - self.warmup_steps
        return min(round(self.decay_fraction * self.steps), self.steps - self.warmup_steps)

    @property
    def average_steps(self) -> int:
        """Optimiser steps, at the end, after which the weights count towards the mean; none of the warm-up's."""
        return min(round(self.average * self.steps), self.steps - self.warmup_steps)

    @property
    def branch_step(self) -> int:
        """The first step, from 0, of the decay or of the mean, whichever is first: here the run leaves its trunk."""
        return self.steps - max(self.decay_steps, self.average_steps)

    @cached_property
    def trunk(self) -> str:
        """Name of the trunk: runs that share it are bit-identical before the first one's `branch_step`."""
        rest = {"tokens": 0, "decay_fraction": 0.0, "warmup_fraction": 0.0, "average": 0.0, "eval_every": 0}
        return hash_json({**self.to_json(), **rest, "warmup_steps": self.warmup_steps})

    @cached_property
    def id(self) -> str:
        """Name of the run: the hash of everything that changes its numbers."""
        return hash_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain values, the model's nested; of the fields that came later those that are not at their default."""
        value = {**asdict(self), "model": self.model.to_json()}
        return {name: value[name] for name in _not_at_default(self, value, "schedule")}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrainConfig":
        """Read what `to_json` wrote; an unknown or a missing field is an InputError."""
        known = _known(cls, value)
        return cls(**{**known, "model": ModelConfig.from_json(known["model"])})


def _not_at_default(config: Any, value: dict[str, Any], since: str) -> list[str]:
    """Names of the fields, without those from `since` on that are at their default: an older config keeps its hash."""
    names = [field.name for field in fields(config)]
    later = {field.name: field.default for field in fields(config)[names.index(since) :]}
    return [name for name in names if name not in later or value[name] != later[name]]


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
