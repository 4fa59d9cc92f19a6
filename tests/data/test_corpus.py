from pathlib import Path

import pytest

from chidu.data.corpus import Corpus, read_corpus
from chidu.data.sources import Unreadable, find_files


def corpus(tmp_path: Path, *sources: Path) -> Corpus:
    parts: list[float] = []
    made = read_corpus(find_files([str(source) for source in sources]), tmp_path / "corpus.tmp", parts.append)
    assert parts[-1] == 1.0
    return made


def test_equal_texts_are_kept_once_and_the_order_is_the_texts_own(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two\\r\\n"}\n{"text": " "}\n')
    (tmp_path / "b.txt").write_text("two \n")
    first = corpus(tmp_path, tmp_path / "a.jsonl", tmp_path / "b.txt")
    assert sorted(first) == [b"one", b"two"]
    assert (len(first), first.size, first.characters) == (2, 6, 6)
    assert [file.dropped for file in first.files] == [{"empty": 1}, {"duplicate": 1}]
    assert [file.text_field for file in first.files] == ["text", None]
    order = list(first)
    assert list(corpus(tmp_path, tmp_path / "b.txt", tmp_path / "a.jsonl")) == order


def test_a_file_without_text_is_dropped_whole_in_a_folder_and_an_error_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"text\nshared\nonly here\n\0\n")
    (folder / "b.txt").write_text("shared")
    (folder / "c.json").write_text('{"n": [1]}')
    made = corpus(tmp_path, folder)
    assert list(made) == [b"shared"]
    assert (tmp_path / "corpus.tmp").read_bytes() == b"shared"
    assert [file.dropped for file in made.files] == [{"binary": 1}, {}, {"no field of text": 1}]
    with pytest.raises(Unreadable, match=r"a\.csv is a binary file"):
        corpus(tmp_path, folder / "a.csv")


def test_no_documents_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n")
    made = corpus(tmp_path, tmp_path / "a.txt")
    assert list(made) == []
    assert made.size == 0
