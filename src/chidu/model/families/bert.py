"""BERT (1810.04805) and RoBERTa (1907.11692): post-norm encoders with learned positions and token types."""

from collections.abc import Mapping
from typing import Any

from chidu.config import Activation, ModelConfig
from chidu.model.families.mapping import Entry, Family, HeadShape, Part, demand, heads_of, linear, number, refuse, word

ACTS: Mapping[str, Activation] = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu"}


def first_position(value: Mapping[str, Any]) -> int:
    """RoBERTa counts positions from here: those below belong to its padding."""
    return int(value.get("pad_token_id", 1)) + 1


def read_config(value: Mapping[str, Any]) -> ModelConfig:
    """Our config from a `config.json`."""
    demand(value, is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")
    roberta = value["model_type"] == "roberta"
    heads = number(value, "num_attention_heads")
    return ModelConfig(
        kind="encoder",
        vocab_size=number(value, "vocab_size"),
        d_model=number(value, "hidden_size"),
        n_layer=number(value, "num_hidden_layers"),
        n_head=heads,
        n_kv_head=heads,
        d_ff=number(value, "intermediate_size"),
        context=number(value, "max_position_embeddings") - (first_position(value) if roberta else 0),
        position="learned",
        activation=word(value, "hidden_act", ACTS, "gelu"),
        tied=bool(value.get("tie_word_embeddings", True)),
        norm="layer",
        norm_eps=float(number(value, "layer_norm_eps", 1e-12)),
        post_norm=True,
        embedding_norm=True,
        bias="all",
        token_types=number(value, "type_vocab_size", 2),
        head_transform=True,
        head_bias=True,
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """A `config.json` of the same shape."""
    refuse(config, "BERT", kind="encoder", position="learned", norm="layer", post_norm=True, embedding_norm=True)
    refuse(config, "BERT", bias="all", qk_norm=False, head_width=0, n_kv_head=config.n_head, tied=True)
    refuse(config, "BERT", activation=tuple(ACTS.values()), head_transform=True, head_bias=True)
    acts = {ours: theirs for theirs, ours in ACTS.items()}
    return {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "intermediate_size": config.d_ff,
        "max_position_embeddings": config.context,
        "hidden_act": acts[config.activation],
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": config.token_types or 1,
        "tie_word_embeddings": True,
    }


def _entries(config: ModelConfig, prefix: str) -> list[Entry]:
    """Which tensor of the body is which."""
    table = f"{prefix}embeddings"
    found = [
        Entry("embedding.weight", (Part(f"{table}.word_embeddings.weight"),)),
        Entry("position", (Part(f"{table}.position_embeddings.weight"),)),
        Entry("token_type.weight", (Part(f"{table}.token_type_embeddings.weight"),)),
        *linear("embedding_norm", [f"{table}.LayerNorm"], bias=True),
    ]
    for i in range(config.n_layer):
        ours, theirs = f"blocks.{i}", f"{prefix}encoder.layer.{i}"
        own = f"{theirs}.attention.self"
        qkv = heads_of(config, f"{own}.query", f"{own}.key", f"{own}.value")
        found += [
            *linear(f"{ours}.attention.qkv", qkv, bias=True),
            *linear(f"{ours}.attention.out", [f"{theirs}.attention.output.dense"], bias=True),
            *linear(f"{ours}.attention_norm", [f"{theirs}.attention.output.LayerNorm"], bias=True),
            *linear(f"{ours}.feed_forward.up", [f"{theirs}.intermediate.dense"], bias=True),
            *linear(f"{ours}.feed_forward.down", [f"{theirs}.output.dense"], bias=True),
            *linear(f"{ours}.feed_forward_norm", [f"{theirs}.output.LayerNorm"], bias=True),
        ]
    return found


def bert_entries(config: ModelConfig) -> list[Entry]:
    """Which tensor is which in BERT."""
    found, cls = _entries(config, "bert."), "cls.predictions"
    if config.head_transform:
        found += linear("head_transform.dense", [f"{cls}.transform.dense"], bias=True)
        found += linear("head_transform.norm", [f"{cls}.transform.LayerNorm"], bias=True)
    return [*found, Entry("head_bias", (Part(f"{cls}.bias"),))] if config.head_bias else found


def roberta_entries(config: ModelConfig) -> list[Entry]:
    """Which tensor is which in RoBERTa."""
    found = _entries(config, "roberta.")
    if config.head_transform:
        found += linear("head_transform.dense", ["lm_head.dense"], bias=True)
        found += linear("head_transform.norm", ["lm_head.layer_norm"], bias=True)
    return [*found, Entry("head_bias", (Part("lm_head.bias"),))] if config.head_bias else found


def heads(config: ModelConfig, kind: str, pooling: str) -> HeadShape | None:
    """BERT's heads: the first token's vector through tanh; two scores a token."""
    if kind == "span":
        return HeadShape("BertForQuestionAnswering", tuple(linear("out", ["qa_outputs"], bias=True)))
    if pooling != "first":
        return None
    both = (*linear("dense", ["bert.pooler.dense"], bias=True), *linear("out", ["classifier"], bias=True))
    return HeadShape("BertForSequenceClassification", both)


TIED = ("position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "cls.seq_relationship.weight", "cls.seq_relationship.bias")

BERT = Family(("bert",), "bert.", read_config, write_config, bert_entries, ignored=(*TIED, *UNUSED), heads=heads)
ROBERTA = Family(
    ("roberta",),
    "roberta.",
    read_config,
    write_config,
    roberta_entries,
    ignored=("position_ids", "lm_head.decoder.weight", "lm_head.decoder.bias", *UNUSED),
    first_position=first_position,
)
