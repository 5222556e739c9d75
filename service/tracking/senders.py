"""Carries the outbox to MLflow beside the sweep, never inside it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from service.file_locks import try_lock
from service.ledgers import Ledger, Message

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
GIVE_UP_SECONDS = 15.0
LONGEST_DELIVERY_SECONDS = 30.0

TOGETHER_SECONDS = 1.0
"""For which what is new of a trial under way waits for more of it: a short trial is then told of once."""


class Deliverer(Protocol):
    trials_at_once: int
    """How many trials' messages it takes in one delivery."""

    def deliver(self, messages: Sequence[Message]) -> None:
        """Pass on messages of trials, those of each in order, or one of another kind.

        Where this raises, all of them will come again, each trial's by themselves.
        """


class Sender:
    """A thread that delivers messages in order: a sweep's own, and first those that ended sweeps left behind.

    Ownership: borrows the ledger; makes its deliverer inside the thread, since that may be slow. What waits for one
    trial is delivered together. A message that is not taken holds up the other ones of its trial (or of the whole
    sweep, if it is the sweep's start) and no others; it is tried again after a pause that doubles up to
    `LONGEST_PAUSE_SECONDS`. Training never waits for it. What is new of a trial under way waits a moment for more.
    """

    def __init__(
        self, ledger: Ledger, sweep_id: str, make_deliverer: Callable[[], Deliverer], *, backlog_lock: Path
    ) -> None:
        self._ledger = ledger
        self._sweep_id = sweep_id
        self._make = make_deliverer
        self._backlog_lock = backlog_lock
        self._deliverer: Deliverer | None = None
        self._finishing = threading.Event()
        self._closed = threading.Event()
        self._last_taken = time.monotonic()
        self._waiting: dict[str, float] = {}
        """Since when there is something new of a trial, by its lane."""
        self._thread = threading.Thread(target=self._work, name="mlflow-sender", daemon=True)
        self.last_error: str | None = None

    def start(self) -> Sender:
        self._thread.start()
        return self

    def finish(self, patience: float) -> int:
        """Deliver what is left; returns how many of the sweep's messages still wait.

        Ends when nothing has been taken for `patience` seconds, or for `GIVE_UP_SECONDS` of them after an error.
        """
        self._last_taken = time.monotonic()
        self._finishing.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            longest = min(GIVE_UP_SECONDS, patience) if self.last_error else patience
            if time.monotonic() - self._last_taken >= longest:
                break
        self._closed.set()
        self._thread.join(LONGEST_DELIVERY_SECONDS)  # a process that ends under a delivery may crash in torch
        return self._ledger.outbox.count_unsent(self._sweep_id)

    def _work(self) -> None:
        pause = POLL_SECONDS
        self._tried(self._deliver_backlog)  # what is left behind may wait; this sweep's messages go on
        while not self._closed.is_set():
            last = self._finishing.is_set()
            if self._tried(lambda: self._deliver_all(self._sweep_id)):
                self.last_error = None
                if last:
                    return
                pause = POLL_SECONDS
            else:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            (self._closed if last else self._finishing).wait(min(pause, 2.0) if last else pause)

    def _tried(self, delivery: Callable[[], bool | None]) -> bool:
        """Whether all was delivered; a ledger that cannot be written, say, is tried again as MLflow is."""
        try:
            return bool(delivery())
        except Exception as error:
            self._note(error)
            return False

    def _deliver_backlog(self) -> None:
        with try_lock(self._backlog_lock) as ours:
            for sweep_id in self._ledger.outbox.sweeps_with_unsent() if ours else ():
                self._deliver_all(sweep_id)

    def _deliver_all(self, sweep_id: str) -> bool:
        """Deliver what waits, passing over the lanes in which something was not taken; True unless there are any."""
        blocked: set[str | None] = set()
        waiting = self._ledger.outbox.unsent(sweep_id)
        latest_of_sweep = max((message.id for message in waiting if not message.is_about_trial), default=0)
        for lanes in _together(waiting):
            ready = [
                lane
                for lane in lanes
                if lane[0].stream not in blocked and not (lane[0].id > latest_of_sweep and self._more_may_come(lane))
            ]
            alone = 0
            while ready:
                if self._closed.is_set():
                    return False
                few = ready[: 1 if alone or self._deliverer is None else self._deliverer.trials_at_once]
                if not self._delivered(few):
                    if len(few) > 1:
                        alone = len(few)
                        continue
                    if few[0][0].starts_sweep or self._deliverer is None:
                        return False
                    blocked.add(few[0][0].stream)
                ready, alone = ready[len(few) :], max(0, alone - 1)
        return not blocked

    def _delivered(self, lanes: Sequence[list[Message]]) -> bool:
        """Whether they were taken, all of them together; what one lane alone lacks is noted."""
        messages = [message for lane in lanes for message in lane]
        ids = [message.id for message in messages]
        try:
            self._deliverer = self._deliverer or self._make()
            self._deliverer.deliver(messages)
        except Exception as error:  # whatever MLflow or the network raises, the messages wait
            self._note(error)
            if len(lanes) == 1:
                self._ledger.outbox.note_failure(*ids, error=self.last_error or "")
            return False
        self._ledger.outbox.mark_sent(*ids)
        for lane in lanes:
            self._waiting.pop(lane[0].stream, None)
        self._last_taken = time.monotonic()
        return True

    def _more_may_come(self, messages: Sequence[Message]) -> bool:
        """Whether they are of a trial under way that had nothing to tell until a moment ago."""
        ours = messages[0].sweep_id == self._sweep_id and not self._finishing.is_set()
        if not ours or any(of.ends_trial for of in messages):
            return False
        since = self._waiting.setdefault(messages[0].stream, time.monotonic())
        return time.monotonic() - since < TOGETHER_SECONDS

    def _note(self, error: Exception) -> None:
        self.last_error = f"{type(error).__name__}: {error}"
        log.info("MLflow did not take a message, or the ledger did not note it", exc_info=True)


def _together(messages: Iterable[Message]) -> Iterator[list[list[Message]]]:
    """Each trial's messages between two of the sweep's own as one list; the sweep's own and candidates alone."""
    for of_trials, group in groupby(messages, key=lambda message: message.is_about_trial):
        if of_trials:
            yield by_stream(group)
        else:
            yield from ([[message]] for message in group)


def by_stream(messages: Iterable[Message]) -> list[list[Message]]:
    """The messages of each trial, in order; trials in the order of their first ones."""
    lanes: dict[str | None, list[Message]] = {}
    for message in messages:
        lanes.setdefault(message.stream, []).append(message)
    return list(lanes.values())
