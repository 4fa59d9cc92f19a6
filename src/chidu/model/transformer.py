"""The Transformer of three kinds: embedding, positions, blocks of attention and feed-forward, head.

A decoder tells the next token, an encoder the token at each place, an encoder-decoder the next token of a target, given
a source. Shapes: B sequences, T tokens, S tokens of the source, D model width, V vocabulary. The plain forward in
float32 is the reference for every faster path (mixed precision, the fused attention kernel, the key-value cache).
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.attention import Sight
from chidu.model.blocks import ACTIVATIONS, Block
from chidu.model.linear import project
from chidu.model.masks import causal_mask, join_masks, segment_mask, segment_positions
from chidu.model.memory import KeyValues, Memory
from chidu.model.norms import make_norm
from chidu.model.positions import RelativeBias, Stretch, rotary_angles, sinusoids
from chidu.model.watch import Watch

SMALL_AT_START = ("embedding.weight", "position", "token_type.weight")
ZERO_AT_START = (
    "attention.out.weight",
    "cross.out.weight",
    "feed_forward.down.weight",
    "relative.weight",
    "encoder_relative.weight",
)


class HeadTransform(nn.Module):
    """What BERT does before its output head (1810.04805, its published code): a dense layer, the activation, a norm."""

    def __init__(self, config: ModelConfig) -> None:
        """Build from a config."""
        super().__init__()
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = make_norm(config)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each token alone, [..., D] -> [..., D]."""
        return self.norm(self.activation(self.dense(x_BTD)))


class Transformer(nn.Module):
    """Tokens in, logits out; `ModelConfig.kind` says of what.

    `segments` are integers [B, T]: 0 for padding, on either side, and 1, 2, ... for the texts of a packed row. A token
    sees its own text alone, and positions start again with each text. Without them a row is one text.
    """

    cos_TK: Tensor
    sin_TK: Tensor
    sinusoids_TD: Tensor
    compiled = False
    """Whether its blocks run as compiled code."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        """Build with weights drawn from `seed`, the same on every device and whatever else drew before."""
        super().__init__()
        self.config = config
        both = config.kind == "encoder_decoder"
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.position == "learned":
            self.position = nn.Parameter(torch.empty(config.context, config.d_model))
        if config.token_types:
            self.token_type = nn.Embedding(config.token_types, config.d_model)
        if config.embedding_norm:
            self.embedding_norm = make_norm(config)
        if both:
            self._add_encoder(config)
        self.blocks = nn.ModuleList(Block(config, layer, cross=both) for layer in range(config.n_layer))
        if not config.post_norm:
            self.norm = make_norm(config)
        if config.position == "relative":
            self.relative = self._relative(config, both_ways=config.kind == "encoder")
        if config.head_transform:
            self.head_transform = HeadTransform(config)
        if not config.tied:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.head_bias:
            self.head_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self._add_tables(config)
        self._initialise(seed)

    def _add_encoder(self, config: ModelConfig) -> None:
        self.encoder_blocks = nn.ModuleList(Block(config, layer) for layer in range(config.encoder_layers))
        if not config.post_norm:
            self.encoder_norm = make_norm(config)
        if config.position == "relative":
            self.encoder_relative = self._relative(config, both_ways=True)

    def _relative(self, config: ModelConfig, *, both_ways: bool) -> RelativeBias:
        return RelativeBias(config.n_head, config.relative_buckets, config.relative_distance, both_ways=both_ways)

    def _add_tables(self, config: ModelConfig) -> None:
        stretch = None
        if config.rope_factor != 1:
            stretch = Stretch(config.rope_factor, config.rope_low, config.rope_high, config.rope_context)
        cos, sin = rotary_angles(config.context, config.head_dim, config.rope_theta, stretch)
        self.register_buffer("cos_TK", cos, persistent=False)
        self.register_buffer("sin_TK", sin, persistent=False)
        if config.position == "sinusoidal":
            table = config.init_std * sinusoids(config.context, config.d_model)
            self.register_buffer("sinusoids_TD", table, persistent=False)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Embedding and positions at init_std, matrices at 1/sqrt(fan-in), what writes to the stream at zero.

        With zero residual outputs a block starts as the identity whatever the depth (2203.03466, appendix D.2). A
        `fixed` start is GPT-2's: init_std everywhere, less by sqrt(2 n_layer) for what writes to the stream.
        """
        generator = torch.Generator().manual_seed(seed)
        fixed, std = self.config.start == "fixed", self.config.init_std
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                if name.endswith("bias"):
                    weight.zero_()
            elif name in SMALL_AT_START:
                weight.normal_(0, std, generator=generator)
            elif name.endswith(ZERO_AT_START):
                weight.zero_()
                if fixed:
                    weight.normal_(0, std / math.sqrt(2 * self.config.n_layer), generator=generator)
            elif fixed:
                weight.normal_(0, std, generator=generator)
            else:
                weight.normal_(0, 1 / math.sqrt(weight.shape[1]), generator=generator)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    @property
    def all_blocks(self) -> list[nn.Module]:
        """The encoder's blocks where there is one beside the decoder, then `blocks`."""
        return [*(self.encoder_blocks if self.config.kind == "encoder_decoder" else ()), *self.blocks]

    def forward(
        self,
        tokens_BT: Tensor,
        fused: bool = False,
        *,
        segments: Tensor | None = None,
        types: Tensor | None = None,
        source: Tensor | None = None,
        source_segments: Tensor | None = None,
        watch: Watch | None = None,
    ) -> Tensor:
        """Logits, [B, T] -> [B, T, V], float32 unless under autocast.

        Args:
            tokens_BT: what is read; of an encoder-decoder the target so far.
            fused: take torch's attention kernel.
            segments: [B, T], see the class.
            types: token types, [B, T]; without them every token is of type 0.
            source: [B, S], of an encoder-decoder, with `source_segments`: a target's text sees the source's of the
                same number.
            watch: collects the attention weights, or silences heads.

        Raises:
            InputError: more tokens than the context, or a source that is missing or not wanted.
        """
        return self.logits(
            self.hidden(
                tokens_BT,
                fused,
                segments=segments,
                types=types,
                source=source,
                source_segments=source_segments,
                watch=watch,
            )
        )

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        """The output head, [..., D] -> [..., V]; on chosen places alone it costs less than on all."""
        bias = self.head_bias if self.config.head_bias else None
        return project(self.to_head(hidden_BTD), self.head_weight, bias)

    def to_head(self, hidden_BTD: Tensor) -> Tensor:
        """What the output head multiplies, [..., D] -> [..., D]."""
        if self.config.head_transform:
            hidden_BTD = self.head_transform(hidden_BTD)
        return hidden_BTD * self.config.logit_scale

    @property
    def head_weight(self) -> Tensor:
        """The output head, [V, D]; the embedding where the two are tied."""
        return self.embedding.weight if self.config.tied else self.head.weight

    def hidden(
        self,
        tokens_BT: Tensor,
        fused: bool = False,
        *,
        segments: Tensor | None = None,
        types: Tensor | None = None,
        source: Tensor | None = None,
        source_segments: Tensor | None = None,
        watch: Watch | None = None,
    ) -> Tensor:
        """The normed stream that the output head reads, [B, T, D]; arguments as of `forward`."""
        if self.config.kind == "encoder":
            self._refuse_source(source)
            return self.encode(tokens_BT, fused, segments=segments, types=types, watch=watch)
        read = self._read_source(source, source_segments, fused, watch)
        positions = None if segments is None else segment_positions(segments)
        length = tokens_BT.shape[1]
        self._check_length(length)
        x_BTD = self._embed(tokens_BT, slice(0, length), positions, types)
        plain = segments is None and self.config.position != "relative"
        mask = None if fused and plain else causal_mask(length, length, tokens_BT.device)
        bias = self.relative(length, length) if self.config.position == "relative" else None
        if segments is not None:
            mask = join_masks(mask, segment_mask(segments, segments))
        sight = Sight(join_masks(mask, bias), causal=fused and plain, fused=fused, watch=watch)
        across = self._source_sight(segments, source_segments, length, fused, watch)
        angles = self._angles(slice(0, length), positions)
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, sight, *angles, None, read[i] if read else None, across)
        return x_BTD if self.config.post_norm else self.norm(x_BTD)

    def encode(
        self,
        tokens_BT: Tensor,
        fused: bool = False,
        *,
        segments: Tensor | None = None,
        types: Tensor | None = None,
        watch: Watch | None = None,
    ) -> Tensor:
        """Read a whole text from both sides: the normed stream, [B, T, D], of an encoder or an encoder-decoder's.

        Raises:
            InputError: the model is a decoder, or there are more tokens than the context.
        """
        kind, length = self.config.kind, tokens_BT.shape[1]
        if kind == "decoder":
            raise InputError("a decoder has no encoder; it reads a text from one side")
        self._check_length(length)
        alone = kind == "encoder"
        positions = None if segments is None else segment_positions(segments)
        x_BTD = self._embed(tokens_BT, slice(0, length), positions, types)
        mask = None if segments is None else segment_mask(segments, segments)
        if self.config.position == "relative":
            mask = join_masks(mask, (self.relative if alone else self.encoder_relative)(length, length))
        sight = Sight(mask, fused=fused, watch=watch, part="own" if alone else "encoder")
        angles = self._angles(slice(0, length), positions)
        for block in self.blocks if alone else self.encoder_blocks:
            x_BTD = block(x_BTD, sight, *angles)
        if self.config.post_norm:
            return x_BTD
        return self.norm(x_BTD) if alone else self.encoder_norm(x_BTD)

    def step(
        self,
        tokens_BT: Tensor,
        memory: Memory | None = None,
        fused: bool = False,
        *,
        segments: Tensor | None = None,
        types: Tensor | None = None,
        source: Tensor | None = None,
        source_segments: Tensor | None = None,
        last: bool = False,
    ) -> tuple[Tensor, Memory]:
        """Continue after the tokens that `memory` holds: the logits of the new ones, [B, T, V], and the memory.

        With `last`, of the last of them alone, [B, 1, V].

        The memory is changed in place; take no gradient through it. Segments and source belong to the first call: later
        tokens continue the text that each row ended with, so padding stands on the left.

        Raises:
            InputError: remembered and new tokens exceed the context, or the model is an encoder.
        """
        if self.config.kind == "encoder":
            raise InputError("an encoder sees both sides of a token and continues no text")
        if memory is None:
            read = self._read_source(source, source_segments, fused, None)
            memory = Memory([KeyValues() for _ in self.blocks], read or [], source_segments=source_segments)
            if segments is not None:
                memory.segments = segments[:, :0]
        past, length = memory.length, tokens_BT.shape[1]
        self._check_length(past + length)
        here = slice(past, past + length)
        positions = self._remember_segments(memory, segments, length)
        x_BTD = self._embed(tokens_BT, here, positions, types)
        sight = self._step_sight(memory, past, length, fused)
        new = memory.segments[:, past:] if memory.segments is not None else None
        across = self._source_sight(new, memory.source_segments, length, fused, None)
        angles = self._angles(here, positions)
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, sight, *angles, memory.own[i], memory.cross[i] if memory.cross else None, across)
        if last:
            x_BTD = x_BTD[:, -1:]
        return self.logits(x_BTD if self.config.post_norm else self.norm(x_BTD)), memory

    def _remember_segments(self, memory: Memory, segments: Tensor | None, length: int) -> Tensor | None:
        """Add the new tokens' segments to the memory; their positions, [B, T], where rows are ragged."""
        if memory.segments is None:
            return None
        if memory.next_position is None:
            assert segments is not None
            new, positions = segments, segment_positions(segments)
        else:
            new = memory.segments[:, -1:].expand(-1, length)
            positions = memory.next_position[:, None] + torch.arange(length, device=new.device)
        memory.segments = torch.cat([memory.segments, new], dim=1)
        memory.next_position = positions[:, -1] + 1
        return positions

    def _step_sight(self, memory: Memory, past: int, length: int, fused: bool) -> Sight:
        """What the new tokens see: the past and themselves, of their own text."""
        whole, relative = past + length, self.config.position == "relative"
        plain = memory.segments is None and not relative
        mask = None
        if length > 1 and not (fused and plain and not past):
            mask = causal_mask(length, whole, self.device)
        if memory.segments is not None:
            mask = join_masks(mask, segment_mask(memory.segments[:, past:], memory.segments))
        mask = join_masks(mask, self.relative(length, whole) if relative else None)
        return Sight(mask, causal=mask is None and length > 1, fused=fused)

    def _read_source(
        self, source: Tensor | None, segments: Tensor | None, fused: bool, watch: Watch | None
    ) -> list[tuple[Tensor, Tensor]] | None:
        """Keys and values of the source for every layer of an encoder-decoder."""
        if self.config.kind != "encoder_decoder":
            self._refuse_source(source)
            return None
        if source is None:
            raise InputError("an encoder-decoder needs a source to read beside the target")
        states = self.encode(source, fused, segments=segments, watch=watch)
        return [cast(Block, block).cross.read(states) for block in self.blocks]

    def _refuse_source(self, source: Tensor | None) -> None:
        if source is not None:
            raise InputError(f"a model of kind {self.config.kind} reads one text; there is no source beside it")

    def _source_sight(
        self, target: Tensor | None, source: Tensor | None, length: int, fused: bool, watch: Watch | None
    ) -> Sight | None:
        """What a target sees of its source. A target without segments is text 1 throughout, a source likewise."""
        if self.config.kind != "encoder_decoder":
            return None
        mask = None
        if source is not None:
            given = torch.ones_like(source[:, :1]).expand(-1, length) if target is None else target
            mask = segment_mask(given, source)
        return Sight(mask, fused=fused, watch=watch, part="cross")

    def _check_length(self, length: int) -> None:
        if length > self.config.context:
            raise InputError(f"{length} tokens do not fit the model's context of {self.config.context}")

    def _embed(self, tokens_BT: Tensor, here: slice, positions: Tensor | None, types: Tensor | None) -> Tensor:
        """Vectors of tokens, positions and types, [B, T, D]."""
        x_BTD = self.embedding(tokens_BT)
        at = here if positions is None else positions
        if self.config.position == "learned":
            x_BTD = x_BTD + self.position[at]
        elif self.config.position == "sinusoidal":
            x_BTD = x_BTD + self.sinusoids_TD[at]
        if self.config.token_types:
            x_BTD = x_BTD + self.token_type(torch.zeros_like(tokens_BT) if types is None else types)
        if self.config.embedding_norm:
            x_BTD = self.embedding_norm(x_BTD)
        if self.training and self.config.dropout:
            x_BTD = F.dropout(x_BTD, self.config.dropout)
        return x_BTD

    def _angles(self, here: slice, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the positions, [T, K], or [B, 1, T, K] where rows are ragged."""
        if positions is None or self.config.position != "rotary":
            return self.cos_TK[here], self.sin_TK[here]
        return self.cos_TK[positions].unsqueeze(1), self.sin_TK[positions].unsqueeze(1)


def next_token_losses(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Cross-entropy of each next token in nats, [B, T], computed in float32."""
    losses = F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="none")
    return losses.view_as(targets_BT)
