import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_text import documents

from chidu.data.tokenizer import EOT, Tokenizer
from chidu.errors import CorruptError, InputError

TEXTS = documents(60)
BPE = Tokenizer.train(TEXTS, 500)
STRANGE = ["", EOT, f"a{EOT}b", "   \n\n\t x  12345 don't", " " * 3000 + "x", "训练，模型。" * 50, "🙂é\x00"]


@given(st.text(max_size=200))
def test_text_survives_and_sizes_add_up(text: str) -> None:
    for tokenizer in (BPE, Tokenizer()):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.token_bytes[ids].sum() == len(text.encode())
        assert tokenizer.eot not in ids


def test_the_ids_are_those_of_hugging_face(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for tokenizer in (BPE, Tokenizer()):
        tokenizer.save(tmp_path / "tokenizer.json")
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
        assert len(theirs) == tokenizer.vocab_size
        assert theirs.convert_tokens_to_ids(EOT) == tokenizer.eot
        for text in [*documents(20, seed=1), *(text for text in STRANGE if EOT not in text)]:
            assert theirs.encode(text) == tokenizer.encode(text).tolist()
            assert theirs.decode(theirs.encode(text), clean_up_tokenization_spaces=False) == text


def test_raw_text_never_makes_the_end_of_text() -> None:
    for tokenizer in (BPE, Tokenizer()):
        for text in STRANGE:
            assert tokenizer.decode(tokenizer.encode(text)) == text
            assert tokenizer.eot not in tokenizer.encode(text)


def test_the_vocabulary_is_what_was_asked_for_or_what_the_text_has() -> None:
    assert BPE.vocab_size == 500
    assert Tokenizer.train(["abc abc abc"], 1000).merges == ((b"a", b"b"), (b"ab", b"c"), (b" ", b"abc"))
    assert Tokenizer.train([], 0) == Tokenizer.train([], 257) == Tokenizer()
    assert len(BPE.token_bytes) == 500
    assert BPE.token_bytes[BPE.eot] == 0
    assert BPE.token_bytes.min(where=np.arange(500) != BPE.eot, initial=9) == 1
    for size in (-1, 1, 256, 1 << 30):
        with pytest.raises(InputError, match="vocabulary"):
            Tokenizer.train(TEXTS, size)


def test_training_is_the_same_in_another_process() -> None:
    code = (
        "from made_up_text import documents; from chidu.data.tokenizer import Tokenizer;"
        "print(Tokenizer.train(documents(60), 500).merges)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(BPE.merges)


def test_encoding_needs_fewer_tokens_than_bytes() -> None:
    text = TEXTS[0]
    assert len(BPE.encode(text)) < len(text.encode()) / 2


def test_surrogates_and_foreign_ids() -> None:
    assert BPE.decode(BPE.encode("a\ud800b")) == "a\ufffdb"
    assert BPE.decode([BPE.eot, 0xE8]) == f"{EOT}\ufffd"
    for token in (-1, 500):
        with pytest.raises(InputError, match="outside the vocabulary"):
            BPE.decode([token])


def test_the_file_reads_back_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    for tokenizer in (BPE, Tokenizer()):
        tokenizer.save(path)
        assert Tokenizer.load(path) == tokenizer
    for content in ("{}", "[]", path.read_text().replace("ByteLevel", "Other"), "{"):
        path.write_text(content)
        with pytest.raises(CorruptError, match=r"tokenizer\.json"):
            Tokenizer.load(path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"pip install 'chidu\[train\]'"):
        Tokenizer.train(TEXTS, 300)
