import csv
from pathlib import Path

import numpy as np
import pytest

from chidu.laws import solver
from chidu.laws.forms import FORMS
from chidu.laws.solver import bootstrap_reference, descend, fit_reference, huber, minimise, second_derivatives
from chidu.runs import RunTable

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "runs" / "chinchilla_epoch.csv"


def arrays(table: RunTable):
    x = np.log(np.stack([table.column("params"), table.column("tokens")], axis=1))
    return x - x.mean(0), np.log(table.column("loss")), x.mean(0)


def test_huber_is_square_inside_and_linear_outside():
    assert huber(np.array([0.0, 0.5, -0.5, 3.0]), 1.0) == pytest.approx([0.0, 0.125, 0.125, 2.5])


def test_a_made_law_is_recovered(make_table):
    x, y, centre = arrays(make_table())
    form = FORMS["chinchilla"]
    reference = fit_reference(form, x, y)
    assert reference.objective < 1e-10
    values = form.natural(reference.theta[None], centre)[0]
    assert values == pytest.approx([1.8, 400.0, 2000.0, 0.34, 0.36], rel=1e-3)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published table is not here")
def test_the_published_optimum_is_reached():
    with PUBLISHED.open() as file:
        rows = [row for row in csv.DictReader(file) if row["epoch_excluded"] == "False"]
    x = np.log([[float(row["params"]), float(row["tokens"])] for row in rows])
    centre, y = x.mean(0), np.log([float(row["loss"]) for row in rows])
    form = FORMS["chinchilla"]
    reference = fit_reference(form, x - centre, y)
    assert reference.objective <= 0.0010182752
    values = form.natural(reference.theta[None], centre)[0]
    assert values == pytest.approx([1.81722, 477.83, 2143.4, 0.34731, 0.36717], rel=0.01)


def test_an_outlier_hardly_moves_the_fit(make_table):
    x, y, centre = arrays(make_table(noise=0.001))
    form = FORMS["chinchilla"]
    clean = form.natural(fit_reference(form, x, y).theta[None], centre)[0]
    y[7] += 0.5
    dirty = form.natural(fit_reference(form, x, y).theta[None], centre)[0]
    assert dirty[0] == pytest.approx(clean[0], rel=0.05)


@pytest.mark.parametrize("key", ["tied", "coupled"])
def test_other_forms_fit_as_well_as_their_truth(key, make_table):
    x, y, _ = arrays(make_table(noise=0.002))
    form = FORMS[key]
    reference = fit_reference(form, x, y)
    rms = float(np.sqrt(np.mean((y - form.log_loss(reference.theta[None], x)[0]) ** 2)))
    assert rms < 0.004


def test_minimise_never_climbs(make_table):
    x, y, _ = arrays(make_table(noise=0.01))
    form = FORMS["chinchilla"]
    starts = form.starts(x, y)
    before = huber(y - form.log_loss(starts, x), 1e-3).sum(1)
    _, after = minimise(form, starts, x, y, np.ones((1, len(y))), 1e-3, 5)
    assert (after <= before).all()


@pytest.mark.parametrize("key", ["chinchilla", "tied", "coupled"])
@pytest.mark.parametrize("delta", [1.0, 0.02])
def test_second_derivatives_are_the_numeric_ones(key, delta, make_table):
    x, y, _ = arrays(make_table(noise=0.03))
    form = FORMS[key]
    theta = form.starts(x, y)[:1] + 0.05
    exact = second_derivatives(form, theta, x, y, delta)[0]

    def gradient(at):
        f, _, slopes = form.gradient(at, x)
        return -(np.clip(y - f, -delta, delta)[..., None] * slopes).sum(1)[0]

    for j in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[j] = 1e-6
        numeric = (gradient(theta + step) - gradient(theta - step)) / 2e-6
        assert exact[j] == pytest.approx(numeric, abs=1e-5 * np.abs(exact).max())


def test_newton_steps_arrive_where_reweighting_still_creeps(make_table):
    x, y, _ = arrays(make_table(noise=0.005))
    form = FORMS["chinchilla"]
    starts = np.repeat(fit_reference(form, x, y).theta[None], 50, axis=0)
    weights = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), 50).astype(float)
    far, near = (minimise(form, starts, x, y, weights, 1e-3, 15, exact=exact)[1] for exact in (False, True))
    best = minimise(form, starts, x, y, weights, 1e-3, 400)[1]
    assert np.median(near / best - 1) < 1e-8
    assert near.sum() < far.sum()


def test_the_optimum_is_reached_from_bad_starts(make_table):
    x, y, _ = arrays(make_table(noise=0.003))
    form = FORMS["chinchilla"]
    best = fit_reference(form, x, y).objective
    spread = np.array([0.5, 2.0, 2.0, 0.6, 0.6])
    starts = np.array([0.3, -1.0, -1.0, 0.6, 0.6]) + spread * np.random.default_rng(0).uniform(-1, 1, (30, 5))
    _, reached = descend(form, starts, x, y)
    assert reached == pytest.approx(best, rel=1e-6)


def test_weights_are_replicated_rows(make_table):
    x, y, _ = arrays(make_table(noise=0.005))
    form = FORMS["chinchilla"]
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    start = fit_reference(form, x, y).theta[None]
    weighted, objective = minimise(form, start, x, y, counts[None].astype(float), 1e-3, 100)
    rows = np.repeat(np.arange(len(y)), counts)
    replicated, same = minimise(form, start, x[rows], y[rows], np.ones((1, len(rows))), 1e-3, 100)
    assert objective == pytest.approx(same, rel=1e-9)
    assert weighted == pytest.approx(replicated, abs=1e-5)


def test_row_order_and_units_do_not_matter(make_table):
    table = make_table(noise=0.005)
    form = FORMS["chinchilla"]
    x, y, centre = arrays(table)
    plain = fit_reference(form, x, y)
    order = np.random.default_rng(0).permutation(len(y))
    assert fit_reference(form, x[order], y[order]).theta == pytest.approx(plain.theta, abs=1e-6)
    # params in millions, tokens in billions, loss in bits
    shift = np.log([1e6, 1e9])
    raw = x + centre - shift
    other = fit_reference(form, raw - raw.mean(0), y - np.log(np.log(2)))
    values = form.natural(plain.theta[None], centre)[0]
    scaled = form.natural(other.theta[None], raw.mean(0))[0]
    assert other.objective == pytest.approx(plain.objective, rel=1e-9)
    assert scaled[3:] == pytest.approx(values[3:], rel=1e-5)
    powers = np.exp(-values[3:] * shift)
    assert scaled[:3] == pytest.approx(values[:3] / np.log(2) * [1, *powers], rel=1e-4)


def test_it_does_not_matter_how_many_laws_are_worked_on_at_once(make_table, monkeypatch):
    x, y, _ = arrays(make_table(noise=0.005))
    form = FORMS["chinchilla"]
    theta = fit_reference(form, x, y).theta
    wide = bootstrap_reference(form, theta, x, y, 60, 1)
    monkeypatch.setattr(solver, "CHUNK", 7 * len(y))
    assert bootstrap_reference(form, theta, x, y, 60, 1) == pytest.approx(wide, abs=1e-6)


def test_a_table_that_tells_nothing_apart_still_has_an_end(make_table):
    x, y, _ = arrays(make_table(noise=0.01))
    form = FORMS["chinchilla"]
    for alike in (np.column_stack([x[:, 0], x[:, 0]]), np.column_stack([x[:, 0], np.zeros(len(y))])):
        reference = fit_reference(form, alike, y)
        assert np.isfinite(reference.theta).all()
        start = form.starts(alike, y)
        assert reference.objective <= huber(y - form.log_loss(start, alike), 1e-3).sum(1).min()


def test_bootstrap_is_seeded_and_surrounds_the_optimum(make_table):
    x, y, _ = arrays(make_table(noise=0.003))
    form = FORMS["chinchilla"]
    reference = fit_reference(form, x, y)
    first, second = (bootstrap_reference(form, reference.theta, x, y, 100, 3) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (100, 5)
    lower, upper = np.quantile(first, [0.01, 0.99], axis=0)
    assert ((lower <= reference.theta) & (reference.theta <= upper)).all()
