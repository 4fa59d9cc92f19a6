import gzip
import json
import subprocess
import sys

import pytest

import chidu
from chidu.errors import CorruptError, InputError
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


def test_it_is_public():
    assert chidu.read_runs is read_runs


def test_a_csv_loads_nothing_that_it_does_not_need(tmp_path):
    (tmp_path / "runs.csv").write_text(CSV)
    code = f"import sys, chidu; chidu.read_runs({str(tmp_path / 'runs.csv')!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"pyarrow", "pandas", "yaml", "tensorboard", "scipy", "torch"} & set(done.stdout.split())
