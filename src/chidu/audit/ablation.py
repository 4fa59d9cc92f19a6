"""The loss without each head: attention alone explains little, what its absence costs says more (1905.10650).

Shapes: N windows, T tokens.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chidu.model.pretrained import Pretrained
from chidu.model.transformer import Transformer, next_token_losses
from chidu.model.watch import Head, Watch
from chidu.stats import standard_error

ROUNDS = 8
"""Times that an encoder's text is masked anew."""


@dataclass(frozen=True)
class HeadLoss:
    """What happens without a head."""

    part: str
    layer: int
    head: int
    change: float
    """Loss without the head less loss with it, in nats per predicted token: positive where it helped."""
    change_se: float | None
    """Standard error over the texts; None for a single one."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(self.__dict__)

    def __str__(self) -> str:
        """Print one line."""
        error = "" if self.change_se is None else f" ± {self.change_se:.4f}"
        part = "" if self.part == "own" else f" ({self.part})"
        return f"layer {self.layer} head {self.head}{part}: {self.change:+.4f}{error}"


@dataclass(frozen=True)
class Ablation:
    """The loss of some text, and what each head does for it."""

    loss: float
    """Nats per predicted token, with all heads."""
    tokens: int
    """Predicted tokens."""
    texts: int
    """Texts or windows of a text."""
    heads: tuple[HeadLoss, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        heads = [head.to_json() for head in self.heads]
        return {"loss": self.loss, "tokens": self.tokens, "texts": self.texts, "heads": heads}


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked with and without each head: rows of tokens, their targets, and where they count."""

    tokens: torch.Tensor
    targets: torch.Tensor
    counted: torch.Tensor
    source: torch.Tensor | None = None


def ask(loaded: Pretrained, rows: NDArray[np.int64], source: NDArray[np.int64] | None = None) -> Question | None:
    """What a model can be asked about some rows of tokens, [N, T]; None where it is too short, or has no mask.

    A decoder and an encoder-decoder are asked for each next token, an encoder for masked ones: 15 % of them, drawn anew
    `ROUNDS` times.
    """
    device = loaded.model.device
    if loaded.model.config.kind == "encoder":
        return _ask_masked(loaded, rows, device)
    if rows.shape[1] < 2:
        return None
    tokens = torch.from_numpy(rows).to(device)
    given = None if source is None else torch.from_numpy(source).to(device)
    return Question(tokens[:, :-1], tokens[:, 1:], torch.ones_like(tokens[:, 1:], dtype=torch.bool), given)


def _ask_masked(loaded: Pretrained, rows: NDArray[np.int64], device: torch.device) -> Question | None:
    if loaded.mask is None:
        return None
    generator = np.random.default_rng(0)
    repeated = np.repeat(rows, ROUNDS, axis=0)
    count = max(1, round(0.15 * rows.shape[1]))
    chosen = np.zeros(repeated.shape, dtype=bool)
    for row in chosen:
        row[generator.choice(rows.shape[1], count, replace=False)] = True
    masked = np.where(chosen, loaded.mask, repeated)
    tokens, targets, counted = (torch.from_numpy(x).to(device) for x in (masked, repeated, chosen))
    return Question(tokens, targets, counted)


@torch.no_grad()
def ablate(model: Transformer, question: Question) -> Ablation:
    """Ask with all heads, then without each of them in turn."""
    whole = _losses(model, question, Watch())
    heads = []
    for part, layer, head in all_heads(model):
        changes = _losses(model, question, Watch(silenced=[(part, layer, head)])) - whole
        error = standard_error(changes) if len(changes) > 1 else None
        heads.append(HeadLoss(part, layer, head, float(changes.mean()), error))
    return Ablation(float(whole.mean()), int(question.counted.sum()), len(whole), tuple(heads))


def all_heads(model: Transformer) -> list[Head]:
    """Every head of a model: its part, layer and number, from 0."""
    config = model.config
    own: list[Head] = [("own", layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]
    if config.kind != "encoder_decoder":
        return own
    cross: list[Head] = [("cross", layer, head) for _, layer, head in own]
    encoder: list[Head] = [
        ("encoder", layer, head) for layer in range(config.encoder_layers) for head in range(config.n_head)
    ]
    return [*cross, *encoder, *own]


def _losses(model: Transformer, question: Question, watch: Watch) -> NDArray[np.float64]:
    """Mean loss of each row, [N], in nats per predicted token."""
    given = {} if question.source is None else {"source": question.source}
    losses = next_token_losses(model(question.tokens, watch=watch, **given), question.targets).double()
    counted = question.counted.double()
    return ((losses * counted).sum(dim=1) / counted.sum(dim=1)).cpu().numpy()
