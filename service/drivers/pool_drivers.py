"""The pool's end of a driver, and the time for which the pool waits for the driver's answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from service.clusters.placements import LaneShape
from service.drivers.messages import Join

__all__ = ["Patience", "PoolDriver", "SweepFacts"]

ANSWER_SECONDS = 10.0
"""Time after which a driver that does not answer counts as gone."""

SHORTEST_SECONDS = 2.0
"""Time that every answer may take, also of a driver that was slow before."""

QUICK_SECONDS = 0.5
"""Time that an answer may take for nothing."""

_RECOVERY = 0.1
"""Seconds that patience gains in a second."""


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """Facts about a sweep and its owner that may change while it runs; see `Candidate`."""

    owner: str
    weight: float = 1.0
    priority: int = 0
    slot_cap: int | None = None
    max_slots: int | None = None
    queued_at: int = 0


class Patience:
    """The seconds for which the pool still waits for one sweep's driver; all lanes wait meanwhile.

    A slow answer uses them up, and they come back over time. A driver that hangs, or is slow again and again, thus has
    at most a tenth of the pool's time, and `ANSWER_SECONDS` at once.

    Thread safety: none; the pool's lock guards it.
    clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._counted_at = ANSWER_SECONDS, clock()

    @property
    def seconds(self) -> float:
        """The longest wait for the next answer."""
        self._recover()
        return max(SHORTEST_SECONDS, self._left)

    @property
    def is_whole(self) -> bool:
        """True if nothing of it is used up."""
        self._recover()
        return self._left >= ANSWER_SECONDS

    @property
    def is_used_up(self) -> bool:
        """True if the driver is to get no other trial for now."""
        self._recover()
        return self._left <= 0.0

    def spend(self, seconds: float) -> None:
        """Count the time that an answer took."""
        self._recover()
        self._left -= max(0.0, seconds - QUICK_SECONDS)

    def _recover(self) -> None:
        now = self._clock()
        self._left = min(ANSWER_SECONDS, self._left + _RECOVERY * (now - self._counted_at))
        self._counted_at = now


@dataclass
class PoolDriver:
    """The pool's end of one driver. wanted: trials that it could start now."""

    join: Join
    connection: Connection
    facts: SweepFacts
    wanted: int
    patience: Patience = field(default_factory=Patience)
    dry_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def shape(self) -> LaneShape:
        """Shape of the lanes for the sweep's trials."""
        return LaneShape(self.join.cpu, self.join.gpu, self.join.accelerator)

    def ask(self, question: Any) -> Any:
        """Return the driver's answer. Raises EOFError or OSError if the driver is gone or does not answer."""
        with self.lock:
            began = time.monotonic()
            try:
                self.connection.send(question)
                if not self.connection.poll(self.patience.seconds):
                    raise EOFError(f"{self.join.sweep_id}: its driver gives no answer")
                return self.connection.recv()
            finally:
                self.patience.spend(time.monotonic() - began)

    def has_left(self) -> bool:
        """Return whether the driver has closed the connection; it sends nothing unless it is asked."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            return self.connection.poll(0)
        except OSError:
            return True
        finally:
            self.lock.release()
