import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chidu
from chidu.errors import ChiduError, CorruptError, InputError
from chidu.tables.read import read_runs

CSV = "run,params,tokens,loss\na,1e6,2e7,3.5\nb,2e6,4e7,3.2\n"
JSONL = """{"run": "a", "params": 1e6, "tokens": 2e7, "loss": 3.5}
{"run": "b", "params": 2e6, "tokens": 4e7, "loss": 3.2}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("runs.csv", CSV), ("runs.tsv", CSV.replace(",", "\t")), ("runs", CSV), ("runs.txt", CSV), ("runs.jsonl", JSONL)],
    ids=lambda value: value if "\n" not in value else "",
)
def test_packed_and_plain_files_are_the_same(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    table = read_runs(tmp_path / name)
    assert [run.loss for run in table] == [3.5, 3.2]
    assert read_runs(tmp_path / f"{name}.gz").runs == table.runs


def test_damaged_gzip_is_named(tmp_path):
    for content in (gzip.compress(CSV.encode())[:-9], b"\x1f\x8b junk"):
        (tmp_path / "runs.csv.gz").write_bytes(content)
        with pytest.raises(CorruptError, match=r"runs\.csv\.gz is a damaged gzip file"):
            read_runs(tmp_path / "runs.csv.gz")


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv does not exist; name a table of runs, or a folder"):
        read_runs(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00\x81", "not text in UTF-8 but in UTF-16; save it as CSV UTF-8"),
        (b"\x00\x01\x02\xff", "not text"),
        (b"params,tokens,loss\n1\x00,2,3\n", "binary file; chidu reads"),
        (b"PK\x03\x04rest", "a workbook or an archive; save the sheet as CSV"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\x80\x04\x95rest", "a pickle, which could run anything"),
    ],
)
@pytest.mark.parametrize("name", ["runs.csv", "runs.bin"])
def test_what_is_no_table_is_named(content, words, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_runs(tmp_path / name)


def test_a_folder_of_other_things_lists_what_is_understood(tmp_path):
    (tmp_path / "loose.csv").write_text(CSV)
    with pytest.raises(InputError, match=r"is a folder without runs in it: chidu reads tables.*MLflow.*TensorBoard"):
        read_runs(tmp_path)


def test_a_lab_is_read_by_its_table(tmp_path):
    (tmp_path / "runs.csv").write_text(CSV)
    table = read_runs(tmp_path)
    assert (len(table), table.source) == (2, str(tmp_path / "runs.csv"))


def test_the_kind_that_knows_settings_goes_first(tmp_path):
    files = tmp_path / "wandb" / "run-20240101_100000-abcd1234" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text(json.dumps({"val/loss": 3.5, "tokens": 2e7, "n_params": 1e6}))
    (files / "output.log").write_text("step 10: train loss 9.9, val loss 9.9\n")
    assert [run.loss for run in read_runs(tmp_path)] == [3.5]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '[{"loss": ' + "9" * 5000 + "}]"])
def test_json_that_is_too_much(text, tmp_path):
    (tmp_path / "runs.json").write_text(text)
    with pytest.raises(InputError, match=r"nested too deeply|not valid JSON"):
        read_runs(tmp_path / "runs.json")


def test_it_is_public():
    assert chidu.read_runs is read_runs


def test_a_csv_loads_nothing_that_it_does_not_need(tmp_path):
    (tmp_path / "runs.csv").write_text(CSV)
    code = f"import sys, chidu; chidu.read_runs({str(tmp_path / 'runs.csv')!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"pyarrow", "pandas", "yaml", "tensorboard", "scipy", "torch"} & set(done.stdout.split())


NAMES = ("runs.csv", "runs.tsv", "runs.json", "runs.jsonl", "runs.txt", "runs", "x.tfevents.1", "trainer_state.json")
HEADS = (
    "params",
    "N (M)",
    "tokens",
    "step",
    "batch_tokens",
    "loss",
    "val_ppl",
    "loss_bits",
    "flops",
    "status",
    "lr",
    "",
)
CELLS = (
    "",
    "1e6",
    "20",
    "3,5",
    "1,000",
    "1.000.000",
    "-",
    "nan",
    "inf",
    "-3",
    "0",
    "12%",
    "done",
    "1e999",
    "1.4B",
    '"',
    "é",
)
TEXTS = (
    CSV,
    JSONL,
    f"[{JSONL.strip().replace(chr(10), ',')}]",
    '{"global_step": 1, "log_history": [{"eval_loss": 3}]}',
)


def reads_or_says_why(path):
    try:
        table = read_runs(path)
    except ChiduError as error:
        said = str(error)
    else:
        assert all(run.loss > 0 and run.flops > 0 for run in table)
        said = " ".join(table.notes)
    assert "\n" not in said


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(NAMES), st.sampled_from(TEXTS), st.integers(0, 150), st.binary(max_size=6), st.integers(0, 9))
def test_any_damage_ends_with_a_table_or_a_sentence(tmp_path_factory, name, text, at, junk, cut):
    path = tmp_path_factory.getbasetemp() / name
    content = text.encode()
    path.write_bytes(content[:at] + junk + content[at + cut :])
    reads_or_says_why(path)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(HEADS), min_size=1, max_size=6),
    st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=6), max_size=4),
    st.sampled_from(",;\t"),
)
def test_any_cells_end_with_a_table_or_a_sentence(tmp_path_factory, head, rows, delimiter):
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    width = len(head)
    lines = [delimiter.join(row) for row in (head, *[(row * width)[:width] for row in rows])]
    path.write_text("\n".join(lines), encoding="utf-8")
    reads_or_says_why(path)
