import gzip
from pathlib import Path

import pytest

from chidu.data.sources import Reading, Unreadable, find_files, piece_size, read_documents
from chidu.errors import CorruptError, InputError


def read(path: Path, piece: int | None = None) -> list[str]:
    (file,) = find_files([str(path)])
    return list(read_documents(file, piece, Reading()))


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    for name in (
        "b.txt",
        "a/z.py",
        "a/B.MD",
        "a/data.jsonl.gz",
        "x.bin",
        ".git/c.txt",
        ".d.txt",
        "__pycache__/e.py",
        "out/f.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = find_files([str(tmp_path)], without=tmp_path / "out")
    assert [file.name.removeprefix(f"{tmp_path}/") for file in files] == [
        "b.txt",
        "a/B.MD",
        "a/data.jsonl.gz",
        "a/z.py",
    ]
    assert [file.ending for file in files] == [".txt", ".md", ".jsonl", ".py"]
    assert not any(file.named for file in files)


def test_the_built_in_corpus_is_the_standard_library() -> None:
    names = {file.name for file in find_files(["builtin"])}
    assert "builtin/json/decoder.py" in names
    assert not any("site-packages" in name or "__pycache__" in name for name in names)


def test_what_cannot_be_found(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").touch()
    for source, what in (
        (tmp_path / "no", "does not exist"),
        (tmp_path, "no file that is read"),
        (tmp_path / "x.pdf", ".txt"),
    ):
        with pytest.raises(InputError, match=what):
            find_files([str(source)])
    with pytest.raises(InputError, match="no source"):
        find_files([])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "é\n".encode()),
        ("a.jsonl", b'\xef\xbb\xbf{"text": "\xc3\xa9\\n"}\n'),
        ("a.json", b'[{"text": "\\u00e9\\n"}]'),
        ("a.csv", 'id,text\n1,"é\n"\n'.encode()),
    ],
)
def test_every_ending_plain_and_compressed(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert read(tmp_path / name) == read(tmp_path / f"{name}.gz") == ["é\n"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"text\0", "binary"),
        ("a.txt", "é".encode("latin-1"), "not UTF-8"),
        ("a.jsonl", b'{"text": "\xff"}', "not UTF-8"),
        ("a.json", b"{", "not JSON"),
    ],
)
def test_files_without_text(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable, match=name) as caught:
        read(tmp_path / name)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "content", [gzip.compress(b"text" * 1000)[:-12], b"not gzip", gzip.compress(b"text")[:-8] + b"01234567"]
)
def test_damaged_gzip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt.gz").write_bytes(content)
    with pytest.raises(CorruptError, match=r"a\.txt\.gz is a damaged gzip"):
        read(tmp_path / "a.txt.gz")


def test_only_a_large_part_of_the_sources_is_cut() -> None:
    assert piece_size(60_000_000, 60_000_000) == 100_000
    assert piece_size(1_000_000, 1_000_000) == 8192
    assert piece_size(700_000, 67_000_000) is None
    assert piece_size(40_000, 1_000_000) is None
    assert piece_size(5000, 5000) is None


@pytest.mark.parametrize("unit", ["line of text\n", "段落\n\n", "no line end ", "长"])
def test_pieces_join_to_the_text(tmp_path: Path, unit: str) -> None:
    text = unit * (50_000 // len(unit.encode()))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    pieces = read(tmp_path / "a.txt", 4096)
    assert "".join(pieces) == text
    assert all(4000 <= len(piece.encode()) <= 4 * 4096 for piece in pieces[:-1])
    if unit.endswith("\n\n"):
        assert all(piece.endswith("\n\n") for piece in pieces)
