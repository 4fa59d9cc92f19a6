"""T5 (1910.10683), both versions: an encoder-decoder with relative positions, RMSNorm and no scale of the scores.

Our attention divides the scores by sqrt(K), so that its queries are T5's times sqrt(K).
"""

import math
from collections.abc import Mapping
from typing import Any

from chidu.config import Activation, ModelConfig
from chidu.model.families.mapping import Entry, Family, Part, demand, heads_of, linear, number, refuse, word

ACTS: Mapping[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gated-gelu": "geglu",
    "gated-gelu_new": "geglu",
    "gated-silu": "swiglu",
}


def read_config(value: Mapping[str, Any]) -> ModelConfig:
    """Our config from a `config.json`. Version 1.1 says that its head is its own, and then scales no logits."""
    demand(value, is_encoder_decoder=True)
    width, heads, layers = number(value, "d_model"), number(value, "num_heads"), number(value, "num_layers")
    channels = number(value, "d_kv")
    scaled = value.get("scale_decoder_outputs", value.get("tie_word_embeddings", True))
    return ModelConfig(
        kind="encoder_decoder",
        vocab_size=number(value, "vocab_size"),
        d_model=width,
        n_layer=value.get("num_decoder_layers") or layers,
        n_encoder_layer=layers,
        n_head=heads,
        n_kv_head=heads,
        d_ff=number(value, "d_ff"),
        context=number(value, "n_positions", 512),
        position="relative",
        activation=word(value, "feed_forward_proj", ACTS, "relu"),
        tied=bool(value.get("tie_word_embeddings", True)),
        norm_eps=float(number(value, "layer_norm_epsilon", 1e-6)),
        head_width=0 if channels * heads == width else channels,
        logit_scale=width**-0.5 if scaled else 1.0,
        relative_buckets=number(value, "relative_attention_num_buckets", 32),
        relative_distance=number(value, "relative_attention_max_distance", 128),
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """A `config.json` of the same shape."""
    refuse(config, "T5", kind="encoder_decoder", position="relative", norm="rms", post_norm=False, bias="none")
    refuse(config, "T5", embedding_norm=False, qk_norm=False, token_types=0, n_kv_head=config.n_head)
    refuse(config, "T5", head_transform=False, head_bias=False, tied=True)
    acts = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new", "geglu": "gated-gelu", "swiglu": "gated-silu"}
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.head_dim,
        "d_ff": config.d_ff,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.n_layer,
        "num_heads": config.n_head,
        "n_positions": config.context,
        "feed_forward_proj": acts[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_distance,
        "tie_word_embeddings": True,
    }


def entries(config: ModelConfig) -> list[Entry]:
    """Which tensor is which."""
    found = [Entry("embedding.weight", (Part("shared.weight"),))]
    if not config.tied:
        found += [Entry("head.weight", (Part("lm_head.weight"),))]
    for ours, theirs in (("encoder_", "encoder"), ("", "decoder")):
        table = f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found += [Entry(f"{ours}relative.weight", (Part(table),))]
        found += linear(f"{ours}norm", [f"{theirs}.final_layer_norm"], bias=False)
    for i in range(config.encoder_layers):
        found += _block(config, f"encoder_blocks.{i}", f"encoder.block.{i}.layer", cross=False)
    for i in range(config.n_layer):
        found += _block(config, f"blocks.{i}", f"decoder.block.{i}.layer", cross=True)
    return found


def _block(config: ModelConfig, ours: str, theirs: str, *, cross: bool) -> list[Entry]:
    scale = math.sqrt(config.head_dim)
    own, other, last = f"{theirs}.0.SelfAttention", f"{theirs}.1.EncDecAttention", 2 if cross else 1
    dense = f"{theirs}.{last}.DenseReluDense"
    up = [Part(f"{dense}.wi_0", config.d_ff), Part(f"{dense}.wi_1", config.d_ff)] if config.gated else [f"{dense}.wi"]
    found = [
        *linear(f"{ours}.attention.qkv", heads_of(config, f"{own}.q", f"{own}.k", f"{own}.v", scale), bias=False),
        *linear(f"{ours}.attention.out", [f"{own}.o"], bias=False),
        *linear(f"{ours}.attention_norm", [f"{theirs}.0.layer_norm"], bias=False),
        *linear(f"{ours}.feed_forward.up", up, bias=False),
        *linear(f"{ours}.feed_forward.down", [f"{dense}.wo"], bias=False),
        *linear(f"{ours}.feed_forward_norm", [f"{theirs}.{last}.layer_norm"], bias=False),
    ]
    if cross:
        q, k, v = heads_of(config, f"{other}.q", f"{other}.k", f"{other}.v", scale)
        found += [
            *linear(f"{ours}.cross.q", [q], bias=False),
            *linear(f"{ours}.cross.kv", [k, v], bias=False),
            *linear(f"{ours}.cross.out", [f"{other}.o"], bias=False),
            *linear(f"{ours}.cross_norm", [f"{theirs}.1.layer_norm"], bias=False),
        ]
    return found


FAMILY = Family(
    ("t5", "mt5"),
    "",
    read_config,
    write_config,
    entries,
    ignored=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"),
)
