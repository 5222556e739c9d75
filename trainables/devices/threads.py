"""Control of torch's own threads: many small operations are quicker without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute on the calling thread alone inside the block, also in threads that start there.

    An image is just large enough for torch to split it over threads. On cores that are busy with other trials, the
    wait for the slowest thread made one view of one image take 10 to 40 ms instead of 0.4 ms.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
