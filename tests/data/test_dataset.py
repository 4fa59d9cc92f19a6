import shutil
from pathlib import Path

import numpy as np
import pytest

from chidu.data.dataset import Dataset, is_ours
from chidu.errors import CorruptError, InputError
from chidu.store import read_json, write_json


@pytest.fixture
def copy(dataset: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset.folder, tmp_path / "copy"))


def test_evaluation_windows_cover_the_split_once(dataset: Dataset) -> None:
    windows = dataset.windows("passages", 32)
    tokens = np.asarray(dataset.passages)
    assert windows.shape == ((len(tokens) - 1) // 32, 33)
    assert windows[0, 0] == dataset.tokenizer.eot
    np.testing.assert_array_equal(windows[:, 1:].ravel(), tokens[1 : 1 + windows[:, 1:].size])
    np.testing.assert_array_equal(windows[1:, 0], windows[:-1, -1])


def test_of_many_windows_evenly_spaced_ones_are_taken(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chidu.data.dataset.MAX_TOKENS", {"passages": 2048, "unseen": 2048})
    assert (len(dataset.passages) - 1) // 2 > 1024
    windows = dataset.windows("passages", 2)
    assert windows.shape == (1024, 3)
    np.testing.assert_array_equal(windows, dataset.windows("passages", 2))
    there = (len(dataset.passages) - 1) // 2
    last = 2 * (1023 * there // 1024)
    np.testing.assert_array_equal(windows[-1], dataset.passages[last : last + 3])


def test_too_few_windows_and_no_such_split(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="fewer than 2 windows of context 100000"):
        dataset.windows("unseen", 100_000)
    with pytest.raises(InputError, match="no held-out split 'train'"):
        dataset.windows("train", 8)


def test_sizes(dataset: Dataset) -> None:
    text = dataset.tokenizer.decode(int(token) for token in dataset.train[:])
    assert dataset.train_tokens == len(dataset.train)
    assert dataset.vocab_size == 400 == len(dataset.token_bytes)
    size = int(dataset.token_bytes[np.asarray(dataset.train)].sum())
    assert dataset.bytes_per_token == size / dataset.train_tokens
    assert text.count("<|endoftext|>") == dataset.datasheet["splits"]["train"]["texts"]
    assert dataset.id in str(dataset)
    assert dataset.to_json()["tokens"]["train"] == dataset.train_tokens


def test_opening_it_again(dataset: Dataset, copy: Path) -> None:
    again = Dataset.open(copy)
    assert again.id == dataset.id
    np.testing.assert_array_equal(again.train[:], dataset.train[:])
    with pytest.raises(InputError, match="run chidu data"):
        Dataset.open(copy.parent)


@pytest.mark.parametrize("name", ["train-00000.bin", "unseen-00000.bin", "tokenizer.json", "datasheet.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CorruptError, match=name.replace(".", r"\.")):
        Dataset.open(copy)


@pytest.mark.parametrize("record", [[], {"format": 1}, {"format": 1, "splits": {}}])
def test_a_damaged_record(copy: Path, record: object) -> None:
    write_json(copy / "dataset.json", record)
    with pytest.raises(CorruptError, match=r"dataset\.json"):
        Dataset.open(copy)


def test_another_format_and_a_changed_tokenizer(copy: Path) -> None:
    record = read_json(copy / "dataset.json")
    write_json(copy / "dataset.json", {**record, "format": 99})
    with pytest.raises(InputError, match="format 99"):
        Dataset.open(copy)
    write_json(copy / "dataset.json", record)
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"tokenizer\.json"):
        Dataset.open(copy)


def test_names_that_prepare_writes(dataset: Dataset) -> None:
    assert all(is_ours(path.name) for path in dataset.folder.iterdir())
    assert not any(map(is_ours, ("notes.txt", "train.bin", "runs")))
