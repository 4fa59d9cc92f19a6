from pathlib import Path

import numpy as np
import pytest

from chidu.data.shards import ShardedTokens, ShardWriter, open_shards, token_dtype
from chidu.errors import CorruptError

IDS = np.arange(1000) % 300


def write(folder: Path, vocab_size: int = 300, shard_bytes: int = 600) -> ShardWriter:
    with ShardWriter(folder, "train", vocab_size, shard_bytes) as writer:
        for part in np.array_split(IDS, 7):
            writer.append(part)
    return writer


def test_tokens_lie_in_files_of_bounded_size_and_read_back(tmp_path: Path) -> None:
    writer = write(tmp_path)
    assert [(shard.file, shard.tokens) for shard in writer.shards] == [
        ("train-00000.bin", 300),
        ("train-00001.bin", 300),
        ("train-00002.bin", 300),
        ("train-00003.bin", 100),
    ]
    assert (tmp_path / "train-00000.bin").read_bytes() == IDS[:300].astype("<u2").tobytes()
    tokens = open_shards(tmp_path, writer.shards, 300)
    assert isinstance(tokens, ShardedTokens)
    assert len(tokens) == writer.tokens == 1000
    for start, stop in ((0, 1000), (299, 301), (300, 600), (250, 950), (990, 2000), (5, 5), (1000, 1001)):
        np.testing.assert_array_equal(tokens[start:stop], IDS[start:stop])
    with pytest.raises(ValueError, match="step"):
        tokens[::2]


def test_one_file_is_an_array_and_none_is_empty(tmp_path: Path) -> None:
    writer = write(tmp_path, shard_bytes=1 << 20)
    tokens = open_shards(tmp_path, writer.shards, 300)
    assert isinstance(tokens, np.memmap)
    np.testing.assert_array_equal(tokens, IDS)
    assert len(open_shards(tmp_path, [], 300)) == 0
    with ShardWriter(tmp_path, "unseen", 300) as empty:
        pass
    assert empty.shards == []


def test_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    assert [token_dtype(size).str for size in (257, 65_536, 65_537)] == ["<u2", "<u2", "<u4"]
    writer = write(tmp_path, vocab_size=100_000, shard_bytes=1 << 20)
    assert (tmp_path / "train-00000.bin").stat().st_size == 4000
    np.testing.assert_array_equal(open_shards(tmp_path, writer.shards, 100_000), IDS)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    writer = write(tmp_path)
    path = tmp_path / "train-00002.bin"
    content = bytearray(path.read_bytes())
    content[17] ^= 1
    path.write_bytes(content if damage == "flip" else content[:-2])
    if damage == "remove":
        path.unlink()
    with pytest.raises(CorruptError, match=r"train-00002\.bin.*run chidu data again"):
        open_shards(tmp_path, writer.shards, 300)
