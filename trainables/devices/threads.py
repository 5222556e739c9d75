"""Small operations, one after another, are quicker without torch's own threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on the calling thread alone, and so in threads started meanwhile; then as before.

    An image is just large enough for torch to split it over threads. Where the cores are busy with other
    trials, waiting for the slowest thread made one view of one image cost 10 to 40 ms instead of 0.4 ms.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
