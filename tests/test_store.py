import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chidu.errors import CorruptError, InputError
from chidu.store import hash_file, hash_json, hold, read_json, write_bytes, write_folder, write_json, write_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches the disk."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(JSON)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    try:
        write_json(path, value)
    except UnicodeEncodeError:  # an unpaired surrogate is not text
        return
    assert read_json(path) == value


def test_files_are_replaced_whole_and_folders_made(tmp_path: Path):
    path = tmp_path / "a" / "b" / "text.txt"
    write_text(path, "一")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["text.txt"]


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    (tmp_path / "x.json").write_text("1")
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "x.json", 2)
    assert read_json(tmp_path / "x.json") == 1
    assert names(tmp_path) == ["x.json"]


def test_what_json_cannot_say_leaves_the_old_file(tmp_path: Path):
    (tmp_path / "x.json").write_text("1")
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert read_json(tmp_path / "x.json") == 1


def test_a_missing_and_a_damaged_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.json does not exist"):
        read_json(tmp_path / "gone.json")
    for damaged in (b'{"a": 1', b"\xff\xfe", b""):
        (tmp_path / "bad.json").write_bytes(damaged)
        with pytest.raises(CorruptError, match=r"bad\.json is not valid JSON"):
            read_json(tmp_path / "bad.json")


def test_a_folder_appears_whole(tmp_path: Path):
    with write_folder(tmp_path / "lab" / "out") as beside:
        (beside / "one").write_text("1")
        assert not (tmp_path / "lab" / "out").exists()
    with write_folder(tmp_path / "lab" / "out") as beside:
        (beside / "two").write_text("2")
        assert names(tmp_path / "lab" / "out") == ["one"]
    assert names(tmp_path / "lab" / "out") == ["two"]
    assert names(tmp_path / "lab") == ["out"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path):
    with write_folder(tmp_path / "out") as beside:
        (beside / "one").write_text("1")

    def fail() -> None:
        with write_folder(tmp_path / "out") as beside:
            (beside / "two").write_text("2")
            raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        fail()
    assert names(tmp_path / "out") == ["one"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["out", "a [b] *"])
def test_what_a_killed_process_left_is_swept_away(tmp_path: Path, name: str):
    for left in (f".{name}.1.tmp", f".{name}.{os.getpid()}.tmp", f".{name}.1.old.tmp", f".{name}-2.1.tmp"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "part").write_text("x")
    with write_folder(tmp_path / name) as beside:
        (beside / "whole").write_text("1")
    assert names(tmp_path) == sorted([f".{name}-2.1.tmp", name])


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_the_hash_is_that_of_the_content(value):
    try:
        one = hash_json(value)
    except UnicodeEncodeError:
        return
    assert one == hash_json(dict(reversed(value.items())))
    assert one != hash_json({**value, "more": 1})
    assert len(one) == 12


def test_known_hashes(tmp_path: Path):
    """Names of runs must not change from one version to the next."""
    assert hash_json({"b": [1, 2.5, None], "a": "模"}) == "a57d05bdc60a"
    (tmp_path / "abc").write_bytes(b"abc")
    assert hash_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_one_holds_the_lock_and_another_waits(tmp_path: Path):
    order = []

    def wait() -> None:
        with hold(tmp_path / ".lock"):
            order.append("second")

    other = threading.Thread(target=wait)
    with hold(tmp_path / ".lock"):
        other.start()
        other.join(timeout=0.2)
        order.append("first")
    other.join(timeout=5)
    assert order == ["first", "second"]
