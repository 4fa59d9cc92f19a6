"""A block: attention and feed-forward, each joined to the residual stream.

Shapes: B sequences, T tokens, D model width.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.model.attention import Attention, CrossAttention, Sight
from chidu.model.linear import apply
from chidu.model.memory import KeyValues
from chidu.model.norms import make_norm


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh form (1606.08415, section 2), as in GPT-2 and T5 1.1."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "swiglu": F.silu,
    "geglu": gelu_tanh,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "relu": F.relu,
}
"""Of the gate where there is one, else of the hidden layer."""


class FeedForward(nn.Module):
    """SwiGLU (2002.05202): down(silu(gate x) * up x); or GELU: down(gelu(up x)); the others likewise."""

    def __init__(self, config: ModelConfig) -> None:
        """Build from a config; gate and up are one matrix, in that order of rows."""
        super().__init__()
        self.gated, self.activation = config.gated, ACTIVATIONS[config.activation]
        bias = config.bias == "all"
        self.up = nn.Linear(config.d_model, config.d_ff * (2 if self.gated else 1), bias=bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each token alone, [B, T, D] -> [B, T, D]."""
        hidden = apply(self.up, x_BTD)
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            return apply(self.down, self.activation(gate) * value)
        return apply(self.down, self.activation(hidden))


class Block(nn.Module):
    """x + s attention(norm x), then x + s feed_forward(norm x); post-norm puts each norm around its sum instead.

    With `cross`, attention on a source stands between the two (1706.03762, figure 1).
    """

    def __init__(self, config: ModelConfig, layer: int = 0, *, cross: bool = False) -> None:
        """Build from a config; s is its `residual_scale`."""
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config, layer)
        self.crossing = cross
        if cross:
            self.cross_norm = make_norm(config)
            self.cross = CrossAttention(config, layer)
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = FeedForward(config)
        self.scale, self.post_norm, self.dropout = config.residual_scale, config.post_norm, config.dropout

    def forward(
        self,
        x_BTD: Tensor,
        sight: Sight,
        cos_TK: Tensor,
        sin_TK: Tensor,
        cache: KeyValues | None = None,
        source: tuple[Tensor, Tensor] | None = None,
        source_sight: Sight | None = None,
    ) -> Tensor:
        """Return the stream, [B, T, D]; `source` are the keys and values that `cross` has read."""
        x_BTD = self._join(
            x_BTD, self.attention_norm, lambda normed: self.attention(normed, sight, cos_TK, sin_TK, cache)
        )
        if source is not None:
            keys, values = source
            x_BTD = self._join(
                x_BTD, self.cross_norm, lambda normed: self.cross(normed, keys, values, source_sight or sight)
            )
        return self._join(x_BTD, self.feed_forward_norm, self.feed_forward)

    def _join(self, x_BTD: Tensor, norm: nn.Module, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Add what a sublayer makes of the stream."""
        added = self.scale * self._drop(sublayer(x_BTD if self.post_norm else norm(x_BTD)))
        return norm(x_BTD + added) if self.post_norm else x_BTD + added

    def _drop(self, x_BTD: Tensor) -> Tensor:
        return F.dropout(x_BTD, self.dropout) if self.training and self.dropout else x_BTD
