"""Whatever is done to a folder of receipts afterwards shows."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from chidu.errors import CorruptError, InputError
from chidu.forecast.ledger import FIRST, FULL, HEAD, LEDGER, append, read_ledger, verify
from chidu.store import hash_file, hash_json, write_json


@pytest.fixture
def folder(tmp_path):
    """Four files, each with its line."""
    for i in range(4):
        write_json(tmp_path / f"{i}.json", {"number": i})
        append(tmp_path, "lock" if i % 2 == 0 else "outcome", tmp_path / f"{i}.json")
    return tmp_path


def lines(folder):
    return (folder / LEDGER).read_text().splitlines(keepends=True)


def rewrite(folder, new):
    (folder / LEDGER).write_text("".join(new))


def test_each_line_holds_the_hash_of_the_one_before(folder):
    entries = verify(folder)
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.kind for entry in entries] == ["lock", "outcome", "lock", "outcome"]
    assert [entry.previous for entry in entries] == [FIRST, *[entry.hash for entry in entries[:-1]]]
    assert len(entries[0].hash) == FULL
    assert entries[2].sha256 == hash_file(folder / "2.json")


def test_the_same_file_has_one_line(folder):
    assert append(folder, "lock", folder / "2.json").number == 3
    assert len(lines(folder)) == 4


def test_lines_that_are_added_side_by_side_are_all_there(tmp_path):
    paths = [tmp_path / f"{i}.json" for i in range(8)]
    for i, path in enumerate(paths):
        write_json(path, i)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: append(tmp_path, "lock", path), paths))
    assert len(verify(tmp_path)) == 8


@pytest.mark.parametrize("line", range(4))
@pytest.mark.parametrize("field", ["number", "time", "kind", "file", "sha256", "previous", "hash"])
def test_a_changed_line_shows(folder, line, field):
    all_lines = lines(folder)
    value = json.loads(all_lines[line])
    value[field] = 9 if field == "number" else "f" * FULL
    all_lines[line] = json.dumps(value) + "\n"
    rewrite(folder, all_lines)
    with pytest.raises(CorruptError, match=f"line {line + 1}"):
        verify(folder)


@pytest.mark.parametrize("line", range(3))
def test_a_changed_line_with_a_new_hash_breaks_the_chain(folder, line):
    all_lines = lines(folder)
    value = json.loads(all_lines[line])
    del value["hash"]
    value["time"] = "2020-01-01T00:00:00+00:00"
    all_lines[line] = json.dumps({**value, "hash": hash_json(value, FULL)}) + "\n"
    rewrite(folder, all_lines)
    with pytest.raises(CorruptError, match=f"line {line + 2}"):
        verify(folder)


@pytest.mark.parametrize("line", range(4))
def test_a_line_taken_out_shows(folder, line):
    all_lines = lines(folder)
    rewrite(folder, all_lines[:line] + all_lines[line + 1 :])
    with pytest.raises(CorruptError, match="taken out"):
        verify(folder)


@pytest.mark.parametrize("left", [1, 2, 3])
def test_the_last_lines_taken_out_with_their_files_show(folder, left):
    rewrite(folder, lines(folder)[:left])
    for i in range(left, 4):
        (folder / f"{i}.json").unlink()
    with pytest.raises(CorruptError, match=f"has not the line that {HEAD} names"):
        verify(folder)


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"0" * FULL])
def test_a_head_changed_or_taken_out_shows(folder, content):
    (folder / HEAD).unlink() if content is None else (folder / HEAD).write_bytes(content)
    with pytest.raises(CorruptError, match=f"has not the line that {HEAD} names"):
        verify(folder)


def test_a_kill_before_the_head_is_written_breaks_nothing(folder):
    before = (folder / HEAD).read_text()
    write_json(folder / "4.json", {})
    append(folder, "lock", folder / "4.json")
    (folder / HEAD).write_text(before)
    assert len(verify(folder)) == 5


@pytest.mark.parametrize(
    "order", [(1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2), (3, 2, 1, 0), (0, 0, 1, 2, 3), (0, 1, 2, 3, 3)]
)
def test_lines_moved_or_doubled_show(folder, order):
    all_lines = lines(folder)
    rewrite(folder, [all_lines[i] for i in order])
    with pytest.raises(CorruptError, match="moved"):
        verify(folder)


@pytest.mark.parametrize("tail", ["\n", "half a li", "{}\n", "[]\n", '"text"\n', '{"number": 5}\n', "null\n"], ids=repr)
def test_anything_added_shows(folder, tail):
    rewrite(folder, [*lines(folder), tail])
    with pytest.raises(CorruptError, match="line 5"):
        verify(folder)


def test_a_cut_off_line_shows(folder):
    text = (folder / LEDGER).read_text()
    (folder / LEDGER).write_text(text[:-20])
    with pytest.raises(CorruptError, match="line 4: it was changed"):
        verify(folder)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00"])
def test_an_emptied_ledger_shows(folder, content):
    (folder / LEDGER).write_bytes(content)
    with pytest.raises(CorruptError):
        verify(folder)


@pytest.mark.parametrize("file", range(4))
def test_a_file_changed_or_taken_out_shows(folder, file):
    path = folder / f"{file}.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(CorruptError, match=rf"{file}\.json was changed after line {file + 1}"):
        verify(folder)
    path.unlink()
    with pytest.raises(CorruptError, match=rf"{file}\.json was taken out"):
        verify(folder)


def test_a_file_put_in_shows(folder):
    write_json(folder / "4.json", {})
    with pytest.raises(CorruptError, match=r"4\.json has no line"):
        verify(folder)


def test_no_ledger(folder):
    (folder / LEDGER).unlink()
    with pytest.raises(InputError, match=r"holds no ledger\.jsonl"):
        verify(folder)


def test_nothing_is_added_to_a_broken_chain(folder):
    rewrite(folder, lines(folder)[1:])
    write_json(folder / "4.json", {})
    with pytest.raises(CorruptError, match="taken out"):
        append(folder, "lock", folder / "4.json")


def test_a_folder_written_anew_shows_by_its_published_head(folder):
    head = read_ledger(folder)[-1].hash
    assert verify(folder, head)
    assert verify(folder, head[:12].upper())
    write_json(folder / "4.json", {})
    append(folder, "lock", folder / "4.json")
    assert verify(folder, head)
    (folder / LEDGER).unlink()
    for i in (0, 1, 2, 4):
        append(folder, "lock", folder / f"{i}.json")
    (folder / "3.json").unlink()
    assert verify(folder)
    with pytest.raises(CorruptError, match="was written anew"):
        verify(folder, head)


def test_a_head_of_few_digits_is_none(folder):
    with pytest.raises(InputError, match="at least the first 12 digits"):
        verify(folder, "abc")
