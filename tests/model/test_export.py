from pathlib import Path

import pytest
import torch

from chidu.data.tokenizer import Tokenizer
from chidu.errors import InputError
from chidu.model import export
from chidu.model.export import export_llama
from chidu.model.generation import generate
from chidu.store import read_json

TOKENIZER = Tokenizer(((b"t", b"h"), (b"th", b"e"), (b" ", b"the")))


def write(model, out: Path) -> None:
    TOKENIZER.save(out.parent / "tokenizer.json")
    export_llama(model, (out.parent / "tokenizer.json").read_text(encoding="utf-8"), TOKENIZER.eot, out)


@pytest.mark.parametrize("changes", [{}, {"tied": False, "n_kv_head": 1, "rope_theta": 500.0, "norm_eps": 1e-3}])
def test_transformers_gives_the_same_logits_and_text(make_model, tmp_path: Path, monkeypatch, changes):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    model = make_model(vocab_size=TOKENIZER.vocab_size, **changes)
    write(model, tmp_path / "hf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    tokens = torch.randint(model.config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = model(tokens)
        assert ours.std() > 0.1
        torch.testing.assert_close(theirs(tokens).logits, ours, atol=1e-4, rtol=0)
    prompt = "then the 模"
    ids = tokenizer(prompt, return_tensors="pt")
    assert ids["input_ids"][0].tolist() == TOKENIZER.encode(prompt).tolist()
    assert tokenizer.eos_token_id == TOKENIZER.eot
    room = model.config.context - len(ids["input_ids"][0])
    continued = theirs.generate(**ids, max_new_tokens=room, do_sample=False, pad_token_id=TOKENIZER.eot)[0].tolist()
    mine = list(generate(model, TOKENIZER.encode(prompt).tolist(), tokens=room, stop=TOKENIZER.eot))
    assert continued[-room:][: len(mine)] == mine
    assert tokenizer.decode(continued, skip_special_tokens=True) == TOKENIZER.decode([*TOKENIZER.encode(prompt), *mine])


@pytest.mark.parametrize("changes", [{"activation": "gelu"}, {"position": "learned"}, {"position": "sinusoidal"}])
def test_what_llama_has_not_is_refused(make_model, tmp_path: Path, changes):
    with pytest.raises(InputError, match="only rotary positions with swiglu export as Llama"):
        write(make_model(**changes), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_full_disk_leaves_the_older_export(make_model, tmp_path: Path, monkeypatch):
    model = make_model(vocab_size=TOKENIZER.vocab_size)
    write(model, tmp_path / "hf")
    before = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    assert read_json(tmp_path / "hf" / "config.json")["model_type"] == "llama"

    def fail(*args, **kwargs):
        raise export.SafetensorError("No space left on device")

    monkeypatch.setattr(export, "save_file", fail)
    with pytest.raises(InputError, match=r"hf cannot be written \(No space left"):
        write(model, tmp_path / "hf")
    assert {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "tokenizer.json"]
