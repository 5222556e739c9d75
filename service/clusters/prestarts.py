"""What a command starts first, so that it starts while the command still loads what it needs itself."""

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
    """What runs already; whoever started it ends it. head: None where another Ray is joined."""

    fork_server: ForkServer
    head: RayHead | None


@contextmanager
def prestart() -> Iterator[Prestarted | None]:
    """None where nothing is left to load: such a process may have started what it needs before."""
    if "torch" in sys.modules:
        yield None
        return
    with ExitStack() as stack:
        fork_server = stack.enter_context(closing(ForkServer(preload=PRELOAD)))
        head = None if os.environ.get("RAY_ADDRESS") else stack.enter_context(closing(RayHead()))
        yield Prestarted(fork_server, head)
