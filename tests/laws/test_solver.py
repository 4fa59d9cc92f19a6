import csv
from pathlib import Path

import numpy as np
import pytest

from chidu.laws.forms import FORMS
from chidu.laws.solver import bootstrap_reference, fit_reference, huber, minimise
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


def test_bootstrap_is_seeded_and_surrounds_the_optimum(make_table):
    x, y, _ = arrays(make_table(noise=0.003))
    form = FORMS["chinchilla"]
    reference = fit_reference(form, x, y)
    first, second = (bootstrap_reference(form, reference.theta, x, y, 100, 3) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (100, 5)
    lower, upper = np.quantile(first, [0.01, 0.99], axis=0)
    assert ((lower <= reference.theta) & (reference.theta <= upper)).all()
