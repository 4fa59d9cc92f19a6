"""The datasheet (Gebru et al. 1803.09010, the part a machine can fill in): what is in a data set, and what is not."""

import platform
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chidu.data.corpus import Corpus, FileCount

LISTED_FILES = 100
"""A source of more files is listed as a sum, and its files only where something was dropped."""

SCRIPT_SAMPLE = 1_000_000
"""Characters, about, whose script is counted."""

LICENCE = "not known to chidu: whoever uses the sources has to know that their licences allow it"


def describe_sources(corpus: Corpus) -> list[dict[str, Any]]:
    """List the sources with what was kept and dropped of each, and their files."""
    grouped: dict[str, list[FileCount]] = {}
    for file in corpus.files:
        grouped.setdefault(file.source, []).append(file)
    return [_describe_source(source, files) for source, files in grouped.items()]


def _describe_source(source: str, files: list[FileCount]) -> dict[str, Any]:
    listed = files if len(files) <= LISTED_FILES else [file for file in files if file.dropped]
    return {
        "source": source,
        "files": len(files),
        "documents": sum(file.documents for file in files),
        "bytes": sum(file.size for file in files),
        "characters": sum(file.characters for file in files),
        "dropped": count_dropped(files),
        "listed": [_describe_file(file) for file in listed],
    }


def _describe_file(file: FileCount) -> dict[str, Any]:
    """Counts of one file, without what does not apply to it."""
    values = {"bytes" if name == "size" else name: value for name, value in asdict(file).items() if name != "source"}
    return {name: value for name, value in values.items() if value is not None and value != {}}


def count_dropped(files: Iterable[FileCount]) -> dict[str, int]:
    """Sum what was dropped, [reason] -> count of documents or files."""
    total: Counter[str] = Counter()
    for file in files:
        total.update(file.dropped)
    return dict(sorted(total.items()))


def count_scripts(documents: Iterable[bytes]) -> dict[str, float]:
    """Share of each script among the characters of a sample, the largest first: Latin, Han, digits, space, ...

    A letter's script is the first word of its Unicode name.
    """
    characters: Counter[str] = Counter()
    for document in documents:
        characters.update(document.decode())
        if characters.total() >= SCRIPT_SAMPLE:
            break
    scripts: Counter[str] = Counter()
    for character, count in characters.items():
        scripts[_script(character)] += count
    total = max(characters.total(), 1)
    return {script: round(count / total, 4) for script, count in scripts.most_common() if count / total >= 5e-5}


def _script(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] == "L":
        word = unicodedata.name(character, "OTHER").split()[0].capitalize()
        return "Han" if word == "Cjk" else word
    if kind[0] == "N":
        return "digits"
    if kind[0] == "Z" or character in "\n\t":
        return "space"
    return "punctuation and symbols" if kind[0] in "PS" else "other"


def versions() -> dict[str, str]:
    """Versions of what made the data set."""
    found = {"python": platform.python_version()}
    for package in ("chidu", "numpy", "tokenizers", "tiktoken"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
