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
    """Of tokens and token types."""
    position: int
    """Learned positions, or the tables of relative ones."""
    attention: int
    feed_forward: int
    norm: int
    head: int
    """The output head's own weights: 0 when it is the embedding transposed and nothing more."""

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
    d, blocks = model.d_model, _blocks(model)
    cross = model.n_layer if model.kind == "encoder_decoder" else 0
    size = d * (2 if model.norm == "layer" else 1)
    sides = 2 if model.kind == "encoder_decoder" else 1
    norms = 2 * blocks + cross + (0 if model.post_norm else sides) + (1 if model.embedding_norm else 0)
    transform = d * d + d + size if model.head_transform else 0
    relative = sides * model.relative_buckets * model.n_head if model.position == "relative" else 0
    return ParamCount(
        embedding=(model.vocab_size + model.token_types) * d,
        position=model.context * d if model.position == "learned" else relative,
        attention=(blocks + cross) * _attention(model) + blocks * (2 * model.head_dim if model.qk_norm else 0),
        feed_forward=blocks * _feed_forward(model),
        norm=norms * size,
        head=(0 if model.tied else model.vocab_size * d) + (model.vocab_size if model.head_bias else 0) + transform,
    )


def _blocks(model: ModelConfig) -> int:
    """Blocks of both sides."""
    return model.n_layer + (model.encoder_layers if model.kind == "encoder_decoder" else 0)


def _attention(model: ModelConfig) -> int:
    """Weights of one attention: queries, keys, values and the way back, their biases included."""
    queries, keys = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    biases = (0 if model.bias == "none" else queries + 2 * keys) + (model.d_model if model.bias == "all" else 0)
    return 2 * model.d_model * queries + 2 * model.d_model * keys + biases


def _feed_forward(model: ModelConfig) -> int:
    """Weights of one feed-forward, its biases included."""
    wide = model.d_ff * (2 if model.gated else 1)
    return model.d_model * (wide + model.d_ff) + (wide + model.d_model if model.bias == "all" else 0)


def law_flops(params: float, tokens: float) -> float:
    """Training FLOPs as the laws count them, C = 6 N D (2001.08361, section 2.1)."""
    return 6.0 * params * tokens


def forward_flops(model: ModelConfig, sequences: int) -> int:
    """FLOPs of the matrix products in one forward pass over full contexts, masking not exploited.

    2 per weight and token in the blocks and the head, and 4 * context * width of all heads per token and layer for the
    scores and the weighted values (2001.08361, table 1, with the full square as the plain implementation computes it).
    An encoder-decoder reads a full context on either side, and its cross attention is a full square too.
    """
    cross = model.n_layer if model.kind == "encoder_decoder" else 0
    blocks, attentions = _blocks(model), _blocks(model) + cross
    queries, keys = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    wide = model.d_ff * (2 if model.gated else 1)
    weights = attentions * 2 * model.d_model * (queries + keys) + blocks * model.d_model * (wide + model.d_ff)
    head = model.d_model * (model.vocab_size + (model.d_model if model.head_transform else 0))
    return sequences * model.context * (2 * (weights + head) + 4 * attentions * model.context * queries)


def train_flops(model: ModelConfig, tokens: int) -> int:
    """FLOPs of forward and backward (twice the forward) over `tokens`, attention included."""
    return 3 * forward_flops(model, 1) * tokens // model.context


def train_memory(model: ModelConfig, micro_batch_tokens: int) -> int:
    """Bytes that a float32 training step needs, roughly: an upper estimate to refuse what cannot fit.

    16 per weight (weight, gradient, two Adam moments); activations kept for the backward pass as in 2205.05198, eq. 1
    (34 * d_model and 5 * n_head * context halves a token and layer), and three copies of the logits.
    """
    weights = 16 * count_params(model).total
    activations = _blocks(model) * (34 * model.d_model + 5 * model.n_head * model.context) * 2
    return weights + micro_batch_tokens * (activations + 12 * model.vocab_size)
