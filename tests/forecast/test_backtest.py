import json
import math
from dataclasses import replace

import pytest

from chidu.errors import InputError, Refusal
from chidu.forecast.backtest import backtest
from chidu.forecast.quote import saved
from chidu.laws.fit import fit
from chidu.runs import Run, RunTable
from chidu.store import write_json


@pytest.fixture(scope="module")
def table():
    """Runs of a known law, four amounts of compute, two rows of no use."""
    runs = []
    for k, flops in enumerate((1e18, 3e18, 1e19, 3e19)):
        for j, ratio in enumerate((5.0, 10.0, 20.0, 40.0, 80.0)):
            params = (flops / (6 * ratio)) ** 0.5
            tokens = flops / 6 / params
            loss = (1.8 + 400 / params**0.34 + 2000 / tokens**0.36) * (1 + 0.001 * ((3 * k + 2 * j) % 5 - 2))
            runs.append(Run(run=f"r{k}{j}", params=params, tokens=tokens, loss=loss))
    runs += [replace(runs[3], run="bad", loss=9.0), replace(runs[18], run="worse", loss=8.0)]
    return RunTable(tuple(runs), source="runs.csv", notes=("flops was not given",))


@pytest.fixture(scope="module")
def made(table):
    return backtest(table, level=0.8)


def test_chidu_and_each_law_alone_are_graded_at_each_distance(made):
    assert made.methods == ("chidu", "chinchilla alone", "tied alone", "coupled alone", "frontier alone")
    assert [made.distance(about) for about in made.distances] == pytest.approx([3, 10], rel=0.01)
    for about in made.distances:
        graded = made.grade("chidu", about)
        assert (graded.targets, graded.level) == (5, 0.8)
        assert graded.error < 0.01
        assert graded.error >= abs(graded.bias)
        assert graded.width > 0
        assert graded.score >= graded.width


def test_coverage_rises_with_the_level(made):
    assert 0.8 in made.levels
    for about in made.distances:
        held = made.coverage("chidu", about)
        assert len(held) == len(made.levels)
        assert list(held) == sorted(held)
        assert held[made.levels.index(0.8)] == made.grade("chidu", about).cover


def test_the_held_out_runs_do_not_reach_the_fit(made, table):
    spoilt = [replace(run, loss=1.3 * run.loss) if run.run.startswith("r3") else run for run in table]
    other = backtest(replace(table, runs=tuple(spoilt)), level=0.8, alone=False, near=3)
    (before,) = [trial for trial in made.trials if trial.cut.distance < 5]
    (after,) = other.trials
    for run, median in zip(after.cut.targets, after.answers["chidu"].median, strict=True):
        (same,) = [i for i, known in enumerate(before.cut.targets) if known.run == run.run]
        assert median == before.answers["chidu"].median[same]


def test_the_nearest_distance_alone(table):
    other = backtest(table, near=30, alone=False)
    assert [trial.cut.distance for trial in other.trials] == pytest.approx([10], rel=0.01)
    assert other.methods == ("chidu",)


def test_a_quote_is_of_the_nearest_distance(made):
    assert made.quote(4).nearest == pytest.approx(3, rel=0.01)
    quote = made.quote(200)
    assert quote.nearest == quote.farthest == pytest.approx(10, rel=0.01)
    assert str(quote).startswith("backtest of these runs at about 10 times: mean error 0.")
    assert "80% intervals held" in str(quote)


def test_it_knows_its_json_and_is_quoted_from_it(made, table, tmp_path):
    value = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert [part["distance"] for part in value["distances"]] == pytest.approx([3, 10], rel=0.01)
    assert set(value["distances"][0]["methods"]) == set(made.methods)
    assert {row["run"] for row in value["held_out"]} == {"r30", "r31", "r32", "r33", "r34"}
    assert all(row["forecasts"]["chidu"]["lower"] < row["forecasts"]["chidu"]["upper"] for row in value["held_out"])
    write_json(tmp_path / "backtest.json", value)
    assert saved(tmp_path, fit(table, draws=20).table_hash, 10) == (made.quote(10), "")


def test_it_prints_a_table_and_what_is_no_target(made):
    text = str(made)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("chinchilla alone") == 2
    assert "no targets: 2 rows that are set aside by the fit" in text
    assert "flops was not given" in text


def test_the_same_seed_gives_the_same_backtest(made, table):
    assert backtest(table, level=0.8).to_json() == made.to_json()


def test_progress_is_told(table):
    told = []
    backtest(table, alone=False, near=3, progress=lambda doing, part: told.append(part))
    assert told == [0.0, 1.0]


def test_groups_that_one_law_cannot_serve_are_backtested_apart(table):
    runs = [replace(run, group="a") for run in table.runs[:20]]
    runs += [replace(run, run=f"b{run.run}", loss=1.2 * run.loss, group="b") for run in runs]
    runs += [replace(runs[i], loss=3.0 + 0.01 * i, group="c") for i in range(3)]
    both = backtest(RunTable(tuple(runs)), alone=False)
    assert {trial.group for trial in both.trials} == {"a", "b"}
    assert both.grade("chidu", both.distances[0]).targets == 10
    assert both.grade("chidu", both.distances[0]).error < 0.01
    assert both.notes[0] == "3 groups lie apart and are backtested one by one; forecasts are of a"
    assert any(note.startswith("c: ") for note in both.notes)
    assert not any("set aside by the fit" in note for note in both.notes)
    assert both.table == fit(RunTable(tuple(runs)), draws=20).table_hash
    alone = backtest(RunTable(tuple(runs)), alone=False, group="b")
    assert [trial.group for trial in alone.trials] == ["", ""]
    assert {run.group for trial in alone.trials for run in trial.cut.kept} == {"b"}


def test_a_method_that_cannot_answer_is_said_to_be_refused(table, monkeypatch):
    def refuse(*arguments, **options):
        raise Refusal("no law can be seen")

    monkeypatch.setattr("chidu.forecast.trial.forecast_standard", refuse)
    other = backtest(table, near=3)
    assert other.grade("tied alone", other.distances[0]) is None
    assert other.coverage("tied alone", other.distances[0]) == ()
    assert "tied alone        none: no law can be seen" in str(other)
    assert other.to_json()["distances"][0]["refused"]["tied alone"] == "no law can be seen"
    monkeypatch.setattr("chidu.forecast.trial._ask", refuse)
    both = backtest(table, near=3)
    assert both.trials[0].refused["chidu"] == both.trials[0].refused["tied alone"] == "no law can be seen"
    monkeypatch.setattr("chidu.forecast.trial.fit", refuse)
    none = backtest(table, near=3)
    assert none.quote(3) is None
    assert "chidu             none: no law can be seen" in str(none)


def test_frontiers_are_backtested_too(table):
    runs = tuple(
        Run(flops=1e17 * 2.0**i, loss=1.5 + 30 * (1e17 * 2.0**i) ** -0.08 + 0.002 * (i % 3)) for i in range(12)
    )
    made = backtest(RunTable(runs))
    assert made.methods == ("chidu", "frontier alone")
    assert made.grade("chidu", made.distances[0]).error < 0.01


def test_the_form_that_was_asked_for_is_tried_alone_too(table):
    made = backtest(table, form="kaplan", near=3)
    assert made.methods[:2] == ("chidu", "kaplan alone")
    assert made.grade("kaplan alone", made.distances[0]).targets == 5


def test_a_law_of_repeated_data_is_asked_for_its_own_cells(table):
    def loss(params, tokens, unique):
        useful = unique * (1 + 15 * (1 - math.exp(-(tokens / unique - 1) / 15)))
        return 1.8 + 400 / params**0.34 + 1500 / useful**0.34

    runs = [
        Run(
            params=run.params,
            tokens=run.tokens,
            unique_tokens=run.tokens / e,
            loss=loss(run.params, run.tokens, run.tokens / e),
        )
        for run in table.runs[:20]
        for e in (1.0, 3.0)
    ]
    made = backtest(RunTable(tuple(runs)), form="repetition", near=3, alone=False)
    assert made.grade("chidu", made.distances[0]).targets == 10
    assert made.grade("chidu", made.distances[0]).error < 0.02


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_too_few_runs_are_refused(rows, table):
    with pytest.raises(Refusal, match="too few to backtest"):
        backtest(replace(table, runs=table.runs[:rows]))


def test_one_amount_of_compute_is_refused(table):
    runs = tuple(run for run in table if run.run.startswith("r0")) * 2
    runs = tuple(replace(run, params=run.params * (1 + 0.01 * i)) for i, run in enumerate(runs))
    with pytest.raises(Refusal, match="too small a table to backtest"):
        backtest(RunTable(runs))


def test_wrong_questions_are_named(table):
    with pytest.raises(InputError, match="level"):
        backtest(table, level=1.0)
    with pytest.raises(InputError, match="no law 'line'"):
        backtest(table, form="line")
