import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chidu.model.positions import rotary_angles, rotate, sinusoids

COS, SIN = rotary_angles(64, 8, 10_000.0)


@given(st.integers(0, 31), st.integers(0, 31), st.integers(0, 32), st.integers(0, 2**31))
def test_rotated_scores_depend_on_the_distance_alone(query: int, key: int, shift: int, seed: int):
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def score(at_query: int, at_key: int) -> float:
        return float(rotate(q, COS[at_query], SIN[at_query]) @ rotate(k, COS[at_key], SIN[at_key]))

    assert score(query + shift, key + shift) == pytest.approx(score(query, key), abs=1e-5)


def test_rotation_keeps_lengths_and_the_first_position():
    x = torch.randn(1, 1, 64, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, COS, SIN)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[0, 0, 0], x[0, 0, 0])


def test_rotation_turns_pairs_half_a_head_apart_by_the_papers_angles():
    unit = torch.zeros(64, 8)
    unit[:, 1] = 1
    turned, angle = rotate(unit, COS, SIN), 5 * 10_000 ** (-2 / 8)
    assert turned[5, 1] == pytest.approx(math.cos(angle), abs=1e-6)
    assert turned[5, 5] == pytest.approx(math.sin(angle), abs=1e-6)


def test_sinusoids_by_hand():
    table = sinusoids(10, 6)
    assert table.shape == (10, 6)
    for pair in range(3):
        angle = 7 / 10_000 ** (2 * pair / 6)
        assert table[7, pair] == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[7, 3 + pair] == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("position", ["sinusoidal", "learned"])
def test_added_positions_are_added(make_model, position: str):
    """Two equal tokens are told apart by their position, and only by the vectors that are added."""
    model = make_model(position=position)
    tokens = torch.full((1, 4), 3)
    with torch.no_grad():
        apart = model(tokens)
        assert (apart[0, 1:] - apart[0, :-1]).abs().amax(dim=-1).min() > 1e-3
        (model.position if position == "learned" else model.sinusoids_TD).zero_()
        alike = model(tokens)
    torch.testing.assert_close(alike[0, 1:], alike[0, :1].expand(3, -1))
