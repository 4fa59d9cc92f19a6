import numpy as np
import pytest

from chidu.laws.forms import FORMS, Chinchilla
from chidu.laws.forms.form import log_add


def example(key):
    """Two laws and four points of a form."""
    form = FORMS[key]
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.3, (2, len(form.names)))
    theta[:, form.exponents] = [[0.3], [0.45]]
    return form, theta, rng.normal(0, 1.5, (4, len(form.inputs)))


@pytest.mark.parametrize("key", FORMS)
def test_gradient_is_the_numeric_one(key):
    form, theta, x = example(key)
    f, share, slopes = form.gradient(theta, x)
    assert f == pytest.approx(form.log_loss(theta, x))
    assert share == pytest.approx(1 - np.exp(theta[:, :1] - f))
    for j in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[j] = 1e-6
        numeric = (form.log_loss(theta + step, x) - form.log_loss(theta - step, x)) / 2e-6
        assert slopes[..., j] == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize("key", FORMS)
def test_bend_is_the_numeric_second_derivative_of_the_loss(key):
    form, theta, x = example(key)
    weights = np.random.default_rng(2).normal(0, 1, (2, 4))
    slopes = form.gradient(theta, x)[2]
    bend = form.bend(theta, x, weights, slopes)
    loss = np.exp(form.log_loss(theta, x))
    for j, k in np.ndindex(bend.shape[1:]):
        total = np.zeros_like(loss)
        for one, two in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            step = np.zeros(theta.shape[1])
            step[j] += one * 1e-4
            step[k] += two * 1e-4
            total += one * two * np.exp(form.log_loss(theta + step, x)) / 4e-8
        assert bend[:, j, k] == pytest.approx((weights * total / loss).sum(1), abs=1e-5)


class Halved(Chinchilla):
    """Chinchilla's law with half the reducible loss: another curve, so other second derivatives."""

    key = "halved"

    def log_reducible(self, theta_BP, x_IK):
        log_r, slopes = super().log_reducible(theta_BP, x_IK)
        return log_r - np.log(2) * np.tanh(theta_BP[:, 3:4]), slopes - np.log(2) * np.array([0, 0, 1, 0]) / np.cosh(
            theta_BP[:, 3, None, None]
        ) ** 2


def test_a_form_that_knows_no_second_derivatives_gets_them_by_differences():
    _, theta, x = example("chinchilla")
    weights, form = np.ones((2, 4)), Halved()
    slopes = form.gradient(theta, x)[2]
    bend = form.bend(theta, x, weights, slopes)
    step = np.array([0, 0, 0, 1e-5, 0])
    up, down = (form.gradient(theta + sign * step, x)[2] for sign in (1, -1))
    numeric = ((up - down) / 2e-5 + slopes[..., 3:4] * slopes).sum(1)
    assert bend[:, 3] == pytest.approx(numeric, abs=1e-6)
    assert bend != pytest.approx(FORMS["chinchilla"].bend(theta, x, weights, slopes), abs=1e-3)


@pytest.mark.parametrize("key", FORMS)
def test_balance_gradient_is_the_numeric_one(key):
    form, theta, _ = example(key)
    at = np.array([0.2, -0.4])[: len(form.inputs)]
    _, slopes = form.balance(theta, at)
    for j in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[j] = 1e-6
        numeric = (form.balance(theta + step, at)[0] - form.balance(theta - step, at)[0]) / 2e-6
        assert slopes[:, j] == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize("key", FORMS)
def test_natural_parameters_go_there_and_back(key):
    form, theta, _ = example(key)
    centre = np.array([18.0, 22.0])[: len(form.inputs)]
    natural = form.natural(theta, centre)
    assert natural.shape == theta.shape
    for law, values in zip(theta, natural, strict=True):
        assert form.from_natural(values, centre) == pytest.approx(law)


def test_chinchilla_is_the_published_formula():
    form, centre = FORMS["chinchilla"], np.array([19.0, 23.0])
    theta = form.from_natural(np.array([1.8172, 482.01, 2085.43, 0.3478, 0.3658]), centre)
    x = np.log([[70e9, 1.4e12]]) - centre
    published = 1.8172 + 482.01 / 70e9**0.3478 + 2085.43 / 1.4e12**0.3658
    assert np.exp(form.log_loss(theta[None], x)[0, 0]) == pytest.approx(published)


def test_coupled_with_k_one_is_chinchilla():
    x = np.random.default_rng(0).normal(0, 1, (5, 2))
    theta = np.array([[0.5, -0.2, 0.1, 0.3, 0.35]])
    coupled = np.append(theta, [[0.0]], axis=1)
    assert FORMS["coupled"].log_loss(coupled, x) == pytest.approx(FORMS["chinchilla"].log_loss(theta, x))


def test_tied_is_chinchilla_with_one_exponent():
    x = np.random.default_rng(0).normal(0, 1, (5, 2))
    tied, plain = np.array([[0.5, -0.2, 0.1, 0.3]]), np.array([[0.5, -0.2, 0.1, 0.3, 0.3]])
    assert FORMS["tied"].log_loss(tied, x) == pytest.approx(FORMS["chinchilla"].log_loss(plain, x))


def test_log_add_keeps_extremes():
    u, v = np.array([0.0, 700.0, -700.0]), np.array([0.0, -700.0, 700.0])
    total, share = log_add(u, v)
    assert total == pytest.approx(np.logaddexp(u, v))
    assert share == pytest.approx([0.5, 1.0, 0.0])
