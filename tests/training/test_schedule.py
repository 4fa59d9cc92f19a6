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
