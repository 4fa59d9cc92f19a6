"""Parameters, FLOPs and memory of a model, each under a named convention.

Two conventions of `params` are in the literature and differ by up to half for small models: *total*, with embedding and
output head (Hoffmann et al. 2203.15556), and *non-embedding* (Kaplan et al. 2001.08361). chidu's own ladders have tied
embeddings and report the total, so that embedding and head are counted once and everything that computes is counted.
Training FLOPs are `6 * params * tokens` in the laws, as in nearly every published table; `train_flops` adds attention.
"""

from dataclasses import asdict, dataclass

from chidu.config import ModelConfig


@dataclass(frozen=True)
class ParamCount:
    """Weights by part. The parts sum to `total`."""

    embedding: int
    position: int
    attention: int
    feed_forward: int
    norm: int
    head: int
    """The output head's own weights: 0 when it is the embedding transposed."""

    @property
    def total(self) -> int:
        """Every weight (Hoffmann's convention)."""
        return sum(asdict(self).values())

    @property
    def non_embedding(self) -> int:
        """Without token embedding, positions and head (Kaplan's convention)."""
        return self.attention + self.feed_forward + self.norm

    def to_json(self) -> dict[str, int]:
        """The parts and both sums."""
        return {**asdict(self), "total": self.total, "non_embedding": self.non_embedding}


def count_params(model: ModelConfig) -> ParamCount:
    """Count a model's weights by formula; a test compares them with the built model's."""
    d, kv = model.d_model, model.n_kv_head * model.head_dim
    matrices = 3 if model.activation == "swiglu" else 2
    return ParamCount(
        embedding=model.vocab_size * d,
        position=model.context * d if model.position == "learned" else 0,
        attention=model.n_layer * (2 * d * d + 2 * d * kv),
        feed_forward=model.n_layer * matrices * d * model.d_ff,
        norm=(2 * model.n_layer + 1) * d,
        head=0 if model.tied else model.vocab_size * d,
    )


def law_flops(params: float, tokens: float) -> float:
    """Training FLOPs as the laws count them, C = 6 N D (2001.08361, section 2.1)."""
    return 6.0 * params * tokens


def forward_flops(model: ModelConfig, sequences: int) -> int:
    """FLOPs of the matrix products in one forward pass over full contexts, causal masking not exploited.

    2 per weight and token in the blocks and the head, and 4 * context * d_model per token and layer for the scores and
    the weighted values (2001.08361, table 1, with the full square as the plain implementation computes it).
    """
    params = count_params(model)
    weights = params.attention + params.feed_forward + model.vocab_size * model.d_model
    per_token = 2 * weights + 4 * model.n_layer * model.context * model.d_model
    return sequences * model.context * per_token


def train_flops(model: ModelConfig, tokens: int) -> int:
    """FLOPs of forward and backward (twice the forward) over `tokens`, attention included."""
    return 3 * forward_flops(model, 1) * tokens // model.context


def train_memory(model: ModelConfig, micro_batch_tokens: int) -> int:
    """Bytes that a float32 training step needs, roughly: an upper estimate to refuse what cannot fit.

    16 per weight (weight, gradient, two Adam moments); activations kept for the backward pass as in 2205.05198, eq. 1
    (34 * d_model and 5 * n_head * context halves a token and layer), and three copies of the logits.
    """
    weights = 16 * count_params(model).total
    activations = model.n_layer * (34 * model.d_model + 5 * model.n_head * model.context) * 2
    return weights + micro_batch_tokens * (activations + 12 * model.vocab_size)
