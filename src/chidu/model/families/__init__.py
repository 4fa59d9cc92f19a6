"""The architectures of `transformers` that are the same function as a Transformer of ours, one file a family."""

from collections.abc import Mapping

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.families import bert, gpt2, llama, t5
from chidu.model.families.mapping import Family

FAMILIES: Mapping[str, Family] = {
    name: family
    for family in (llama.FAMILY, gpt2.FAMILY, bert.BERT, bert.ROBERTA, t5.FAMILY)
    for name in family.model_types
}
"""By the `model_type` of a `config.json`."""


def family_of(config: ModelConfig) -> Family:
    """The family that a config is written as.

    Raises:
        InputError: none is the same function; the message says what stands in the way.
    """
    if config.kind == "encoder_decoder":
        family = t5.FAMILY
    elif config.kind == "encoder":
        family = bert.BERT if config.norm == "layer" else llama.FAMILY
    else:
        family = gpt2.FAMILY if config.norm == "layer" else llama.FAMILY
    try:
        family.write_config(config)
    except InputError as error:
        raise InputError(f"transformers has no architecture of this model: {error}") from None
    return family
