import csv
import json

import pytest

from chidu.errors import InputError
from chidu.tables.read import read_runs

PAGE = [
    ["Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "lr", "n_params", "val/loss", "tokens"],
    ["olive-sun-1", "finished", "-", "ann", "", "2024-01-01T10:00:00.000Z", "3600", "", "0.001", "1e6", "3.5", "2e7"],
    ["blue-moon-2", "crashed", "-", "ann", "", "2024-01-01T11:00:00.000Z", "20", "", "0.01", "1e6", "NaN", "1e5"],
    ["red-sky-3", "finished", "-", "ann", "", "2024-01-01T12:00:00.000Z", "9", "", "0.001", "1e6", "", ""],
    ["wet-leaf-4", "finished", "-", "ann", "", "2024-01-01T13:00:00.000Z", "9", "", "0.001", "2e6", "NaN", "4e7"],
    ["dry-wind-5", "running", "-", "ann", "", "2024-01-01T14:00:00.000Z", "9", "", "0.001", "2e6", "4.1", "1e7"],
    ["old-stone-6", "finished", "-", "ann", "", "2024-01-01T15:00:00.000Z", "9", "", "0.001", "2e6", "3.2", "4e7"],
]
CONFIG = """wandb_version: 1

_wandb:
  desc: null
  value:
    cli_version: 0.16.0
    python_version: 3.11.4
n_params:
  desc: null
  value: 1000000
optimizer:
  desc: null
  value:
    lr: 0.001
    betas:
    - 0.9
    - 0.95
"""


def write_csv(folder, rows):
    path = folder / "wandb_export.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return path


def write_run(folder, name, summary, config=CONFIG, metadata=None):
    files = folder / name / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text(config, encoding="utf-8")
    if summary is not None:
        text = summary if isinstance(summary, str) else json.dumps(summary)
        (files / "wandb-summary.json").write_text(text, encoding="utf-8")
    if metadata is not None:
        (files / "wandb-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / name / f"run-{name[-8:]}.wandb").write_bytes(b":W&B\x00")
    return files


def reasons(table):
    return [(gone.row, gone.run, gone.reason) for gone in table.set_aside]


def test_the_export_of_a_project_page(tmp_path):
    table = read_runs(write_csv(tmp_path, PAGE))
    assert [(run.run, run.params, run.tokens, run.loss, run.learning_rate) for run in table] == [
        ("olive-sun-1", 1e6, 2e7, 3.5, 1e-3),
        ("old-stone-6", 2e6, 4e7, 3.2, 1e-3),
    ]
    assert reasons(table) == [
        (3, "blue-moon-2", "status is 'crashed'"),
        (4, "red-sky-3", "val/loss is empty"),
        (5, "wet-leaf-4", "val/loss is NaN, not a finite number"),
        (6, "dry-wind-5", "status is 'running'"),
    ]


def test_an_export_without_a_usable_run_says_why(tmp_path):
    with pytest.raises(InputError, match="no finished run: blue-moon-2: status is 'crashed'; and 2 more"):
        read_runs(write_csv(tmp_path, PAGE[:1] + PAGE[2:5]))


def test_what_the_documented_script_writes(tmp_path):
    config = {"n_params": 1000000, "model": {"n_layer": 4}, "name": "it's nan"}
    rows = [
        ["", "summary", "config", "name"],
        ["0", str({"_step": 9, "val/loss": 3.5, "tokens": 2e7, "best": None}), str(config), "a"],
        ["1", "{'val/loss': nan, 'tokens': 20000000.0}", str(config), "b"],
        ["2", "", str(config), "c"],
        ["3", json.dumps({"val/loss": 3.1, "tokens": 4e7}), json.dumps(config), "d"],
    ]
    table = read_runs(write_csv(tmp_path, rows))
    assert [(run.run, run.loss, run.tokens, run.n_layer) for run in table] == [("a", 3.5, 2e7, 4), ("d", 3.1, 4e7, 4)]
    assert reasons(table) == [(3, "b", "summary/val/loss is empty"), (4, "c", "summary/val/loss is empty")]
    rows[2][1] = "__import__('os')"
    with pytest.raises(InputError, match="row 3: summary is not a dictionary"):
        read_runs(write_csv(tmp_path, rows))


@pytest.mark.parametrize("name", ["runs.json", "runs.jsonl"])
def test_runs_of_the_api_as_json(name, tmp_path):
    runs = [
        {
            "name": "a",
            "state": "finished",
            "config": {"n_params": {"value": 1e6, "desc": None}, "_wandb": {"value": {"t": {}}}, "lr": {"value": 3e-4}},
            "summary": {"val/loss": 3.5, "tokens": 2e7, "_wandb": {"runtime": 3}},
        },
        {"name": "b", "state": "failed", "config": {}, "summary": {}},
        {"name": "c", "state": "finished", "config": json.dumps({"n_params": {"value": 2e6}}), "summary": "{}"},
    ]
    text = json.dumps(runs) if name.endswith(".json") else "\n".join(json.dumps(run) for run in runs)
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_runs(tmp_path / name)
    assert [(run.run, run.params, run.loss, run.learning_rate, run.extra) for run in table] == [
        ("a", 1e6, 3.5, 3e-4, {})
    ]
    assert reasons(table) == [(2, "b", "status is 'failed'"), (3, "c", "summary/val/loss is empty")]


def test_a_local_folder(tmp_path):
    home = tmp_path / "wandb"
    write_run(home, "run-20240101_100000-abcd1234", {"val/loss": 3.5, "tokens": 2e7, "_wandb": {"runtime": 3}})
    write_run(home, "offline-run-20240102_100000-efgh5678", {"val/loss": 3.2, "tokens": 4e7, "_step": 99})
    write_run(home, "run-20240103_100000-ijkl9012", None)
    write_run(home, "run-20240104_100000-mnop3456", {"val/loss": "NaN", "tokens": 1e5}, metadata={"state": "failed"})
    (home / "latest-run").symlink_to("run-20240104_100000-mnop3456", target_is_directory=True)
    (home / "debug.log").write_text("x")
    write_run(home, "run-20231231_100000-efgh5678", {"val/loss": 9.0, "tokens": 1e7})
    table = read_runs(home)
    assert [(run.run, run.params, run.loss, run.tokens, run.learning_rate) for run in table] == [
        ("efgh5678", 1e6, 3.2, 4e7, 1e-3),
        ("abcd1234", 1e6, 3.5, 2e7, 1e-3),
    ]
    assert reasons(table) == [
        (2, "efgh5678", "it was resumed: the later folder of this run is read"),
        (4, "ijkl9012", "there is no wandb-summary.json: it logged nothing, or did not end"),
        (5, "mnop3456", "status is 'failed'"),
    ]
    assert "the last value in its summary" in table.notes[0]
    assert read_runs(tmp_path).runs == table.runs
    assert read_runs(home / "run-20240101_100000-abcd1234").runs[0].run == "abcd1234"
    assert read_runs(home / "run-20240101_100000-abcd1234" / "files").runs[0].loss == 3.5


def test_what_is_damaged_is_named(tmp_path):
    files = write_run(tmp_path, "run-20240101_100000-abcd1234", '{"val/loss": 3.5,')
    with pytest.raises(InputError, match=r"wandb-summary\.json, line 1: not valid JSON"):
        read_runs(tmp_path)
    (files / "wandb-summary.json").write_text('{"val/loss": 3.5, "tokens": 2e7}')
    (files / "config.yaml").write_text("n_params: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match=r"config\.yaml, line 1: not valid YAML of plain values"):
        read_runs(tmp_path)
