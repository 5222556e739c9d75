"""Prestarts: Ray and a fork server, started while the command still imports what it needs itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from service.clusters.ray_heads import RayHead
from trainables.processes import ForkServer
from trainables.trials import PRELOAD

__all__ = ["Prestarted", "prestart"]


@dataclass(frozen=True)
class Prestarted:
    """A fork server and a Ray head that run already. head: None if another Ray is joined.

    Ownership: the creator ends both.
    """

    fork_server: ForkServer
    head: RayHead | None


@contextmanager
def prestart() -> Iterator[Prestarted | None]:
    """Start a fork server and Ray, and end them; yield None if this process has loaded torch already."""
    if "torch" in sys.modules:
        yield None
        return
    with ExitStack() as stack:
        fork_server = stack.enter_context(closing(ForkServer(preload=PRELOAD)))
        head = None if os.environ.get("RAY_ADDRESS") else stack.enter_context(closing(RayHead()))
        yield Prestarted(fork_server, head)
