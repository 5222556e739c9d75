"""The bulletin of a driver or a pool: a small Ray actor beside it, from which workers on other nodes hear of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.processes import ABANDONED, Board, Rendezvous

__all__ = ["Bulletin"]

_MOST_READERS = 100_000
"""Workers that may wait for news at once."""


class Bulletin:
    """Tells workers on other nodes what the files of this machine tell those here: of rendezvous, and of bells.

    The actor has no cores, stands on this node, and ends with this process's connection to Ray. `mirror` is to be
    called about twice a second.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self.name = f"bulletin-{uuid.uuid4().hex}"
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._board: Any = (
            ray.remote(Board)
            .options(name=self.name, num_cpus=0, max_concurrency=_MOST_READERS, scheduling_strategy=here)
            .remote()
        )
        self._lock = threading.Lock()
        self._followed: dict[str, str] = {}
        """The notice that was posted last, by the folder of the rendezvous."""
        self._rings = 0

    def follow(self, folder: str) -> None:
        """Post changes of the rendezvous in this folder from now on, until it is abandoned."""
        with self._lock:
            self._followed.setdefault(folder, "")

    def mirror(self) -> None:
        """Post what has changed."""
        with self._lock:
            now = {folder: Rendezvous(folder, 1).notice() for folder in self._followed}
            changed = {folder: notice for folder, notice in now.items() if notice != self._followed[folder]}
            if changed:
                self._board.post.remote(changed)
            self._followed = {folder: notice for folder, notice in now.items() if notice != ABANDONED}

    def ring(self, bells: Iterable[str]) -> None:
        """Wake the workers that wait for one of these bells."""
        with self._lock:
            self._rings += 1
            self._board.post.remote(dict.fromkeys(bells, str(self._rings)))
