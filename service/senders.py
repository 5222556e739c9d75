"""Carries the outbox to MLflow beside the sweep, never inside it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from service.ledgers import Ledger
from service.records import Message

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Deliverer(Protocol):
    def deliver(self, message: Message) -> None: ...


class Sender:
    """A thread that delivers a sweep's messages in order, each until it is taken.

    Ownership: borrows the ledger; makes its deliverer inside the thread, since that may be slow. A delivery that
    fails is tried again after a pause that doubles up to `LONGEST_PAUSE_SECONDS`; training never waits for it.
    """

    def __init__(self, ledger: Ledger, sweep_id: str, make_deliverer: Callable[[], Deliverer]) -> None:
        self._ledger = ledger
        self._sweep_id = sweep_id
        self._make = make_deliverer
        self._finishing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._work, name="mlflow-sender", daemon=True)
        self.last_error: str | None = None

    def start(self) -> Sender:
        self._thread.start()
        return self

    def finish(self, patience: float) -> int:
        """Deliver what is left, for at most `patience` seconds; returns how many messages still wait."""
        self._deadline = time.monotonic() + patience
        self._finishing.set()
        self._thread.join(patience)
        return len(self._ledger.waiting(sweep_id=self._sweep_id, limit=10_000))

    def _work(self) -> None:
        deliverer: Deliverer | None = None
        pause = POLL_SECONDS
        while time.monotonic() < self._deadline:
            try:
                deliverer = deliverer or self._make()
                idle = self._drain(deliverer)
                pause, self.last_error = POLL_SECONDS, None
            except Exception as error:  # whatever MLflow or the network raises, the message waits
                self.last_error = f"{type(error).__name__}: {error}"
                log.debug("MLflow did not take a message", exc_info=True)
                idle = False
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            if idle and self._finishing.is_set():
                return
            self._finishing.wait(pause)
            if self._finishing.is_set() and self.last_error:
                time.sleep(min(pause, 1.0))

    def _drain(self, deliverer: Deliverer) -> bool:
        """Deliver all that waits; True when nothing does any more."""
        while messages := self._ledger.waiting(sweep_id=self._sweep_id):
            for message in messages:
                if time.monotonic() >= self._deadline:
                    return False
                try:
                    deliverer.deliver(message)
                except Exception as error:
                    self._ledger.not_sent(message.id, f"{type(error).__name__}: {error}")
                    raise
                self._ledger.sent(message.id)
        return True
