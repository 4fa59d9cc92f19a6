"""Llama (2302.13971) and its like: Mistral, Qwen 2 and 3, and EuroBERT (2503.05500), which sees both sides."""

from collections.abc import Mapping
from typing import Any

from chidu.config import Activation, ModelConfig
from chidu.errors import InputError
from chidu.model.families.mapping import Entry, Family, HeadShape, Part, demand, heads_of, linear, number, refuse, word

GATES: Mapping[str, Activation] = {"silu": "swiglu", "gelu_pytorch_tanh": "geglu", "gelu_new": "geglu"}
DECODERS = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


def read_config(value: Mapping[str, Any]) -> ModelConfig:
    """Our config from a `config.json`."""
    kind = value["model_type"]
    demand(value, pretraining_tp=1)
    heads, width = number(value, "num_attention_heads"), number(value, "hidden_size")
    head_width = value.get("head_dim") or (128 if kind == "qwen3" else 0)
    context = number(value, "max_position_embeddings")
    window = value.get("sliding_window")
    if window and (kind == "mistral" or value.get("use_sliding_window")):
        context = min(context, window)  # up to there, a sliding window is the whole past
    return ModelConfig(
        kind="encoder" if kind == "eurobert" else "decoder",
        vocab_size=number(value, "vocab_size"),
        d_model=width,
        n_layer=number(value, "num_hidden_layers"),
        n_head=heads,
        n_kv_head=number(value, "num_key_value_heads", heads),
        d_ff=number(value, "intermediate_size"),
        context=context,
        activation=word(value, "hidden_act", GATES, "silu"),
        tied=bool(value.get("tie_word_embeddings", False)),
        norm_eps=float(number(value, "rms_norm_eps", 1e-6)),
        head_width=0 if head_width * heads == width else head_width,
        bias=_bias(value, kind),
        head_bias=kind == "eurobert" and bool(value.get("mlp_bias", False)),
        qk_norm=kind == "qwen3",
        **_rope(value),
    )


def _bias(value: Mapping[str, Any], kind: str) -> Any:
    """Which matrices have a bias.

    Raises:
        InputError: a mixture that our model has not.
    """
    if kind == "qwen2":
        return "qkv"
    attention, rest = bool(value.get("attention_bias", False)), bool(value.get("mlp_bias", False))
    if attention != rest:
        raise InputError("config.json asks for biases in one of attention and feed-forward; chidu has them in both")
    return "all" if attention else "none"


def _rope(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the rotary frequencies, from either of the two ways in which they are written."""
    rope = value.get("rope_parameters") or {}
    scaling = value.get("rope_scaling") or {}
    given = {**rope, **scaling}
    theta = float(given.get("rope_theta") or value.get("rope_theta") or 10_000.0)
    shape = given.get("rope_type", given.get("type", "default"))
    if shape == "default":
        return {"rope_theta": theta}
    if shape not in ("linear", "llama3"):
        raise InputError(
            f"config.json asks for rotary frequencies of type {shape!r}; chidu knows default, linear, llama3"
        )
    fields: dict[str, Any] = {"rope_theta": theta, "rope_factor": float(number(given, "factor"))}
    if shape == "llama3":
        fields["rope_low"] = float(number(given, "low_freq_factor"))
        fields["rope_high"] = float(number(given, "high_freq_factor"))
        fields["rope_context"] = int(number(given, "original_max_position_embeddings"))
    return fields


def model_type(config: ModelConfig) -> str:
    """Which of the family has this config's parts.

    Raises:
        InputError: none has.
    """
    refuse(config, "Llama", position="rotary", norm="rms", post_norm=False, embedding_norm=False, token_types=0)
    refuse(config, "Llama", activation=("swiglu", "geglu"), head_transform=False)
    if config.kind == "encoder":
        refuse(config, "EuroBERT", kind="encoder", qk_norm=False, bias=("none", "all"), head_bias=config.bias == "all")
        return "eurobert"
    refuse(config, "Llama", kind="decoder", head_bias=False)
    if config.qk_norm:
        refuse(config, "Qwen3", bias="none")
        return "qwen3"
    return "qwen2" if config.bias == "qkv" else "llama"


def write_config(config: ModelConfig) -> dict[str, Any]:
    """A `config.json` of the same shape."""
    kind = model_type(config)
    gates = {"swiglu": "silu", "geglu": "gelu_pytorch_tanh"}
    value = {
        "architectures": [DECODERS.get(kind, "EuroBertForMaskedLM")],
        "model_type": kind,
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": gates[config.activation],
        "tie_word_embeddings": config.tied,
        "attention_bias": config.bias == "all",
        "mlp_bias": config.bias == "all",
    }
    if config.rope_factor != 1:
        value["rope_scaling"] = _write_rope(config)
    return value


def _write_rope(config: ModelConfig) -> dict[str, Any]:
    scaling: dict[str, Any] = {"rope_type": "linear", "factor": config.rope_factor}
    if config.rope_context:
        scaling |= {
            "rope_type": "llama3",
            "low_freq_factor": config.rope_low,
            "high_freq_factor": config.rope_high,
            "original_max_position_embeddings": config.rope_context,
        }
    return scaling


def entries(config: ModelConfig) -> list[Entry]:
    """Which tensor is which."""
    found = [Entry("embedding.weight", (Part("model.embed_tokens.weight"),))]
    found += [Entry("norm.weight", (Part("model.norm.weight"),))]
    if not config.tied:
        found += [Entry("head.weight", (Part("lm_head.weight"),))]
    if config.head_bias:
        found += [Entry("head_bias", (Part("lm_head.bias"),))]
    for i in range(config.n_layer):
        found += _block(config, f"blocks.{i}", f"model.layers.{i}")
    return found


def _block(config: ModelConfig, ours: str, theirs: str) -> list[Entry]:
    attention, mlp = f"{theirs}.self_attn", f"{theirs}.mlp"
    everywhere = config.bias == "all"
    qkv = heads_of(config, f"{attention}.q_proj", f"{attention}.k_proj", f"{attention}.v_proj")
    up = [Part(f"{mlp}.gate_proj", config.d_ff), Part(f"{mlp}.up_proj", config.d_ff)]
    found = [
        *linear(f"{ours}.attention.qkv", qkv, bias=config.bias != "none"),
        *linear(f"{ours}.attention.out", [f"{attention}.o_proj"], bias=everywhere),
        *linear(f"{ours}.feed_forward.up", up, bias=everywhere),
        *linear(f"{ours}.feed_forward.down", [f"{mlp}.down_proj"], bias=everywhere),
        *linear(f"{ours}.attention_norm", [f"{theirs}.input_layernorm"], bias=False),
        *linear(f"{ours}.feed_forward_norm", [f"{theirs}.post_attention_layernorm"], bias=False),
    ]
    if config.qk_norm:
        found += linear(f"{ours}.attention.q_norm", [f"{attention}.q_norm"], bias=False)
        found += linear(f"{ours}.attention.k_norm", [f"{attention}.k_norm"], bias=False)
    return found


def heads(config: ModelConfig, kind: str, pooling: str) -> HeadShape | None:
    """EuroBERT's heads: a classifier like ours; a span reader as a classifier of tokens with two labels."""
    if config.kind != "encoder":
        return None
    if kind == "span":
        return HeadShape("EuroBertForTokenClassification", tuple(linear("out", ["classifier"], bias=True)))
    both = (*linear("dense", ["dense"], bias=True), *linear("out", ["classifier"], bias=True))
    pooled = {"classifier_pooling": {"first": "bos", "mean": "mean"}[pooling]}
    return HeadShape("EuroBertForSequenceClassification", both, pooled)


FAMILY = Family(
    (*DECODERS, "eurobert"),
    "model.",
    read_config,
    write_config,
    entries,
    ignored=("rotary_emb.inv_freq", "lm_head.weight"),
    heads=heads,
)
