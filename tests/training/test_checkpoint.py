from pathlib import Path

import pytest
import torch

from chidu.errors import CorruptError, InputError
from chidu.model.transformer import Transformer
from chidu.store import read_json, write_json
from chidu.training import checkpoint as room
from chidu.training.checkpoint import latest_checkpoint, load_model, restore, save_checkpoint, verify
from chidu.training.optimizer import make_optimizer, set_rate


@pytest.fixture
def trained(make_config):
    """A config, its model and optimizer after one step, so that every moment is there."""
    config = make_config()
    model = Transformer(config.model)
    optimizer = make_optimizer(model, config)
    set_rate(optimizer, 1.0)
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step()
    return config, model, optimizer


def test_weights_moments_and_step_come_back_to_the_bit(trained, tmp_path: Path):
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 7, model, optimizer, config, seconds=3.5)
    other = Transformer(config.model, seed=9)
    fresh = make_optimizer(other, config)
    assert restore(folder, other, fresh) == (7, 3.5)
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        for key, value in optimizer.state[ours].items():
            assert torch.equal(value, fresh.state[theirs][key]), (name, key)
            assert value.dtype == fresh.state[theirs][key].dtype


def test_going_on_does_not_touch_the_checkpoint(trained, tmp_path: Path):
    """The moments are mapped from the file; steps on them must not be written back."""
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 1, model, optimizer, config)
    restore(folder, model, optimizer)
    optimizer.step()
    verify(folder)


def test_only_the_newest_stays(trained, tmp_path: Path):
    config, model, optimizer = trained
    for left in ("checkpoint-3", ".checkpoint-5.12.tmp", ".checkpoint-5.12.old.tmp", "checkpoint-old", "tensorboard"):
        (tmp_path / left).mkdir()
    save_checkpoint(tmp_path, 9, model, optimizer, config)
    save_checkpoint(tmp_path, 10, model, None, config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-old", "tensorboard"]
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert latest_checkpoint(tmp_path / "none") is None


def test_a_model_is_loaded_from_a_run_or_a_checkpoint(trained, tmp_path: Path):
    config, model, _ = trained
    folder = save_checkpoint(tmp_path / "run", 12, model, None, config)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors", "state.json"]
    for path in (folder, folder.parent):
        loaded, its_config = load_model(path)
        assert its_config == config
        assert not loaded.training
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))
    with pytest.raises(InputError, match="holds no checkpoint"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.json"])
@pytest.mark.parametrize("place", [0, 0.3, 0.99])
def test_a_flipped_byte_is_found(trained, tmp_path: Path, name: str, place: float):
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 1, model, optimizer, config)
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / name).write_bytes(content)
    for read in (lambda: load_model(tmp_path), lambda: restore(folder, model, optimizer)):
        with pytest.raises(CorruptError, match=rf"{name} is damaged .* delete .*checkpoint-1 and rerun"):
            read()


def test_any_flipped_byte_of_the_record_is_found_or_harmless(trained, tmp_path: Path):
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 1, model, optimizer, config, seconds=2.0)
    content = (folder / "state.json").read_bytes()
    words = []
    for place in range(0, len(content), 3):
        (folder / "state.json").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            words.append(f"step {restore(folder, model, optimizer)[0]}")
        except CorruptError as error:
            words.append(str(error))
    harmless = [word for word in words if word == "step 1"]
    assert len(harmless) <= 2  # a digit of the seconds
    assert all("checkpoint-1" in word for word in words if word not in harmless)


@pytest.mark.parametrize("record", [[], {}, {"step": 1}, {"step": 1, "seconds": 0, "sha256": {}}, None])
def test_a_record_that_is_none(trained, tmp_path: Path, record: object):
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 1, model, optimizer, config)
    write_json(folder / "state.json", record)
    if record is None:
        (folder / "state.json").unlink()
    with pytest.raises(CorruptError, match=r"state\.json is missing or damaged"):
        restore(folder, model, optimizer)


def test_a_lost_file_is_named(trained, tmp_path: Path):
    config, model, optimizer = trained
    folder = save_checkpoint(tmp_path, 1, model, optimizer, config)
    (folder / "optimizer.safetensors").unlink()
    with pytest.raises(CorruptError, match=r"optimizer\.safetensors is damaged"):
        restore(folder, model, optimizer)


def test_a_file_of_the_right_checksum_that_is_no_safetensors(trained, tmp_path: Path):
    config, model, _ = trained
    folder = save_checkpoint(tmp_path, 1, model, None, config)
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04 not executed")
    state = read_json(folder / "state.json")
    state["sha256"]["model.safetensors"] = room.hash_file(folder / "model.safetensors")
    write_json(folder / "state.json", state)
    with pytest.raises(CorruptError, match=r"model\.safetensors cannot be read"):
        load_model(folder)


def test_a_full_disk_leaves_the_older_checkpoint(trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, model, optimizer = trained
    save_checkpoint(tmp_path, 1, model, optimizer, config)

    def fail(*args: object) -> None:
        raise room.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(room, "save_file", fail)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(tmp_path, 2, model, optimizer, config)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    verify(tmp_path / "checkpoint-1")
