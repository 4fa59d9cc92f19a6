"""What a tuning sets for its process is put back."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def restored_torch() -> Iterator[None]:
    """One thread in a test; afterwards everything as before."""
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
