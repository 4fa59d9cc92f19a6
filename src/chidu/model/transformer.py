"""The decoder-only Transformer: embedding, positions, blocks of attention and feed-forward, head.

Shapes: B sequences, T tokens, D model width, V vocabulary. The plain forward in float32 is the reference for every
faster path (mixed precision, the fused attention kernel of accelerators, the key-value cache).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.attention import Attention, Cache, causal_mask
from chidu.model.positions import rotary_angles, sinusoids


class RMSNorm(nn.Module):
    """Divide by the root mean square over channels, times a learned gain (1910.07467); always in float32."""

    def __init__(self, width: int, eps: float) -> None:
        """Start with a gain of one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise, [..., D] -> [..., D]."""
        return F.rms_norm(x_BTD, x_BTD.shape[-1:], self.weight, self.eps)


class FeedForward(nn.Module):
    """SwiGLU (2002.05202): down(silu(gate x) * up x); or GELU: down(gelu(up x))."""

    def __init__(self, config: ModelConfig) -> None:
        """Build from a config; gate and up are one matrix, in that order of rows."""
        super().__init__()
        self.gated = config.activation == "swiglu"
        self.up = nn.Linear(config.d_model, config.d_ff * (2 if self.gated else 1), bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each token alone, [B, T, D] -> [B, T, D]."""
        hidden = self.up(x_BTD)
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            return self.down(F.silu(gate) * value)
        return self.down(F.gelu(hidden))


class Block(nn.Module):
    """Pre-norm residual block: x + s attention(norm x), then x + s feed_forward(norm x)."""

    def __init__(self, config: ModelConfig) -> None:
        """Build from a config; s is its `residual_scale`."""
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.d_model, config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.scale = config.residual_scale

    def forward(
        self, x_BTD: Tensor, mask_TS: Tensor | None, cos_TK: Tensor, sin_TK: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Return the stream, [B, T, D], and the longer cache."""
        mixed, longer = self.attention(self.attention_norm(x_BTD), mask_TS, cos_TK, sin_TK, cache)
        x_BTD = x_BTD + self.scale * mixed
        return x_BTD + self.scale * self.feed_forward(self.feed_forward_norm(x_BTD)), longer


class Transformer(nn.Module):
    """Tokens in, logits of the next token out."""

    cos_TK: Tensor
    sin_TK: Tensor
    sinusoids_TD: Tensor

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        """Build with weights drawn from `seed`, the same on every device and whatever else drew before."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.position == "learned":
            self.position = nn.Parameter(torch.empty(config.context, config.d_model))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        if not config.tied:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        cos, sin = rotary_angles(config.context, config.head_dim, config.rope_theta)
        self.register_buffer("cos_TK", cos, persistent=False)
        self.register_buffer("sin_TK", sin, persistent=False)
        if config.position == "sinusoidal":
            table = config.init_std * sinusoids(config.context, config.d_model)
            self.register_buffer("sinusoids_TD", table, persistent=False)
        self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Embedding and positions at init_std, matrices at 1/sqrt(fan-in), what writes to the stream at zero.

        With zero residual outputs a block starts as the identity whatever the depth (2203.03466, appendix D.2).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                continue
            if name in ("embedding.weight", "position"):
                weight.normal_(0, self.config.init_std, generator=generator)
            elif name.endswith(("attention.out.weight", "feed_forward.down.weight")):
                weight.zero_()
            else:
                weight.normal_(0, 1 / math.sqrt(weight.shape[1]), generator=generator)

    def forward(self, tokens_BT: Tensor, fused: bool = False) -> Tensor:
        """Logits, [B, T] -> [B, T, V], float32 unless under autocast. `fused` takes torch's attention kernel."""
        logits, _ = self.step(tokens_BT, None, fused)
        return logits

    def step(
        self, tokens_BT: Tensor, caches: list[Cache] | None = None, fused: bool = False
    ) -> tuple[Tensor, list[Cache]]:
        """Continue after the cached tokens: logits of the new ones, [B, T, V], and one longer cache a layer.

        Raises:
            InputError: cached and new tokens exceed the context.
        """
        past = caches[0][0].shape[2] if caches else 0
        length = tokens_BT.shape[1]
        if past + length > self.config.context:
            raise InputError(f"{past + length} tokens do not fit the model's context of {self.config.context}")
        here = slice(past, past + length)
        x_BTD = self.embedding(tokens_BT)
        if self.config.position == "learned":
            x_BTD = x_BTD + self.position[here]
        elif self.config.position == "sinusoidal":
            x_BTD = x_BTD + self.sinusoids_TD[here]
        mask_TS = None if fused and not past else causal_mask(length, past + length, tokens_BT.device)
        longer = []
        for i, block in enumerate(self.blocks):
            cache = caches[i] if caches else None
            x_BTD, kept = block(x_BTD, mask_TS, self.cos_TK[here], self.sin_TK[here], cache)
            longer.append(kept)
        x_BTD = self.norm(x_BTD) * self.config.logit_scale
        head = self.embedding.weight if self.config.tied else self.head.weight
        return F.linear(x_BTD, head), longer


def next_token_losses(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Cross-entropy of each next token in nats, [B, T], computed in float32."""
    losses = F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="none")
    return losses.view_as(targets_BT)
