import builtins

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.errors import CorruptError, InputError
from chidu.runs import Run, write_runs
from chidu.tables.read import read_runs
from chidu.tables.sheet import to_text

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

COLUMNS = {"run": ["a", "b"], "params": [10**6, 2 * 10**6], "tokens": [2e7, 4e7], "loss": [3.5, 3.2], "seed": [1, None]}


def write(folder, columns=None, name="runs.parquet"):
    path = folder / name
    pq.write_table(pa.table(columns or COLUMNS), path)
    return path


def test_a_table_is_read(tmp_path):
    table = read_runs(write(tmp_path))
    assert [(run.run, run.params, run.tokens, run.loss, run.seed) for run in table] == [
        ("a", 1e6, 2e7, 3.5, 1.0),
        ("b", 2e6, 4e7, 3.2, None),
    ]
    assert table.lines == (1, 2)
    assert read_runs(write(tmp_path, name="table")).runs == table.runs


def test_nested_columns_and_indices(tmp_path):
    columns = {
        "config": [{"n_params": 1e6, "lr": 1e-3}],
        "summary": [{"val/loss": 3.0, "tokens": 2e7}],
        "__index_level_0__": [7],
    }
    run = read_runs(write(tmp_path, columns)).runs[0]
    assert (run.params, run.tokens, run.loss, run.learning_rate, run.extra) == (1e6, 2e7, 3.0, 1e-3, {})


positive = st.floats(min_value=1e-300, max_value=1e300)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.builds(Run, loss=positive, params=positive, tokens=positive, flops=positive, learning_rate=positive),
        min_size=1,
        max_size=4,
    )
)
def test_the_same_runs_from_csv_jsonl_and_parquet(tmp_path_factory, runs):
    folder = tmp_path_factory.getbasetemp()
    write_runs(folder / "same.csv", runs)
    names = ("loss", "params", "tokens", "flops", "learning_rate")
    write(folder, {name: [getattr(run, name) for run in runs] for name in names}, "same.parquet")
    lines = ["{" + ", ".join(f'"{name}": {to_text(getattr(run, name))}' for name in names) + "}" for run in runs]
    (folder / "same.jsonl").write_text("\n".join(lines), encoding="utf-8")
    expected = read_runs(folder / "same.csv")
    assert list(expected) == runs
    for name in ("same.jsonl", "same.parquet"):
        table = read_runs(folder / name)
        assert (table.runs, table.notes) == (expected.runs, expected.notes)


def test_damage_is_named(tmp_path):
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(CorruptError, match=r"runs\.parquet is not valid Parquet"):
        read_runs(path)
    (tmp_path / "text.parquet").write_text("params,tokens,loss\n")
    with pytest.raises(CorruptError, match="is not valid Parquet"):
        read_runs(tmp_path / "text.parquet")


def test_one_name_twice(tmp_path):
    path = tmp_path / "runs.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["loss", "loss"]), path)
    with pytest.raises(InputError, match="has the column loss twice"):
        read_runs(path)


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path)
    whole = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"needs pyarrow: pip install 'chidu\[parquet\]', or write the table as CSV"):
        read_runs(path)
