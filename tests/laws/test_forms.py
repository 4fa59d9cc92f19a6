import numpy as np
import pytest

from chidu.laws.forms import FORMS, Chinchilla
from chidu.laws.forms.form import log_add, log_sum


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
    assert share == pytest.approx(1 - np.exp(theta[:, :1] - f) if form.floor else np.ones_like(f))
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
    centre = np.array([18.0, 22.0, 22.0])[: len(form.inputs)]
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


def test_log_sum_keeps_extremes():
    total, share = log_sum(np.array([[[0.0, 700.0, -700.0], [0.0, 0.0, 0.0]]]))
    assert total[0] == pytest.approx([700.0, np.log(3)])
    assert share[0, 0] == pytest.approx([0.0, 1.0, 0.0])


def test_kaplan_is_the_published_formula():
    form, centre = FORMS["kaplan"], np.array([19.0, 23.0])
    theta = form.from_natural(np.array([6.4e13, 1.8e13, 0.076, 0.103]), centre)
    published = ((6.4e13 / 1e8) ** (0.076 / 0.103) + 1.8e13 / 2e9) ** 0.103
    assert np.exp(form.log_loss(theta[None], np.log([[1e8, 2e9]]) - centre)[0, 0]) == pytest.approx(published)


def test_kaplan_is_coupled_without_a_floor():
    x = np.random.default_rng(0).normal(0, 1, (5, 2))
    kaplan = np.array([[0.5, 0.2, 0.1, 0.13]])
    coupled = np.array([[-60.0, 0.5, 0.2, 0.1, 0.13, np.log(0.13)]])
    assert FORMS["kaplan"].log_loss(kaplan, x) == pytest.approx(FORMS["coupled"].log_loss(coupled, x))


def test_kaplan_holds_an_exponent_away_from_zero():
    f, _, slopes = FORMS["kaplan"].gradient(np.array([[0.5, 0.2, 0.1, -0.3]]), np.zeros((1, 2)))
    assert np.isfinite(f).all()
    assert slopes[0, 0, 3] == 0


def test_overtraining_is_the_published_formula_and_tied_in_other_words():
    form, centre = FORMS["overtraining"], np.array([19.0, 23.0])
    e, a, b, eta = values = np.array([1.84, 212.0, 367.0, 0.136])
    theta = form.from_natural(values, centre)
    n, d = 4e8, 6.4e10
    m, c = d / n, 6 * n * d
    published = e + (a * m**eta + b * m**-eta) * c**-eta
    assert np.exp(form.log_loss(theta[None], np.log([[n, d]]) - centre)[0, 0]) == pytest.approx(published)
    tied = FORMS["tied"].natural(theta[None], centre)[0]
    assert tied[3] == pytest.approx(2 * eta)
    assert tied[1] == pytest.approx(a / 6**eta)


def repetition(n, d, u):
    """The published formula, as its authors' notebook has it."""
    a, b, e, alpha, r_d, r_n = np.exp(6.255414), np.exp(7.3049974), np.exp(0.6254804), 0.3526596, 15.387756, 5.309743
    useful = min(n, u * (a / b) ** (1 / alpha))
    params = useful + useful * r_n * (1 - np.exp(-(n / useful - 1) / r_n))
    tokens = u + u * r_d * (1 - np.exp(-(d / u - 1) / r_d))
    return e + a / params**alpha + b / tokens**alpha, np.array([e, a, b, alpha, r_d, r_n])


@pytest.mark.parametrize("run", [(1e8, 4e9, 1e8), (2.8e9, 5.5e10, 4e9), (1e7, 2e9, 2e9), (8.7e9, 1.78e11, 2.5e10)])
def test_repetition_is_the_published_formula(run):
    form, centre = FORMS["repetition"], np.array([19.0, 23.0, 23.0])
    loss, values = repetition(*run)
    theta = form.from_natural(values, centre)
    assert np.exp(form.log_loss(theta[None], np.log([run]) - centre)[0, 0]) == pytest.approx(loss)


def test_repetition_of_fresh_data_with_useful_params_is_tied():
    n = np.random.default_rng(0).normal(0, 1, 5)
    fresh = np.stack([n, n + 3, n + 3], axis=1)
    tied, theta = np.array([[0.5, -0.2, 0.1, 0.3]]), np.array([[0.5, -0.2, 0.1, 0.3, 2.7, 1.6]])
    assert FORMS["repetition"].log_loss(theta, fresh) == pytest.approx(FORMS["tied"].log_loss(tied, fresh[:, :2]))


def test_repetition_gains_less_from_each_pass_and_never_more_than_fresh_data():
    form, theta = FORMS["repetition"], np.array([[0.5, -0.2, 0.1, 0.3, np.log(15.0), np.log(5.0)]])
    passes = np.log([1.0, 2.0, 4.0, 16.0, 64.0, 1000.0])
    repeated = form.log_loss(theta, np.stack([0 * passes - 2, passes, 0 * passes], axis=1))[0]
    fresh = form.log_loss(theta, np.stack([0 * passes - 2, passes, passes], axis=1))[0]
    assert (np.diff(repeated) < 0).all()
    assert (repeated[1:] > fresh[1:]).all()
    assert repeated[1] - fresh[1] < 0.1 * (fresh[0] - fresh[1])


def test_moe_without_experts_is_chinchilla():
    x = np.random.default_rng(0).normal(0, 1, (5, 2))
    dense = np.column_stack([x, x[:, 0]])
    theta = np.array([[0.5, -0.2, 0.1, -50.0, -50.0, 0.3, 0.35, -0.17, 0.16, 0.16]])
    plain = FORMS["chinchilla"].log_loss(np.array([[0.5, -0.2, 0.1, 0.3, 0.35]]), x)
    assert FORMS["moe"].log_loss(theta, dense) == pytest.approx(plain)


def test_moe_is_the_published_formula():
    form, centre = FORMS["moe"], np.array([20.0, 23.0, 18.0])
    values = np.array([0.94, 16612.0, 5455.0, 0.46, 17.3, 0.596, 0.395, -0.167, 0.16, 0.16])
    e, a, b, c, d, alpha, beta, lam, delta, gamma = values
    n, tokens, active = 7e9, 1e11, 1.3e9
    s = active / n
    published = e + a / n**alpha + b / tokens**beta + c / s**lam + d / (s**delta * n**gamma)
    theta = form.from_natural(values, centre)
    assert np.exp(form.log_loss(theta[None], np.log([[n, tokens, active]]) - centre)[0, 0]) == pytest.approx(published)


def test_shape_is_the_published_formula():
    form, centre = FORMS["shape"], np.array([7.0, 3.0, 23.0])
    values = np.array([1.7, 200.0, 2.0, 700.0, 1.0, 1.1, 0.33])
    theta = form.from_natural(values, centre)
    published = 1.7 + 200 / 2048 + 2 / 24**1.1 + 700 / 1e11**0.33
    assert np.exp(form.log_loss(theta[None], np.log([[2048, 24, 1e11]]) - centre)[0, 0]) == pytest.approx(published)
