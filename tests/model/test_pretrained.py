"""Folders written for `transformers`, and folders written by it: the same logits on both sides."""

from pathlib import Path
from typing import Any

import pytest
import torch

from chidu.config import ModelConfig
from chidu.data.specials import Specials
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError, InputError
from chidu.model import pretrained
from chidu.model.generation import generate
from chidu.model.heads import Classifier, SpanReader
from chidu.model.pretrained import load_pretrained, save_pretrained
from chidu.store import read_json, write_json

TOKENIZER = Tokenizer(((b"t", b"h"), (b"th", b"e"), (b" ", b"the")))
SPECIALS = Specials(TOKENIZER.vocab_size, TOKENIZER.eot, blanks=4)
BERT: dict[str, Any] = {
    "kind": "encoder",
    "position": "learned",
    "norm": "layer",
    "post_norm": True,
    "embedding_norm": True,
    "bias": "all",
    "activation": "gelu",
    "head_transform": True,
    "head_bias": True,
    "n_kv_head": 4,
}
GPT2: dict[str, Any] = {
    "position": "learned",
    "norm": "layer",
    "bias": "all",
    "activation": "gelu_tanh",
    "n_kv_head": 4,
}
T5: dict[str, Any] = {"kind": "encoder_decoder", "position": "relative", "n_kv_head": 4, "n_encoder_layer": 1}


@pytest.fixture
def hub(monkeypatch) -> Any:
    """`transformers`, which may not go online."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("transformers")


def draw(batch: int, length: int, vocab_size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def same(theirs: torch.Tensor, ours: torch.Tensor) -> None:
    assert ours.std() > 0.03
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("llama", {"tied": False, "n_kv_head": 1, "rope_theta": 500.0, "norm_eps": 1e-3, "head_width": 10}),
        ("llama", {"bias": "all", "activation": "geglu", "rope_factor": 4.0, "rope_context": 8}),
        ("qwen2", {"bias": "qkv", "rope_factor": 2.0}),
        ("qwen3", {"qk_norm": True, "head_width": 8}),
        ("gpt2", GPT2),
        ("gpt2", {**GPT2, "activation": "relu", "tied": False}),
        ("eurobert", {"kind": "encoder"}),
        ("eurobert", {"kind": "encoder", "bias": "all", "head_bias": True, "tied": False}),
        ("bert", BERT),
        ("bert", {**BERT, "token_types": 3, "activation": "gelu_tanh"}),
        ("t5", T5),
        ("t5", {**T5, "activation": "geglu", "head_width": 10, "relative_buckets": 8, "relative_distance": 6}),
        ("t5", {**T5, "activation": "relu"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@torch.no_grad()
def test_a_saved_model_is_the_same_in_transformers_and_back_here(
    make_model, tmp_path: Path, hub, architecture: str, changes: dict[str, Any]
):
    model = make_model(vocab_size=SPECIALS.vocab_size, **changes)
    kind = model.config.kind
    save_pretrained(model, TOKENIZER, tmp_path / "hf", specials=SPECIALS)
    assert read_json(tmp_path / "hf" / "config.json")["model_type"] == architecture
    door = {"decoder": "CausalLM", "encoder": "MaskedLM", "encoder_decoder": "Seq2SeqLM"}[kind]
    theirs = getattr(hub, f"AutoModelFor{door}").from_pretrained(tmp_path / "hf").eval()
    tokens, source = draw(2, 16, SPECIALS.vocab_size), draw(2, 9, SPECIALS.vocab_size, seed=1)
    asked = {"input_ids": source, "decoder_input_ids": tokens} if kind == "encoder_decoder" else {"input_ids": tokens}
    given = {"source": source} if kind == "encoder_decoder" else {}
    ours = model(tokens, **given)
    same(theirs(**asked).logits, ours)
    back = load_pretrained(tmp_path / "hf")
    same(back.model(tokens, **given), ours)
    assert (back.tokenizer, back.specials, back.model.config.kind) == (TOKENIZER, SPECIALS, kind)
    assert back.stops == (TOKENIZER.eot,)


@torch.no_grad()
def test_padding_and_types_mean_the_same(make_model, tmp_path: Path, hub):
    model = make_model(vocab_size=SPECIALS.vocab_size, **BERT, token_types=2)
    save_pretrained(model, TOKENIZER, tmp_path / "hf", specials=SPECIALS)
    theirs = hub.AutoModelForMaskedLM.from_pretrained(tmp_path / "hf").eval()
    tokens, types = draw(2, 9, 200), draw(2, 9, 2)
    segments = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    asked = theirs(input_ids=tokens, attention_mask=segments, token_type_ids=types).logits
    ours = model(tokens, segments=segments, types=types)
    same(asked[0], ours[0])
    same(asked[1, :5], ours[1, :5])


def test_text_in_text_out_is_the_same(make_model, tmp_path: Path, hub):
    model = make_model(vocab_size=TOKENIZER.vocab_size)
    save_pretrained(model, TOKENIZER, tmp_path / "hf")
    theirs = hub.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    tokenizer = hub.AutoTokenizer.from_pretrained(tmp_path / "hf")
    prompt = "then the 模"
    ids = tokenizer(prompt, return_tensors="pt")
    assert ids["input_ids"][0].tolist() == TOKENIZER.encode(prompt).tolist()
    assert tokenizer.eos_token_id == TOKENIZER.eot
    room = model.config.context - len(ids["input_ids"][0])
    continued = theirs.generate(**ids, max_new_tokens=room, do_sample=False, pad_token_id=TOKENIZER.eot)[0].tolist()
    mine = list(generate(model, TOKENIZER.encode(prompt).tolist(), tokens=room, stop=TOKENIZER.eot))
    assert continued[-room:][: len(mine)] == mine
    assert tokenizer.decode(continued, skip_special_tokens=True) == TOKENIZER.decode([*TOKENIZER.encode(prompt), *mine])


def test_special_tokens_have_their_names(make_model, tmp_path: Path, hub):
    save_pretrained(
        make_model(vocab_size=SPECIALS.vocab_size, kind="encoder"), TOKENIZER, tmp_path / "hf", specials=SPECIALS
    )
    tokenizer = hub.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id) == (261, 260, 262)
    assert tokenizer("the<|mask|>")["input_ids"] == [258, SPECIALS.mask]
    assert tokenizer.convert_ids_to_tokens(SPECIALS.blank(3)) == "<|blank_3|>"


@pytest.mark.parametrize("body", [{"kind": "encoder"}, BERT], ids=["eurobert", "bert"])
@torch.no_grad()
def test_heads_go_out_and_come_back(make_model, tmp_path: Path, hub, body: dict[str, Any]):
    model, tokens = make_model(vocab_size=SPECIALS.vocab_size, **body), draw(3, 9, 200)
    classifier = Classifier(model, 3, pooling="first" if body is BERT else "mean").eval()
    reader = SpanReader(model, seed=1).eval()
    for head in (classifier, reader):
        head.out.weight.normal_(generator=torch.Generator().manual_seed(2))
    save_pretrained(classifier, TOKENIZER, tmp_path / "classes", specials=SPECIALS, labels=["a", "b", "c"])
    theirs = hub.AutoModelForSequenceClassification.from_pretrained(tmp_path / "classes").eval()
    segments = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 9])
    same(theirs(tokens, attention_mask=segments).logits, classifier(tokens, segments=segments))
    back = load_pretrained(tmp_path / "classes")
    assert isinstance(back.head, Classifier)
    assert back.labels == ("a", "b", "c")
    same(back.head(tokens, segments=segments), classifier(tokens, segments=segments))
    save_pretrained(reader, TOKENIZER, tmp_path / "spans", specials=SPECIALS)
    door = hub.AutoModelForQuestionAnswering if body is BERT else hub.AutoModelForTokenClassification
    answer = door.from_pretrained(tmp_path / "spans").eval()(tokens)
    both = torch.stack([answer.start_logits, answer.end_logits], dim=-1) if body is BERT else answer.logits
    same(both, torch.stack(reader(tokens), dim=-1))
    again = load_pretrained(tmp_path / "spans").head
    assert isinstance(again, SpanReader)
    same(torch.stack(again(tokens), dim=-1), torch.stack(reader(tokens), dim=-1))


@pytest.mark.parametrize("body", [{"kind": "encoder"}, BERT], ids=["eurobert", "bert"])
@torch.no_grad()
def test_a_classifier_without_a_dense_layer_gets_one_that_changes_nothing(make_model, tmp_path: Path, hub, body):
    model, tokens = make_model(vocab_size=SPECIALS.vocab_size, **body), draw(3, 9, 200)
    classifier = Classifier(model, 5, pooling="first" if body is BERT else "mean", dense=False).eval()
    for i, weight in enumerate(classifier.out.parameters()):
        weight.normal_(generator=torch.Generator().manual_seed(i))
    save_pretrained(classifier, TOKENIZER, tmp_path / "hf", specials=SPECIALS)
    theirs = hub.AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    segments = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 9])
    right = classifier(tokens, segments=segments)
    same(theirs(tokens, attention_mask=segments).logits, right)
    back = load_pretrained(tmp_path / "hf").head
    assert isinstance(back, Classifier)
    same(back(tokens, segments=segments), right)


def test_too_many_classes_for_a_dense_layer_that_changes_nothing(make_model, tmp_path: Path):
    model = make_model(kind="encoder")
    with pytest.raises(InputError, match="cannot stand in for none with 13 classes, only with 12"):
        save_pretrained(Classifier(model, 13, dense=False), None, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
T5_SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "d_model": 24,
    "d_kv": 10,
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "initializer_factor": 1.0,
}
ROPE = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FOREIGN = [
    ("LlamaForCausalLM", {**SIZES, "num_key_value_heads": 2}),
    ("LlamaForCausalLM", {**SIZES, "rope_parameters": {**ROPE, "original_max_position_embeddings": 16}}),
    ("MistralForCausalLM", {**SIZES, "num_key_value_heads": 2, "sliding_window": 20}),
    ("Qwen2ForCausalLM", {**SIZES, "num_key_value_heads": 2, "tie_word_embeddings": True}),
    ("Qwen3ForCausalLM", {**SIZES, "num_key_value_heads": 2, "head_dim": 8}),
    ("GPT2LMHeadModel", {"vocab_size": 61, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 32}),
    ("BertForMaskedLM", SIZES),
    ("BertModel", SIZES),
    ("RobertaForMaskedLM", {**SIZES, "max_position_embeddings": 34}),
    ("EuroBertForMaskedLM", {**SIZES, "mask_token_id": 3}),
    ("T5ForConditionalGeneration", T5_SIZES),
    ("T5ForConditionalGeneration", {**T5_SIZES, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
]


@pytest.mark.parametrize(("name", "sizes"), FOREIGN, ids=[f"{i}-{name}" for i, (name, _) in enumerate(FOREIGN)])
@torch.no_grad()
def test_a_random_checkpoint_of_transformers_gives_the_same_logits_here(
    tmp_path: Path, hub, name: str, sizes: dict[str, Any]
):
    torch.manual_seed(0)
    architecture = getattr(hub, name)
    theirs = architecture(architecture.config_class(**sizes)).eval()
    for weight in theirs.parameters():  # biases and gains too, so that no part is silent
        weight.add_(0.1 * torch.randn(weight.shape))
    theirs.save_pretrained(tmp_path)
    ours = load_pretrained(tmp_path).model
    tokens, source = draw(2, 18, 58) + 3, draw(2, 9, 58) + 3
    if name.startswith("T5"):
        same(theirs(input_ids=source, decoder_input_ids=tokens).logits, ours(tokens, source=source))
    elif name == "BertModel":
        same(theirs(tokens).last_hidden_state, ours.hidden(tokens))
    else:
        same(theirs(tokens).logits, ours(tokens))


@torch.no_grad()
def test_a_checkpoint_in_several_files(tmp_path: Path, hub):
    theirs = hub.GPT2LMHeadModel(hub.GPT2Config(vocab_size=61, n_embd=24, n_layer=2, n_head=4)).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    tokens = draw(2, 18, 61)
    torch.testing.assert_close(
        load_pretrained(tmp_path, context=18).model(tokens), theirs(tokens).logits, atol=1e-4, rtol=0
    )
    next(tmp_path.glob("model-*.safetensors")).write_bytes(b"broken")
    with pytest.raises(CorruptError, match="cannot be read"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "gelu"}, "Llama has activation 'swiglu' or 'geglu', not this model's 'gelu'"),
        ({"position": "learned"}, "Llama has position 'rotary', not this model's 'learned'"),
        ({"position": "sinusoidal"}, "not this model's 'sinusoidal'"),
        ({"kind": "encoder_decoder", "n_kv_head": 4}, "T5 has position 'relative', not this model's 'rotary'"),
        ({**BERT, "position": "rotary"}, "BERT has position 'learned'"),
        ({**GPT2, "bias": "none"}, "GPT-2 has bias 'all'"),
    ],
)
def test_what_no_architecture_is_the_same_as_is_refused(make_model, tmp_path: Path, changes, message: str):
    with pytest.raises(InputError, match=message):
        save_pretrained(make_model(**changes), None, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_head_that_bert_has_not(make_model, tmp_path: Path):
    with pytest.raises(InputError, match="no classifier by the mean vector on bert"):
        save_pretrained(Classifier(make_model(**BERT), 2), None, tmp_path / "hf")


def test_folders_that_cannot_be_loaded(make_model, tmp_path: Path):
    folder = tmp_path / "hf"
    with pytest.raises(InputError, match=r"is no folder in the format of transformers"):
        load_pretrained(tmp_path)
    save_pretrained(make_model(vocab_size=TOKENIZER.vocab_size), TOKENIZER, folder)
    value = read_json(folder / "config.json")
    for changes, message in [
        ({"model_type": "mamba"}, "model_type 'mamba'; chidu loads llama"),
        ({"hidden_act": "relu"}, "sets hidden_act to 'relu'"),
        ({"rms_norm_eps": "small"}, "config.json has a value that cannot be"),
        ({"eos_token_id": "last"}, "config.json has a value that cannot be"),
        ({"id2label": {"first": "a"}}, "config.json has a value that cannot be"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"intermediate_size": 32}, "feed_forward.up.weight is .* in the checkpoint"),
        ({"num_hidden_layers": 1}, "tensors that have no place here, such as model.layers.1"),
        ({"num_hidden_layers": 3}, "has no tensor model.layers.2"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2}}, "rotary frequencies of type 'yarn'"),
        ({"attention_bias": True}, "asks for biases in one of attention and feed-forward"),
    ]:
        write_json(folder / "config.json", {**value, **changes})
        with pytest.raises(InputError, match=message):
            load_pretrained(folder)
    write_json(folder / "config.json", value)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="can execute what they hold"):
        load_pretrained(folder)


def test_a_model_by_its_name(make_model, tmp_path: Path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    model = make_model(vocab_size=TOKENIZER.vocab_size)
    save_pretrained(model, TOKENIZER, tmp_path / "fetched")
    asked = []

    def fetch(name: str, **options: Any) -> str:
        asked.append((name, options["allow_patterns"]))
        if name != "some/model":
            raise OSError("it is not there\nand more")
        return str(tmp_path / "fetched")

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert torch.equal(load_pretrained("some/model").model.embedding.weight, model.embedding.weight)
    assert asked == [("some/model", ["*.json", "*.safetensors"])]
    with pytest.raises(InputError, match=r"no folder other/model, and the hub does not give it \(it is not there\)"):
        load_pretrained("other/model")


def test_a_full_disk_leaves_the_older_export(make_model, tmp_path: Path, monkeypatch):
    model = make_model(vocab_size=TOKENIZER.vocab_size)
    save_pretrained(model, TOKENIZER, tmp_path / "hf")
    before = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}

    def fail(*args, **kwargs):
        raise pretrained.SafetensorError("No space left on device")

    monkeypatch.setattr(pretrained, "save_file", fail)
    with pytest.raises(InputError, match=r"hf cannot be written \(No space left"):
        save_pretrained(model, TOKENIZER, tmp_path / "hf")
    assert {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf"]


def test_the_config_says_what_is_new_only_where_it_is(make_config):
    assert "kind" not in make_config().to_json()
    assert ModelConfig.from_json(make_config(**BERT).to_json()) == make_config(**BERT)
