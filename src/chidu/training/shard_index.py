"""The index of a sharded checkpoint, which torch pickles: read here first by a reader that can build nothing else.

`torch.distributed.checkpoint` opens its `.metadata` with pickle, which may run anything, and items that are no tensors
as well. So only tensors are written, and an index that asks for more than an index of tensors needs is refused.
"""

import pickle
from pathlib import Path, PosixPath, WindowsPath
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata

from chidu.errors import CorruptError

INDEX = ".metadata"
ALLOWED: dict[tuple[str, str], Any] = {
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,  # type: ignore[attr-defined]
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"): filesystem._StorageInfo,
    ("pathlib", "PosixPath"): PosixPath,
    ("pathlib", "WindowsPath"): WindowsPath,
    **{
        ("torch.distributed.checkpoint.metadata", name): getattr(metadata, name)
        for name in (
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "ChunkStorageMetadata",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    },
}
"""What an index of tensors is made of; number types of torch are allowed too, but no item of bytes."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give what the list allows."""
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an index of tensors")


def check_index(folder: Path) -> None:
    """Read the index of a sharded checkpoint without running anything from it.

    Raises:
        CorruptError: it is damaged, or holds something else than an index of tensors.
    """
    try:
        with (folder / INDEX).open("rb") as file:
            _Reader(file).load()
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError) as why:
        raise CorruptError(f"{folder / INDEX} is not an index that chidu wrote ({why}); delete {folder}") from None
