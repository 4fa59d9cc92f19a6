"""Token shards: files of little-endian numbers, two bytes each (four where the vocabulary needs them), nothing else."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from chidu.errors import CorruptError
from chidu.store import hash_file

SHARD_BYTES = 64 << 20
"""Most bytes of one file."""

Ids = NDArray[np.integer]


@dataclass(frozen=True)
class Shard:
    """One file of tokens."""

    file: str
    tokens: int
    sha256: str

    def to_json(self) -> dict[str, str | int]:
        """Plain values."""
        return asdict(self)


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """Choose the number type of a vocabulary's ids: `<u2`, or `<u4` where an id can exceed 65,535."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


class ShardWriter:
    """Appends tokens to `NAME-00000.bin`, `NAME-00001.bin`, ... in a folder; `shards` is complete after `close`."""

    def __init__(self, folder: Path, name: str, vocab_size: int, shard_bytes: int = SHARD_BYTES) -> None:
        """Open no file yet: a split without tokens has no shard."""
        self.folder, self.name = folder, name
        self.dtype = token_dtype(vocab_size)
        self.capacity = shard_bytes // self.dtype.itemsize
        self.tokens = 0
        self.shards: list[Shard] = []
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._inside = 0

    def append(self, ids: Ids) -> None:
        """Write ids, [tokens]; a document may lie across two files."""
        content = ids.astype(self.dtype)
        while len(content):
            if self._file is None:
                path = self.folder / f"{self.name}-{len(self.shards):05d}.bin"
                self._file, self._digest, self._inside = path.open("wb"), hashlib.sha256(), 0
            part = content[: self.capacity - self._inside].tobytes()
            self._file.write(part)
            self._digest.update(part)
            written = len(part) // self.dtype.itemsize
            self._inside += written
            self.tokens += written
            content = content[written:]
            if self._inside == self.capacity:
                self._finish()

    def close(self) -> None:
        """Finish the last file."""
        if self._file is not None:
            self._finish()

    def __enter__(self) -> "ShardWriter":
        """Close at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever happened."""
        self.close()

    def _finish(self) -> None:
        assert self._file is not None
        file, self._file = self._file, None
        file.close()
        self.shards.append(Shard(Path(file.name).name, self._inside, self._digest.hexdigest()))


class ShardedTokens:
    """Tokens of several files, sliced as if they were one array."""

    def __init__(self, parts: Sequence[Ids]) -> None:
        """Join arrays, each [tokens], in order."""
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in parts])
        self.dtype = self.parts[0].dtype

    def __len__(self) -> int:
        """Tokens of all files."""
        return int(self.ends[-1])

    def __getitem__(self, where: slice) -> Ids:
        """Take a contiguous slice, [stop - start]."""
        start, stop, step = where.indices(len(self))
        if step != 1:
            raise ValueError("tokens are sliced without a step")
        first = int(np.searchsorted(self.ends, start, side="right"))
        pieces = []
        while start < stop:
            begin = int(self.ends[first]) - len(self.parts[first])
            end = min(stop, int(self.ends[first]))
            pieces.append(self.parts[first][start - begin : end - begin])
            start, first = end, first + 1
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=self.dtype)


Tokens = Ids | ShardedTokens


def open_shards(folder: Path, shards: Sequence[Shard], vocab_size: int) -> Tokens:
    """Map the files of a split into memory, read-only, after their checksums were verified.

    Raises:
        CorruptError: a file is missing, too short or too long, or was changed.
    """
    dtype = token_dtype(vocab_size)
    parts = []
    for shard in shards:
        path = folder / shard.file
        if not path.is_file():
            raise CorruptError(f"{path} is missing; run chidu data again")
        if path.stat().st_size != shard.tokens * dtype.itemsize or hash_file(path) != shard.sha256:
            raise CorruptError(f"{path} is not as it was written (its checksum differs); run chidu data again")
        parts.append(np.memmap(path, dtype=dtype, mode="r"))
    if not parts:
        return np.zeros(0, dtype=dtype)
    return parts[0] if len(parts) == 1 else ShardedTokens(parts)
