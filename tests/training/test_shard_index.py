"""An index of shards is read without running anything that it holds."""

import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from chidu.errors import CorruptError
from chidu.training.shard_index import INDEX, check_index


class Hostile:
    """What runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_an_index_of_tensors_passes_and_one_of_other_things_does_not(tmp_path: Path):
    dcp.save({"weight": torch.ones(3), "half": torch.ones(2, dtype=torch.bfloat16)}, checkpoint_id=tmp_path / "tensors")
    check_index(tmp_path / "tensors")
    dcp.save({"weight": torch.ones(3), "rate": 0.1}, checkpoint_id=tmp_path / "bytes")
    with pytest.raises(CorruptError, match="BytesStorageMetadata is no part of an index of tensors"):
        check_index(tmp_path / "bytes")


@pytest.mark.parametrize("damage", [b"", b"no pickle", b"\x80\x04]q"])
def test_a_damaged_index_is_refused(tmp_path: Path, damage: bytes):
    (tmp_path / INDEX).write_bytes(damage)
    with pytest.raises(CorruptError, match="is not an index that chidu wrote"):
        check_index(tmp_path)


def test_nothing_is_run(tmp_path: Path):
    (tmp_path / INDEX).write_bytes(pickle.dumps(Hostile(f"touch {tmp_path / 'ran'}")))
    with pytest.raises(CorruptError, match="system is no part of an index"):
        check_index(tmp_path)
    assert not (tmp_path / "ran").exists()
