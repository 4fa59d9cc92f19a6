"""Write a model in the format of Hugging Face's Llama, so that `transformers` loads it without our code.

The scales that chidu keeps apart are folded into weights: the residual scale into what writes to the stream, the logit
scale into the last norm's gain. The embedding is then tied as before.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.store import write_folder, write_json, write_text


def llama_config(config: ModelConfig, end_of_text: int) -> dict[str, object]:
    """The `config.json` of a Llama checkpoint of the same shape."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
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
        "hidden_act": "silu",
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "torch_dtype": "float32",
    }


def llama_weights(model: Transformer) -> dict[str, Tensor]:
    """The weights under Llama's names, scales folded in.

    Raises:
        InputError: the model has a part that Llama has not.
    """
    config = model.config
    if config.position != "rotary" or config.activation != "swiglu":
        raise InputError(
            f"only rotary positions with swiglu export as Llama, not {config.position} with {config.activation}"
        )
    state = {name: weight.detach().cpu() for name, weight in model.state_dict().items()}
    keys = config.n_kv_head * config.head_dim
    weights = {
        "model.embed_tokens.weight": state["embedding.weight"],
        "model.norm.weight": state["norm.weight"] * config.logit_scale,
    }
    if not config.tied:
        weights["lm_head.weight"] = state["head.weight"]
    for i in range(config.n_layer):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        q, k, v = state[f"{ours}.attention.qkv.weight"].split([config.d_model, keys, keys])
        gate, up = state[f"{ours}.feed_forward.up.weight"].chunk(2)
        weights |= {
            f"{theirs}.self_attn.q_proj.weight": q,
            f"{theirs}.self_attn.k_proj.weight": k,
            f"{theirs}.self_attn.v_proj.weight": v,
            f"{theirs}.self_attn.o_proj.weight": state[f"{ours}.attention.out.weight"] * config.residual_scale,
            f"{theirs}.mlp.gate_proj.weight": gate,
            f"{theirs}.mlp.up_proj.weight": up,
            f"{theirs}.mlp.down_proj.weight": state[f"{ours}.feed_forward.down.weight"] * config.residual_scale,
            f"{theirs}.input_layernorm.weight": state[f"{ours}.attention_norm.weight"],
            f"{theirs}.post_attention_layernorm.weight": state[f"{ours}.feed_forward_norm.weight"],
        }
    return {name: weight.contiguous().clone() for name, weight in weights.items()}


def export_llama(model: Transformer, tokenizer_json: str, end_of_text: int, out: Path) -> None:
    """Write `config.json`, `generation_config.json`, `model.safetensors` and the tokenizer into a folder, atomically.

    Args:
        model: a decoder with rotary positions and SwiGLU.
        tokenizer_json: the text of the data set's `tokenizer.json`, which is in Hugging Face's format already.
        end_of_text: id of the token that separates documents.
        out: the folder; replaced if it exists.

    Raises:
        InputError: the model has a part that Llama has not, or the disk is full.
    """
    weights = llama_weights(model)
    token = "<|endoftext|>"
    with write_folder(out) as beside:
        try:
            save_file(weights, beside / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:
            raise InputError(f"{out} cannot be written ({error}); free some space or choose another --out") from None
        write_json(beside / "config.json", llama_config(model.config, end_of_text))
        write_json(beside / "generation_config.json", {"bos_token_id": end_of_text, "eos_token_id": end_of_text})
        write_text(beside / "tokenizer.json", tokenizer_json)
        write_json(
            beside / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": token,
                "eos_token": token,
                "model_max_length": model.config.context,
                "clean_up_tokenization_spaces": False,
            },
        )
