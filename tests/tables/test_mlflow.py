import pytest

from chidu.errors import InputError
from chidu.tables.read import read_runs

RUN = """artifact_uri: file:///mlruns/1/{id}/artifacts
end_time: 1700000001000
entry_point_name: ''
experiment_id: '1'
lifecycle_stage: {stage}
run_id: {id}
run_name: {name}
run_uuid: {id}
source_name: ''
source_type: 4
source_version: ''
start_time: 1700000000000
status: {status}
tags: []
user_id: ann
"""
EXPERIMENT = "artifact_location: file:///mlruns/1\nexperiment_id: '1'\nlifecycle_stage: active\nname: ladder\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_run(folder, name, params, metrics, status=3, stage="active"):
    home = folder / "1" / (name * 32)
    write(home / "meta.yaml", RUN.format(id=name * 32, name=f"run-{name}", status=status, stage=stage))
    for key, value in params.items():
        write(home / "params" / key, value)
    for key, curve in metrics.items():
        lines = [f"17000000{i:05} {value} {step}\n" for i, (step, value) in enumerate(curve)]
        write(home / "metrics" / key, "".join(lines))
    write(home / "tags" / "mlflow.runName", f"run-{name}")
    (home / "artifacts").mkdir()


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "mlruns"
    write(folder / "0" / "meta.yaml", EXPERIMENT.replace("'1'", "'0'"))
    write(folder / "1" / "meta.yaml", EXPERIMENT)
    write(folder / "models" / "x" / "meta.yaml", "name: x\nlatest_version: null\n")
    write(folder / ".trash" / "2" / "meta.yaml", EXPERIMENT)
    params = {"n_params": "1000000", "optimizer/lr": "0.001"}
    losses = [(0, 9.0), (100, 3.4), (200, 3.5)]
    tokens = [(0, 0), (100, 1e7), (200, 2e7), (210, 2.1e7)]
    write_run(folder, "a", params, {"val/loss": losses, "tokens": tokens, "lr": [(0, 0), (100, 1e-3), (200, 0)]})
    write_run(folder, "b", params, {"val/loss": [(0, 9.1)], "tokens": [(0, 0)]}, status=4)
    write_run(folder, "c", params, {}, stage="deleted")
    write_run(folder, "d", params, {"tokens": tokens})
    write_run(folder, "e", params | {"n_params": "auto"}, {"val/loss": losses, "tokens": tokens})
    return folder


def test_the_file_store(store):
    table = read_runs(store)
    assert [(run.run, run.params, run.tokens, run.loss, run.step) for run in table] == [("run-a", 1e6, 2e7, 3.5, 200)]
    assert table.runs[0].learning_rate == 1e-3
    assert [(gone.run, gone.reason) for gone in table.set_aside] == [
        ("run-b", "status is 'failed'"),
        ("run-c", "it was deleted in MLflow"),
        ("run-d", "metrics.val/loss is empty"),
        ("run-e", "params.n_params is 'auto', which is not a number"),
    ]
    assert "last evaluation" in table.notes[0]
    assert "in 2 of 3 runs an earlier evaluation was lower, by up to 2.9%" in table.notes[0]
    assert read_runs(store / "1").runs == table.runs
    assert read_runs(store / "1" / ("a" * 32)).runs == table.runs


def test_a_broken_metric_is_named(store):
    path = store / "1" / ("a" * 32) / "metrics" / "tokens"
    path.write_text("1700000000000 1e7 100\n1700000000000 much 200\n")
    with pytest.raises(InputError, match="tokens, line 2: not `timestamp value step`"):
        read_runs(store)


def test_stores_without_steps(store):
    metrics = store / "1" / ("a" * 32) / "metrics"
    for name, value in (("val/loss", "3.3"), ("tokens", "3e7"), ("lr", "0.001")):
        (metrics / name).write_text(f"1600000000 9\n1600000001 {value}\n")
    run = read_runs(store / "1" / ("a" * 32)).runs[0]
    assert (run.loss, run.tokens, run.step) == (3.3, 3e7, None)


def test_the_table_of_the_page(tmp_path):
    header = "Start Time,Duration,Run ID,Name,Source Type,Source Name,User,Status,lr,n_params,tokens,val_loss\n"
    row = "2024-01-01 10:00:00,1.0min,{0},run-{0},LOCAL,train.py,ann,{1},0.001,1e6,2e7,{2}\n"
    rows = [row.format(*values) for values in (("a", "FINISHED", 3.5), ("b", "FAILED", ""), ("c", "FINISHED", ""))]
    write(tmp_path / "runs.csv", header + "".join(rows))
    table = read_runs(tmp_path / "runs.csv")
    assert [(run.run, run.loss) for run in table] == [("run-a", 3.5)]
    assert [gone.reason for gone in table.set_aside] == ["status is 'FAILED'", "val_loss is empty"]


def test_the_table_of_search_runs(tmp_path):
    header = "run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.val_loss,metrics.tokens,params.lr,"
    header += "params.n_params,tags.mlflow.runName\n"
    row = "{0},1,{1},file:///x,2024-01-01 10:00:00+00:00,,{2},{3},0.001,1000000,run-{0}\n"
    runs = [("a", "FINISHED", 3.5, 2e7), ("b", "KILLED", "", ""), ("c", "FINISHED", "", 2e7), ("d", "FINISHED", 3, 3e7)]
    write(tmp_path / "runs.csv", header + "".join(row.format(*values) for values in runs))
    table = read_runs(tmp_path / "runs.csv")
    assert [(run.run, run.params, run.tokens, run.loss, run.learning_rate) for run in table] == [
        ("run-a", 1e6, 2e7, 3.5, 1e-3),
        ("run-d", 1e6, 3e7, 3.0, 1e-3),
    ]
    assert [(gone.row, gone.run, gone.reason) for gone in table.set_aside] == [
        (3, "run-b", "status is 'KILLED'"),
        (4, "run-c", "metrics.val_loss is empty"),
    ]
