import numpy as np
import pytest

from chidu.training.schedule import rate_multiplier


def multipliers(config) -> np.ndarray:
    return np.array([rate_multiplier(config, step) for step in range(config.steps)])


def test_warm_up_stable_decay(make_config):
    rates = multipliers(make_config(tokens=100 * 256, warmup_fraction=0.1, decay_fraction=0.3))
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 11)
    assert (rates[10:70] == 1).all()
    assert rates[70:] == pytest.approx(np.arange(30, 0, -1) / 31)


def test_cosine_falls_to_a_tenth(make_config):
    rates = multipliers(make_config(tokens=100 * 256, warmup_fraction=0.1, schedule="cosine"))
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 11, rel=1e-2)
    assert rates[54] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1)
    assert (np.diff(rates[10:]) < 0).all()


def test_runs_of_one_trunk_agree_up_to_the_first_decay(make_config):
    short = make_config(tokens=50 * 256, warmup_tokens=10 * 256, decay_fraction=0.2)
    long = make_config(tokens=200 * 256, warmup_tokens=10 * 256, decay_fraction=0.2)
    assert short.trunk == long.trunk
    assert short.branch_step == 40
    assert multipliers(short)[:40].tolist() == multipliers(long)[:40].tolist()
    assert multipliers(short)[40] < 1 == multipliers(long)[40]


def test_what_changes_the_stable_part_is_another_trunk(make_config):
    one = make_config(tokens=50 * 256, warmup_tokens=10 * 256)
    assert one.trunk != make_config(tokens=50 * 256, warmup_tokens=20 * 256).trunk
    assert one.trunk != make_config(tokens=50 * 256, warmup_tokens=10 * 256, seed=1).trunk
    assert make_config(tokens=50 * 256).trunk != make_config(tokens=100 * 256).trunk


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(("warmup", "decay"), [(0, 0), (0.05, 0.3), (0.5, 0.5), (0, 0.99), (0.99, 0)])
def test_every_step_moves_and_none_beyond_the_peak(make_config, steps: int, warmup: float, decay: float):
    rates = multipliers(make_config(tokens=steps * 256, warmup_fraction=warmup, decay_fraction=decay))
    assert (rates > 0).all()
    assert (rates <= 1).all()
    turn = int(rates.argmax())
    assert (np.diff(rates[: turn + 1]) >= 0).all()
    assert (np.diff(rates[turn:]) <= 0).all()
    if warmup == decay == 0:
        assert (rates == 1).all()
