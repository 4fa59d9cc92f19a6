import email
import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_text import documents, write_jsonl

from chidu.data.dataset import Dataset
from chidu.data.normalise import normalise
from chidu.data.prepare import prepare
from chidu.data.tokenizer import EOT
from chidu.errors import InputError


def split_texts(dataset: Dataset, split: str) -> list[str]:
    tokens = np.asarray(getattr(dataset, split)[:])
    return dataset.tokenizer.decode(tokens.tolist()).split(EOT)[1:]


def test_every_line_of_text_is_in_one_split(dataset: Dataset) -> None:
    wanted = sorted(line for text in documents(120) for line in text.split("\n"))
    found = {split: split_texts(dataset, split) for split in ("train", "passages", "unseen")}
    assert sorted(line for texts in found.values() for text in texts for line in text.split("\n")) == wanted
    assert set(found["unseen"]) <= set(documents(120))
    assert all(len(texts) > 0 for texts in found.values())
    sheet = dataset.datasheet
    assert {split: len(texts) for split, texts in found.items()} == {
        split: part["texts"] for split, part in sheet["splits"].items()
    }
    assert sheet["text"]["documents"] == 120
    assert sheet["sources"][0]["listed"][0]["text_field"] == "text"
    assert sheet["tokenizer"] == {
        "kind": "byte-level BPE",
        "vocab_size": 400,
        "bytes_per_token": round(dataset.bytes_per_token, 4),
    }


def test_the_order_and_the_packing_of_sources_change_nothing(dataset: Dataset, tmp_path: Path) -> None:
    texts = documents(120)
    write_jsonl(tmp_path / "b.jsonl", texts[:50])
    write_jsonl(tmp_path / "a.jsonl", [*texts[:40:-1], texts[3]])
    other = prepare([str(tmp_path)], tmp_path / "set", vocab_size=400)
    assert other.id == dataset.id
    assert other.datasheet["sources"][0]["dropped"] == {"duplicate": 10}


def test_held_out_text_stays_held_out_when_text_is_added(dataset: Dataset, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "more.jsonl", [*documents(120), *documents(10, seed=9)])
    more = prepare([str(path)], tmp_path / "set", vocab_size=0)
    for split in ("passages", "unseen"):
        assert set(split_texts(dataset, split)) <= set(split_texts(more, split))


def test_a_rerun_does_nothing(corpus_file: Path, tmp_path: Path) -> None:
    first = prepare([str(corpus_file)], tmp_path / "set", vocab_size=300)
    times = {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    stages: list[str] = []
    again = prepare(
        [str(corpus_file)], tmp_path / "set", vocab_size=300, progress=lambda stage, part: stages.append(stage)
    )
    assert again.id == first.id
    assert {path.name: path.stat().st_mtime_ns for path in again.folder.iterdir()} == times
    assert stages == ["checking the sources"]


def test_another_data_set_or_foreign_files_are_not_overwritten(corpus_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    prepare([str(corpus_file)], out, vocab_size=0)
    with pytest.raises(InputError, match="already holds a data set"):
        prepare([str(corpus_file)], out, vocab_size=300)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.md").touch()
    with pytest.raises(InputError, match=r"thesis\.md"):
        prepare([str(corpus_file)], tmp_path / "mine")
    with pytest.raises(InputError, match="is a file"):
        prepare([str(corpus_file)], corpus_file)


def test_a_damaged_data_set_is_made_again(corpus_file: Path, tmp_path: Path) -> None:
    first = prepare([str(corpus_file)], tmp_path / "set", vocab_size=0)
    shard = first.folder / "train-00000.bin"
    content = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(content[:-2])
    assert prepare([str(corpus_file)], tmp_path / "set", vocab_size=0).id == first.id
    assert shard.read_bytes() == content


def test_the_folder_that_is_written_is_not_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "text.jsonl", documents(60))
    first = prepare([str(tmp_path)], tmp_path / "set", vocab_size=0)
    assert prepare([str(tmp_path)], tmp_path / "set", vocab_size=0).id == first.id


def test_too_little_text(corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a few words\n" * 100)
    (tmp_path / "b.txt").write_bytes(b"\0")
    with pytest.raises(InputError, match=r"1,199 bytes of text \(documents: 1 kept, 1 binary\).*20,000"):
        prepare([str(tmp_path)], tmp_path / "set")
    monkeypatch.setattr("chidu.data.prepare.MIN_CONTEXT", 50_000)
    with pytest.raises(InputError, match="fewer than 2 windows of 50000 tokens"):
        prepare([str(corpus_file)], tmp_path / "set", vocab_size=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_full_disk_leaves_nothing(corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chidu.data.shards.ShardWriter.append", full)
    with pytest.raises(OSError, match="No space left"):
        prepare([str(corpus_file)], tmp_path / "set", vocab_size=0)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_one(corpus_file: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    prepare([str(corpus_file)], tmp_path / "set", vocab_size=0, progress=lambda *told: heard.append(told))
    assert heard[-1] == ("encoding", 1.0)
    assert all(0 <= part <= 1 for _, part in heard)


def test_it_is_the_same_in_another_process(dataset: Dataset, corpus_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from chidu.data.prepare import prepare;"
        "print(prepare(sys.argv[1:2], sys.argv[2], vocab_size=400).id, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(corpus_file), str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [dataset.id, "False"]


def test_few_merges_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "digits.json"
    path.write_text(json.dumps([f"{number:0600d}" for number in range(0, 10**6, 12_345)]))
    made = prepare([str(path)], tmp_path / "set", vocab_size=300)
    assert made.vocab_size == 257
    assert "only 257 tokens" in made.datasheet["notes"][0]


def test_real_files(tmp_path: Path) -> None:
    source = Path(email.__file__).parent
    made = prepare([str(source)], tmp_path / "set", vocab_size=512)
    files = {normalise(path.read_text(encoding="utf-8")) for path in (*source.rglob("*.py"), *source.rglob("*.rst"))}
    assert set(split_texts(made, "unseen")) & files
    assert all(
        any(text in file for file in files) for split in ("passages", "unseen") for text in split_texts(made, split)
    )
    assert made.vocab_size == 512
    assert made.bytes_per_token > 1.8
    assert made.datasheet["text"]["scripts"]["Latin"] > 0.4
