"""GPT-2 (Radford et al. 2019): LayerNorm, learned positions, biases everywhere; matrices with inputs as rows."""

from collections.abc import Mapping
from typing import Any

from chidu.config import Activation, ModelConfig
from chidu.model.families.mapping import Entry, Family, Part, demand, linear, number, refuse, word

ACTS: Mapping[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


def read_config(value: Mapping[str, Any]) -> ModelConfig:
    """Our config from a `config.json`."""
    demand(value, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    width, heads = number(value, "n_embd"), number(value, "n_head")
    return ModelConfig(
        vocab_size=number(value, "vocab_size"),
        d_model=width,
        n_layer=number(value, "n_layer"),
        n_head=heads,
        n_kv_head=heads,
        d_ff=value.get("n_inner") or 4 * width,
        context=number(value, "n_positions"),
        position="learned",
        activation=word(value, "activation_function", ACTS, "gelu_new"),
        tied=bool(value.get("tie_word_embeddings", True)),
        norm="layer",
        norm_eps=float(number(value, "layer_norm_epsilon", 1e-5)),
        bias="all",
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """A `config.json` of the same shape."""
    refuse(config, "GPT-2", kind="decoder", position="learned", norm="layer", post_norm=False, embedding_norm=False)
    refuse(config, "GPT-2", bias="all", qk_norm=False, head_width=0, token_types=0, n_kv_head=config.n_head)
    refuse(config, "GPT-2", activation=("gelu_tanh", "gelu", "relu"), head_transform=False, head_bias=False)
    acts = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.d_ff,
        "n_positions": config.context,
        "activation_function": acts[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def entries(config: ModelConfig) -> list[Entry]:
    """Which tensor is which."""
    found = [
        Entry("embedding.weight", (Part("transformer.wte.weight"),)),
        Entry("position", (Part("transformer.wpe.weight"),)),
        *linear("norm", ["transformer.ln_f"], bias=True),
    ]
    if not config.tied:
        found += [Entry("head.weight", (Part("lm_head.weight"),))]
    for i in range(config.n_layer):
        ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
        found += [
            *linear(f"{ours}.attention.qkv", [f"{theirs}.attn.c_attn"], bias=True, transposed=True),
            *linear(f"{ours}.attention.out", [f"{theirs}.attn.c_proj"], bias=True, transposed=True),
            *linear(f"{ours}.feed_forward.up", [f"{theirs}.mlp.c_fc"], bias=True, transposed=True),
            *linear(f"{ours}.feed_forward.down", [f"{theirs}.mlp.c_proj"], bias=True, transposed=True),
            *linear(f"{ours}.attention_norm", [f"{theirs}.ln_1"], bias=True),
            *linear(f"{ours}.feed_forward_norm", [f"{theirs}.ln_2"], bias=True),
        ]
    return found


FAMILY = Family(
    ("gpt2",),
    "transformer.",
    read_config,
    write_config,
    entries,
    ignored=("attn.bias", "attn.masked_bias", "lm_head.weight"),
)
