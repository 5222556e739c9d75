"""Work on a store that nobody waits for."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from search_spaces import MeltpointError
from trainables.errors import StoreError

__all__ = ["BackgroundTasks", "within_seconds"]

T = TypeVar("T")

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Runs tasks one after another in a thread of its own; a task that the store refuses is logged.

    Ownership: the thread ends with the process, and `close` waits for it. Thread safety: any thread may submit.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, task: Callable[[], None]) -> None:
        """Run the task after those before it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stores", daemon=True)
            self._thread.start()
        self._tasks.put(task)

    def close(self, seconds: float) -> None:
        """Wait until every task has run, or until some seconds have passed."""
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except StoreError as error:
                log.warning("%s", error)


def within_seconds(seconds: float, function: Callable[[], T]) -> T:
    """Return what the function returns. Its thread is left behind if it takes longer.

    Raises:
        StoreError: it takes longer.
        MeltpointError: raised by the function.
    """
    results: list[T] = []
    errors: list[MeltpointError] = []

    def run() -> None:
        try:
            results.append(function())
        except MeltpointError as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="stores", daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise StoreError(f"the checkpoint store has not answered within {time.monotonic() - began:.0f} s")
    return results[0]
