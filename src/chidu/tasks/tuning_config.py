"""How a model is fine-tuned, and how it went: frozen records, JSON in and out. No torch here."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from chidu.errors import CorruptError, InputError

Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """One tuning with AdamW or Muon; at least one of `epochs` and `minutes` bounds it."""

    epochs: float = 4.0
    """Passes over the training examples; 0 leaves them unbounded."""
    minutes: float = 0.0
    """Wall time, evaluation and checkpoints included; 0 leaves it unbounded. The schedule follows the clock."""
    batch_tokens: int = 4096
    """Tokens of a batch, padding included."""
    length: int = 0
    """Tokens of a row; 0 means the model's context, at most 512. Longer examples are left out."""
    learning_rate: float = 1e-3
    """Peak; a pre-trained model wants about a tenth of what a fresh one wants."""
    embedding_factor: float = 1.0
    """Rate of embeddings and norms over that of the matrices. A fresh model wants about 10: its embeddings start small,
    and each row learns only where its token stands (2203.03466, table 8)."""
    matrix_rate: float = 0.0
    """Peak rate of Muon (`training/muon.py`) for the matrices of the blocks, about 0.02; 0 leaves them to AdamW. Of
    fresh models, for a few passes: a step costs a tenth more and is worth nearly two."""
    final_rate: float = 0.02
    """Last rate as a part of the peak."""
    warmup_fraction: float = 0.06
    weight_decay: float = 0.05
    beta2: float = 0.98
    clip_norm: float = 1.0
    dropout: float = 0.1
    smoothing: float = 0.0
    """Part of the target's probability that is spread over all answers (1512.00567), in training only."""
    lora: int = 0
    """Rank of the low-rank change (2106.09685); 0 tunes all weights."""
    evaluations: int = 12
    """On the validation split, evenly over the budget."""
    valid_batches: int = 32
    """Most batches of the validation split, evenly over it, that are judged each time; 0 means all."""
    patience: int = 4
    """Evaluations without a better one after which the tuning ends; 0 goes on to the end of the budget."""
    keep_last: bool = False
    """Keep the last weights rather than those of the least validation loss: a classifier that is trained to the end is
    too sure of itself, so that its loss rises, and is right more often all the same."""
    checkpoint_seconds: float = 60.0
    dtype: Dtype = "float32"
    """Arithmetic of the matrix products."""
    compiled: bool = False
    """Use torch.compile: half a minute at the start, then faster; only for answers that are written."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field; InputError where one is out of range."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type in (float, int) and not (isinstance(value, int | float) and math.isfinite(value)):
                raise InputError(f"{item.name} must be a finite number, not {value!r}")
        if self.epochs < 0 or self.minutes < 0 or self.epochs + self.minutes == 0:
            raise InputError("a tuning needs a number of epochs or of minutes above 0")
        for name in ("batch_tokens", "learning_rate", "embedding_factor", "clip_norm", "evaluations"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("dropout", "smoothing", "warmup_fraction", "final_rate", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must lie in [0, 1), not {getattr(self, name)!r}")
        for name in ("length", "lora", "patience", "valid_batches", "weight_decay", "matrix_rate", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, not {getattr(self, name)!r}")
        if self.lora and self.matrix_rate:
            raise InputError("matrix_rate is Muon's, for whole matrices; with lora leave it at 0")
        if self.dtype not in get_args(Dtype):
            raise InputError(f"dtype must be one of {get_args(Dtype)}, not {self.dtype!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values, every field."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a tuning went."""

    steps: int
    epochs: float
    """Passes over the training batches."""
    seconds: float
    """Wall time, that before a kill included."""
    best_step: int
    """Step whose weights were kept."""
    valid_loss: float
    """Of the kept weights, nats per answer token, per label or per end of a span."""
    train_loss: float
    """Of the same weights on as many training batches, also without dropout."""
    stopped: str
    """`budget` or `patience`."""
    trained_params: int
    params: int
    dropped: int
    """Training examples that could not be used."""
    history: tuple[dict[str, float], ...] = ()

    @property
    def gap(self) -> float:
        """The overfitting gap: validation loss minus training loss of the kept weights, nats."""
        return self.valid_loss - self.train_loss

    def __str__(self) -> str:
        """A few lines."""
        text = (
            f"{self.steps} steps, {self.epochs:.1f} epochs, {self.seconds / 60:.1f} min, ended by its {self.stopped}\n"
            f"best at step {self.best_step}: validation loss {self.valid_loss:.4f} nats, training loss "
            f"{self.train_loss:.4f}, overfitting gap {self.gap:+.4f}\n"
            f"{self.trained_params:,} of {self.params:,} parameters were trained"
        )
        return text + (f"\n{self.dropped} training examples did not fit and were left out" if self.dropped else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values, the gap among them."""
        return {**asdict(self), "history": list(self.history), "gap": self.gap}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Tuning":
        """Read what `to_json` wrote; CorruptError where it is something else."""
        try:
            known = {item.name: value[item.name] for item in fields(cls)}
            return cls(**{**known, "history": tuple(known["history"])})
        except (KeyError, TypeError):
            raise CorruptError("tuning.json is damaged; delete the folder and tune again") from None
