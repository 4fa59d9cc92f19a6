import numpy as np
import pytest

from chidu.data.loader import Loader, count_windows
from chidu.data.shards import ShardedTokens
from chidu.errors import InputError

TOKENS = np.arange(1003, dtype=np.uint16)


def stream(batch_sequences: int, sequences: int, seed: int = 0) -> np.ndarray:
    loader = Loader(TOKENS, 10, batch_sequences, seed)
    return np.concatenate([loader.batch(step) for step in range(-(-sequences // batch_sequences))])[:sequences]


def test_windows_are_consecutive_tokens_and_share_one() -> None:
    batch = Loader(TOKENS, 10, 8).batch(3)
    assert batch.shape == (8, 11)
    assert batch.dtype == np.int64
    assert (batch[:, 0] % 10 == 0).all()
    np.testing.assert_array_equal(batch - batch[:, :1], np.tile(np.arange(11), (8, 1)))


def test_an_epoch_is_a_permutation_and_the_next_is_another() -> None:
    starts = stream(7, 300)[:, 0].reshape(3, 100)
    np.testing.assert_array_equal(np.sort(starts), np.tile(np.arange(0, 1000, 10), (3, 1)))
    assert (starts[0] != starts[1]).any()
    assert (starts[0] != np.arange(0, 1000, 10)).any()


def test_the_order_of_windows_does_not_depend_on_the_batch() -> None:
    for batch_sequences in (1, 3, 8, 256):
        np.testing.assert_array_equal(stream(batch_sequences, 250), stream(5, 250))


def test_any_step_can_be_the_first() -> None:
    np.testing.assert_array_equal(Loader(TOKENS, 10, 8).batch(29), stream(8, 240)[232:240])


def test_the_seed_decides_the_order_for_ever() -> None:
    assert stream(4, 5, seed=0)[:, 0].tolist() == [710, 890, 620, 320, 900]
    assert (stream(4, 100, seed=1) != stream(4, 100, seed=0)).any()


def test_tokens_of_several_files() -> None:
    sharded = ShardedTokens([TOKENS[:333], TOKENS[333:340], TOKENS[340:]])
    np.testing.assert_array_equal(Loader(sharded, 10, 100).batch(0), Loader(TOKENS, 10, 100).batch(0))


def test_counts_and_too_little_text() -> None:
    assert [count_windows(tokens, 10) for tokens in (0, 1, 10, 11, 20, 21)] == [0, 0, 0, 1, 1, 2]
    with pytest.raises(InputError, match="do not fill one window"):
        Loader(TOKENS[:10], 10, 1)
    with pytest.raises(InputError, match="at least 1"):
        Loader(TOKENS, 10, 0)
