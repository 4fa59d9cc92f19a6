"""Tokenizers of other people's folders: word pieces with special tokens around a text, and a byte-level one."""

from pathlib import Path

import pytest

from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.tokenizer import Tokenizer
from chidu.errors import CorruptError

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def pieces(tmp_path: Path) -> HubTokenizer:
    """BERT's way: words cut into pieces, [CLS] before and [SEP] behind."""
    vocab = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "learn": 5, "##ing": 6, "i": 7, "学": 8}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    made.save(str(tmp_path / "tokenizer.json"))
    found = HubTokenizer.load(tmp_path, eot=3)
    assert found is not None
    return found


def test_text_to_ids_and_back(pieces: HubTokenizer):
    assert pieces.encode("i learning") == [7, 5, 6]
    assert pieces.encode("i learning", special=True) == [2, 7, 5, 6, 3]
    assert pieces.decode([2, 7, 5, 6, 3]) == "i learning"
    assert (pieces.vocab_size, pieces.id_of("[MASK]"), pieces.id_of("[NONE]")) == (9, 4, None)


def test_the_characters_of_each_token(pieces: HubTokenizer):
    ids, spans = pieces.encode_spans("i learning 学", special=True)
    assert ids == [2, 7, 5, 6, 8, 3]
    assert spans == [(0, 0), (0, 1), (2, 7), (7, 10), (11, 12), (0, 0)]


def test_text_that_is_added_to_a_text():
    """A tokenizer that marks the beginning of words drops the mark at the beginning of a text."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE({"▁a": 0, "▁b": 1, "c": 2}, []))
    made.decoder = tokenizers.decoders.Metaspace()
    found = HubTokenizer(made.to_str(), eot=2)
    assert found.decode([1, 2]) == "bc"
    assert found.decode_after([0], [1, 2]) == " bc"
    assert found.decode_after([], [1, 2]) == "bc"


def test_our_own_tokenizer_read_as_anyones(tmp_path: Path):
    ours = Tokenizer(((b"t", b"h"), (b"th", b"e"), (b" ", b"the")))
    ours.save(tmp_path / "tokenizer.json")
    found = HubTokenizer.load(tmp_path, eot=256)
    assert found is not None
    text = "the other the 模型"
    assert found.encode(text) == ours.encode(text).tolist()
    assert found.decode(found.encode(text)) == text
    assert found.vocab_size == ours.vocab_size


def test_folders_without_one_or_with_a_damaged_one(tmp_path: Path):
    assert HubTokenizer.load(tmp_path, eot=0) is None
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    broken = HubTokenizer.load(tmp_path, eot=0)
    assert broken is not None
    with pytest.raises(CorruptError, match=r"tokenizer\.json is not a tokenizer"):
        broken.encode("a")
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CorruptError, match="is not UTF-8"):
        HubTokenizer.load(tmp_path, eot=0)
