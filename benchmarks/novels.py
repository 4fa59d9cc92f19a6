"""Short runs on English novels, kept in a folder: what the benchmarks of schedules and of noise train."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import record
from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.prepare import prepare
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import trunks_by_run
from chidu.runs import Run
from chidu.training.train import Machine, train
from chidu.training.trunk import Shared, branch_point

DATA = record.ROOT.parent / "shared" / "data"
SOURCE = "novels_en.train.jsonl.gz"
VOCAB_SIZE = 1024


def add_options(parser: ArgumentParser) -> None:
    """Where the text is, and where runs are kept."""
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of novels_en.train.jsonl.gz")
    parser.add_argument("--work", type=Path, help="keep data set and runs here: killed, the same command goes on")
    parser.add_argument("--check", action="store_true")


@contextmanager
def open_work(asked: Namespace) -> Iterator[tuple[Dataset, Path]]:
    """The data set, prepared where it is missing, and the folder for runs."""
    with tempfile.TemporaryDirectory(prefix="chidu-novels-") as passing:
        folder = asked.work or Path(passing)
        yield prepare([str(asked.data / SOURCE)], folder / "data", vocab_size=VOCAB_SIZE), folder / "runs"


def train_alone(config: TrainConfig, data: Dataset, out: Path) -> Run:
    """Train one run on one thread in this process, or read it back."""
    return train(config, data, out / config.id, Machine(tensorboard=False))


def train_shared(configs: Sequence[TrainConfig], data: Dataset, out: Path) -> dict[str, Run]:
    """Train runs, each trunk from its shortest to its longest, and return them by their id."""
    trunks, found = trunks_by_run([Rung(config, 0.0) for config in configs]), dict[str, Run]()
    for trunk in {id(trunk): trunk for trunk in trunks.values()}.values():
        start = None
        for rung in trunk.rungs:
            config, folder = rung.config, out / rung.config.id
            shared = Shared(start=start, keep=trunk.after(rung) is not None)
            found[config.id] = train(config, data, folder, Machine(tensorboard=False), shared)
            start = branch_point(config, folder)
    return found
