"""The documents of all sources: normalised, without repetition, on disk, and in an order that only their text decides.

Sources are read once and a document is never held twice: its text lies in one file, in memory there is its hash.
Documents come in the order of their hashes, so that the order of sources changes nothing and every beginning of the
corpus is a fair sample of it.
"""

import hashlib
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chidu.data.normalise import normalise
from chidu.data.sources import TEXT_ENDINGS, Reading, SourceFile, Unreadable, piece_size, read_documents


def text_hash(text: bytes) -> bytes:
    """Hash of a text in UTF-8, 16 bytes (BLAKE2b): its identity, its place in the order, and its lot in the split."""
    return hashlib.blake2b(text, digest_size=16).digest()


@dataclass(frozen=True)
class Place:
    """Where a document lies in the corpus file, in bytes."""

    digest: bytes
    start: int
    length: int


@dataclass
class FileCount:
    """What one file gave."""

    name: str
    source: str
    documents: int = 0
    size: int = 0
    """UTF-8 bytes of the documents."""
    characters: int = 0
    text_field: str | None = None
    """The field taken for the text, of JSON and CSV."""
    pieces_of: int | None = None
    """About how many bytes the documents have that a long text was cut into."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Documents, or whole files, left out, [reason] -> count."""

    def drop(self, reason: str) -> None:
        """Count one document as left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


@dataclass(frozen=True)
class Corpus:
    """Normalised documents in one file, in the order of their hashes."""

    path: Path
    places: tuple[Place, ...]
    files: tuple[FileCount, ...]
    """In the order in which they were read."""

    @property
    def size(self) -> int:
        """UTF-8 bytes of all documents."""
        return sum(place.length for place in self.places)

    @property
    def characters(self) -> int:
        """Characters of all documents."""
        return sum(file.characters for file in self.files)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.places)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the documents, UTF-8."""
        if not self.places:
            return
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for place in self.places:
                yield content[place.start : place.start + place.length]


def read_corpus(files: Sequence[SourceFile], path: Path, progress: Callable[[float], None]) -> Corpus:
    """Read, normalise and de-duplicate all documents into the file `path`.

    A file that holds no text is an error where the user named it; within a folder it is dropped and counted.

    Raises:
        InputError: see `sources.read_documents`.
    """
    sizes = [file.size() for file in files]
    total, done = sum(sizes), 0
    seen: set[bytes] = set()
    places: list[Place] = []
    counts = []
    with path.open("wb") as out:
        for file, size in zip(files, sizes, strict=True):
            piece = piece_size(size, total) if file.ending in TEXT_ENDINGS else None
            count = FileCount(file.name, file.source, pieces_of=piece)
            mark, position = len(places), out.tell()
            try:
                for text in _documents(file, count):
                    raw = text.encode()
                    digest = text_hash(raw)
                    if digest in seen:
                        count.drop("duplicate")
                        continue
                    seen.add(digest)
                    places.append(Place(digest, out.tell(), len(raw)))
                    out.write(raw)
                    count.documents += 1
                    count.size += len(raw)
                    count.characters += len(text)
                    if count.documents % 1000 == 0:
                        progress((done + min(count.size, size)) / total)
            except Unreadable as error:
                if file.named:
                    raise
                seen.difference_update(place.digest for place in places[mark:])
                del places[mark:]
                out.seek(position)
                out.truncate()
                count = FileCount(file.name, file.source, dropped={error.reason: 1})
            counts.append(count)
            done += size
            progress(done / max(total, 1))
    return Corpus(path, tuple(sorted(places, key=lambda place: place.digest)), tuple(counts))


def _documents(file: SourceFile, count: FileCount) -> Iterator[str]:
    """Normalised documents of a file that are not empty."""
    reading = Reading()
    for text in read_documents(file, count.pieces_of, reading):
        if clean := normalise(text):
            yield clean
        else:
            count.drop("empty")
    count.text_field = reading.text_field
