"""The whole step: sources -> a folder with shards, tokenizer and datasheet. Done once; a rerun does nothing."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from chidu.data.corpus import Corpus, read_corpus
from chidu.data.dataset import (
    DATASHEET,
    FORMAT,
    MIN_WINDOWS,
    RECORD,
    TOKENIZER,
    Dataset,
    dataset_id,
    is_ours,
    read_record,
)
from chidu.data.datasheet import LICENCE, count_dropped, count_scripts, describe_sources, versions
from chidu.data.loader import count_windows
from chidu.data.normalise import SWITCHES
from chidu.data.shards import Shard, ShardWriter
from chidu.data.sources import SourceFile, find_files
from chidu.data.split import Split, SplitPlan, plan_split, select, split_document
from chidu.data.tokenizer import BYTE_VOCAB, Tokenizer, check_vocab_size
from chidu.errors import CorruptError, InputError
from chidu.store import hash_file, hash_json, write_folder, write_json

MIN_BYTES = 20_000
"""Least text that is worth a data set."""

MIN_CONTEXT = 256
"""Context for which held-out passages must suffice."""

SAMPLE_BYTES = 20_000_000
"""Training text from which the tokenizer learns; a byte outside ASCII counts three times, because a run of Han is one
long word to the learner: 20 MB of Chinese take 16 s and 1.5 GB, a third of that 5 s and 0.5 GB."""

SPLITS: tuple[Split, ...] = ("train", "passages", "unseen")

Progress = Callable[[str, float], None]
"""Is told the stage, and the part of it that is done, from 0 to 1."""


@dataclass(frozen=True)
class Encoded:
    """What became of one split."""

    texts: int
    bytes: int
    tokens: int
    shards: tuple[Shard, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "shards": [shard.to_json() for shard in self.shards]}


def prepare(
    sources: Sequence[str], out: str | Path, *, vocab_size: int = 1024, progress: Progress | None = None
) -> Dataset:
    """Prepare a data set from text, or open it if the same sources and options made it before.

    Args:
        sources: files and folders (.txt .md .rst .py .jsonl .json .csv, each also .gz), or `builtin`.
        out: the folder to write; it appears when it is whole.
        vocab_size: token ids, end-of-text included; 0 or 257 for plain bytes.
        progress: see `Progress`.

    Raises:
        InputError: a source that cannot be read, too little text, or `out` holds something else.
        OSError: the disk is full or may not be written; nothing half-written is left.
    """
    check_vocab_size(vocab_size)
    vocab_size = vocab_size or BYTE_VOCAB
    out = Path(os.path.abspath(out))
    report = progress or (lambda stage, part: None)
    files = find_files(sources, without=out)
    report("checking the sources", 0.0)
    fingerprint = _fingerprint(files, vocab_size)
    done = _open_done(out, fingerprint)
    if done is not None:
        return done
    with write_folder(out) as folder:
        _write(folder, files, vocab_size, fingerprint, report)
    return Dataset.open(out)


def _fingerprint(files: Sequence[SourceFile], vocab_size: int) -> str:
    """Hash of everything that decides the data set: the files' content and the options."""
    contents = sorted([file.ending, file.path.suffix.lower() == ".gz", hash_file(file.path)] for file in files)
    return hash_json({"format": FORMAT, "normalisation": SWITCHES, "vocab_size": vocab_size, "files": contents})


def _open_done(out: Path, fingerprint: str) -> Dataset | None:
    """Open what lies in `out` if it is this data set; `None` if the way is free or a damaged one may be replaced."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise InputError(f"{out} is a file; choose another --out")
    foreign = sorted(path.name for path in out.iterdir() if not is_ours(path.name))
    if foreign:
        raise InputError(f"{out} holds files that are not a data set's ({foreign[0]}); choose another --out")
    if not (out / RECORD).exists():
        return None
    try:
        if read_record(out).get("fingerprint") == fingerprint:
            return Dataset.open(out)
    except CorruptError:
        return None
    raise InputError(
        f"{out} already holds a data set made from other sources or with another vocabulary; "
        "choose another --out, or delete it"
    )


def _write(folder: Path, files: Sequence[SourceFile], vocab_size: int, fingerprint: str, report: Progress) -> None:
    """Do the step: read, split, learn the tokenizer, encode, describe."""
    start = time.monotonic()
    corpus = read_corpus(files, folder / "corpus.tmp", lambda part: report("reading text", part))
    _check_size(corpus)
    plan = plan_split(corpus.size, len(corpus))
    report("learning the tokenizer", 0.0)
    tokenizer = Tokenizer.train(_sample(corpus, plan), vocab_size)
    tokenizer.save(folder / TOKENIZER)
    splits = _encode(folder, corpus, plan, tokenizer, lambda part: report("encoding", part))
    _check_splits(corpus, splits)
    tokenizer_sha = hash_file(folder / TOKENIZER)
    shards = [shard for name in SPLITS for shard in splits[name].shards]
    identity = dataset_id(tokenizer_sha, shards)
    sheet = {
        "id": identity,
        **_describe(corpus, plan, tokenizer, vocab_size, splits),
        "seconds": round(time.monotonic() - start, 1),
    }
    write_json(folder / DATASHEET, sheet)
    corpus.path.unlink()
    record = {
        "format": FORMAT,
        "id": identity,
        "fingerprint": fingerprint,
        "vocab_size": tokenizer.vocab_size,
        "tokenizer": tokenizer_sha,
        "splits": {name: splits[name].to_json() for name in SPLITS},
    }
    write_json(folder / RECORD, record)
    report("encoding", 1.0)


def _check_size(corpus: Corpus) -> None:
    if corpus.size < MIN_BYTES:
        counts = {"kept": len(corpus), **count_dropped(corpus.files)}
        raise InputError(
            f"the sources hold {corpus.size:,} bytes of text (documents: "
            f"{', '.join(f'{count:,} {what}' for what, count in counts.items())}), "
            f"but a data set needs {MIN_BYTES:,}; add text, or name the source builtin for a trial"
        )


def _check_splits(corpus: Corpus, splits: dict[Split, Encoded]) -> None:
    there = count_windows(splits["passages"].tokens, MIN_CONTEXT)
    if there < MIN_WINDOWS or count_windows(splits["train"].tokens, MIN_CONTEXT) < MIN_WINDOWS:
        raise InputError(
            f"the sources hold {corpus.size:,} bytes of text, of which {splits['passages'].bytes:,} are held-out "
            f"passages, fewer than {MIN_WINDOWS} windows of {MIN_CONTEXT} tokens; add text: "
            f"{10 * MIN_BYTES:,} bytes are enough"
        )


def _sample(corpus: Corpus, plan: SplitPlan) -> Iterator[str]:
    """Training text for the tokenizer: the beginning of the corpus, which is a fair sample of it."""
    budget = SAMPLE_BYTES
    for text in select(corpus, plan, "train"):
        yield text.decode()
        budget -= len(text) + 2 * int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) > 127))
        if budget < 0:
            return


def _encode(
    folder: Path, corpus: Corpus, plan: SplitPlan, tokenizer: Tokenizer, report: Callable[[float], None]
) -> dict[Split, Encoded]:
    """Write the tokens of all splits, end-of-text before each text."""
    texts, sizes = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    eot = np.array([tokenizer.eot], dtype=np.int32)
    total, done = corpus.size, 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(folder, name, tokenizer.vocab_size)) for name in SPLITS}
        for number, document in enumerate(corpus):
            for name, text in split_document(document, plan):
                writers[name].append(np.concatenate([eot, tokenizer.encode(text.decode())]))
                texts[name] += 1
                sizes[name] += len(text)
            done += len(document)
            if number % 64 == 0:
                report(done / total)
    return {
        name: Encoded(texts[name], sizes[name], writer.tokens, tuple(writer.shards)) for name, writer in writers.items()
    }


def _describe(
    corpus: Corpus, plan: SplitPlan, tokenizer: Tokenizer, asked: int, splits: dict[Split, Encoded]
) -> dict[str, Any]:
    """Fill in the datasheet."""
    train = splits["train"]
    notes = []
    if tokenizer.vocab_size < asked:
        notes.append(f"a vocabulary of {asked:,} was asked for, but the text has only {tokenizer.vocab_size:,} tokens")
    if splits["unseen"].texts == 0:
        notes.append("no whole document is held out: the sources have too few documents")
    return {
        "sources": describe_sources(corpus),
        "text": {
            "documents": len(corpus),
            "bytes": corpus.size,
            "characters": corpus.characters,
            "scripts": count_scripts(corpus),
        },
        "splits": {
            name: {"texts": part.texts, "bytes": part.bytes, "tokens": part.tokens} for name, part in splits.items()
        },
        "held_out": plan.to_json(),
        "tokenizer": {
            "kind": "byte-level BPE" if tokenizer.merges else "bytes",
            "vocab_size": tokenizer.vocab_size,
            "bytes_per_token": round(train.bytes / train.tokens, 4),
        },
        "notes": notes,
        "normalisation": SWITCHES,
        "licence": LICENCE,
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
