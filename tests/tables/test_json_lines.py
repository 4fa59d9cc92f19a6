import json

import pytest

from chidu.errors import InputError
from chidu.tables.read import read_runs

RUNS = [
    {"run": "a", "params": 1e6, "tokens": 20000000, "loss": 3.5, "seed": 1, "colour": "red"},
    {"run": "b", "params": 2e6, "tokens": 40000000, "loss": 3.2, "seed": None, "colour": ["x", True]},
]


def write(folder, text, name="runs.jsonl"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_run_a_line(tmp_path):
    table = read_runs(write(tmp_path, "\n" + lines(RUNS)))
    assert [(run.run, run.params, run.tokens, run.loss, run.seed) for run in table] == [
        ("a", 1e6, 2e7, 3.5, 1.0),
        ("b", 2e6, 4e7, 3.2, None),
    ]
    assert [run.extra["colour"] for run in table] == ["red", '["x", true]']
    assert table.lines == (2, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runs.json", RUNS),
        ("runs", RUNS),
        ("runs.json", {"project": "x", "runs": RUNS}),
        ("runs.json", {name: [run[name] for run in RUNS] for name in RUNS[0]}),
        ("runs.json", {name: {str(i): run[name] for i, run in enumerate(RUNS)} for name in RUNS[0]}),
    ],
    ids=["list", "no suffix", "object with a list", "columns", "columns of pandas"],
)
def test_other_forms_are_the_same_table(name, value, tmp_path):
    expected = read_runs(write(tmp_path, lines(RUNS)))
    table = read_runs(write(tmp_path, json.dumps(value), name))
    assert table.runs == expected.runs
    assert table.lines == (1, 2)


def test_jsonl_called_json_and_one_object(tmp_path):
    assert len(read_runs(write(tmp_path, lines(RUNS), "runs.json"))) == 2
    assert read_runs(write(tmp_path, json.dumps(RUNS[0]), "run.json")).runs[0].loss == 3.5


def test_keys_that_some_rows_lack_are_empty(tmp_path):
    rows = [{**RUNS[0], "lr": 1e-3}, {key: RUNS[1][key] for key in ("params", "tokens", "loss")}]
    table = read_runs(write(tmp_path, lines(rows)))
    assert [run.learning_rate for run in table] == [1e-3, None]
    with pytest.raises(InputError, match="line 2: loss is empty"):
        read_runs(write(tmp_path, lines([RUNS[0], {"params": 1, "tokens": 1}])))


def test_nested_values_are_found(tmp_path):
    rows = [{"model": {"n_params": 1e6, "n_layer": 4}, "data": {"tokens": 2e7}, "val": {"loss": 3.0}}]
    run = read_runs(write(tmp_path, lines(rows))).runs[0]
    assert (run.params, run.tokens, run.loss, run.n_layer) == (1e6, 2e7, 3.0, 4)


def test_a_loss_that_is_not_a_number(tmp_path):
    text = '{"params": 1e6, "tokens": 2e7, "loss": NaN, "status": "%s"}\n'
    with pytest.raises(InputError, match="line 1: loss is nan, not a finite number"):
        read_runs(write(tmp_path, text % "done"))
    table = read_runs(write(tmp_path, text % "crashed" + lines(RUNS)))
    assert [(gone.row, gone.reason) for gone in table.set_aside] == [(1, "status is 'crashed'")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("runs.jsonl", lines(RUNS) + '{"params": 1e6, "tokens"\n', r"runs\.jsonl, line 3: not valid JSON"),
        ("runs.jsonl", lines(RUNS) + "[1, 2]\n", "line 3: list, not an object"),
        ("runs.jsonl", "", "is empty"),
        ("runs.json", "[]", "is empty"),
        ("runs.json", '[{"params": 1},\n{"params" 2}]', r"runs\.json, line 2: not valid JSON"),
        ("runs.json", "[1, 2]", "holds no objects"),
        ("runs.json", "3", "holds no objects"),
        ("runs.json", '{"params": [1, 2], "loss": [3]}', "columns of 1 and 2 values"),
        ("runs.json", "{}", "lacks the column loss and params and tokens; it has none"),
    ],
)
def test_what_is_no_table_is_named(name, text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_runs(write(tmp_path, text, name))
