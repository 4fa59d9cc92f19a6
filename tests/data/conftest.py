"""A data set of made-up text, prepared once."""

from pathlib import Path

import pytest
from made_up_text import documents, write_jsonl

from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 documents, about 120 kB."""
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "text.jsonl", documents(120))


@pytest.fixture(scope="session")
def dataset(corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set that no test changes."""
    return prepare([str(corpus_file)], tmp_path_factory.mktemp("data") / "set", vocab_size=400)
