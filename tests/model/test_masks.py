import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chidu.model.masks import causal_mask, join_masks, segment_mask, segment_positions

CPU = torch.device("cpu")


def test_positions_start_again_with_each_text():
    segments = torch.tensor([[0, 0, 1, 1, 1, 2], [1, 1, 2, 0, 0, 0]])
    assert segment_positions(segments).tolist() == [[0, 1, 0, 1, 2, 0], [0, 1, 0, 0, 1, 2]]


def test_a_token_sees_its_own_text():
    mask = segment_mask(torch.tensor([[1, 2, 0]]), torch.tensor([[1, 2, 2, 0]]))
    assert (mask[0, 0] == 0).tolist() == [
        [True, False, False, False],
        [False, True, True, False],
        [False, False, False, True],
    ]
    assert set(mask.flatten().tolist()) == {0.0, -math.inf}


def test_a_query_without_a_key_of_its_own_sees_all_rather_than_nothing():
    mask = segment_mask(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]))
    assert mask.tolist() == [[[[0, 0], [0, 0]]]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_no_row_of_a_mask_is_empty(numbers: list[int]):
    segments = torch.tensor([sorted(numbers)])
    mask = join_masks(causal_mask(len(numbers), len(numbers), CPU), segment_mask(segments, segments))
    assert mask is not None
    assert mask.softmax(dim=-1).isfinite().all()
    assert (mask > -math.inf).sum() == sum(count * (count + 1) / 2 for count in map(numbers.count, set(numbers)))


def test_joined_masks_add_up():
    bias = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    joined = join_masks(None, causal_mask(2, 2, CPU), bias)
    assert joined is not None
    assert joined[1, 1].tolist() == pytest.approx(bias[1, 1].tolist())
    assert joined[0, 0, 1] == -math.inf
    assert join_masks(None, None) is None
