"""Sends the outbox to MLflow beside the sweep, so that training never waits for MLflow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from search_spaces import MeltpointError
from service.errors import ArtifactError
from service.file_locks import try_lock, wait_for_lock
from service.ledgers import Ledger, Message

__all__ = ["Deliverer", "Sender"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
GIVE_UP_SECONDS = 15.0
FILES_GIVE_UP_SECONDS = 5.0
"""The same if nothing but files is left, which wait for people more often than for a network."""

LONGEST_DELIVERY_SECONDS = 30.0

LOCK_SECONDS = 2.0
"""Time for which a sender waits for another one that is delivering for the same sweep, before it tries again."""

GATHER_SECONDS = 1.0
"""Time for which messages of a running trial wait for more: a short trial is then written in one delivery."""


class Deliverer(Protocol):
    """Passes messages on, such as to MLflow."""

    def deliver(self, messages: Sequence[Message]) -> None:
        """Pass on all messages of one trial, in order, or a single message of another kind.

        If this raises, the same messages come again later: an ArtifactError means that only files could not be written.
        """


class Sender:
    """Delivers messages in order, in a thread: a sweep's own, and before them those that ended sweeps have left.

    What waits of one trial is delivered at once. A message that is not taken delays the others of its stream (or of
    the whole sweep, if it is the sweep's start) and no others; it is tried again after a pause that doubles up to
    `LONGEST_PAUSE_SECONDS`. Files that cannot be written have a pause of their own, so that all else goes on at its
    pace. The files of a sweep's runs come after everything else that waits.

    One sender at a time delivers for a sweep of a home: the sender of a paused sweep may still be at work when that of
    the resumed sweep begins, and both would create a run of the same trial.

    Ownership: borrows the ledger; makes its deliverer inside the thread, since that may take seconds.
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
        self._gathering: dict[str, float] = {}
        """Time of the first message that waits, by stream."""
        self._files_pauses: dict[str, tuple[float, float]] = {}
        """Time of the next try, and the pause before it, of each stream whose files were not written."""
        self._only_files_left = False
        self._thread = threading.Thread(target=self._work, name="mlflow-sender", daemon=True)
        self.last_error: str | None = None

    def start(self) -> Sender:
        """Start the thread."""
        self._thread.start()
        return self

    def finish(self, patience: float) -> int:
        """Deliver what is left; return how many of the sweep's messages are unsent.

        Give up once nothing was taken for `patience` seconds, or for `GIVE_UP_SECONDS` of them after an error.
        """
        self._last_taken = time.monotonic()
        self._finishing.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            give_up = min(GIVE_UP_SECONDS, FILES_GIVE_UP_SECONDS) if self._only_files_left else GIVE_UP_SECONDS
            longest = min(give_up, patience) if self.last_error else patience
            if time.monotonic() - self._last_taken >= longest:
                break
        self._closed.set()
        self._thread.join(LONGEST_DELIVERY_SECONDS)  # a process that ends during a delivery may crash in torch
        return self._ledger.outbox.count_unsent(self._sweep_id)

    def _work(self) -> None:
        pause, last = POLL_SECONDS, False
        self._try(self._deliver_backlog)  # the sweep's own messages do not wait for a backlog that is not taken
        while not self._closed.is_set():
            if self._finishing.is_set() and not last:
                last = True
                self._files_pauses.clear()
            self._only_files_left = False
            if self._try(lambda: self._deliver_sweep(self._sweep_id)):
                self.last_error = None
                if last:
                    return
                pause = POLL_SECONDS
            elif self._only_files_left:
                pause = POLL_SECONDS
            else:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            (self._closed if last else self._finishing).wait(min(pause, 2.0) if last else pause)

    def _try(self, delivery: Callable[[], bool | None]) -> bool:
        """Return whether all was delivered; an error of the ledger is tried again as one of MLflow is."""
        try:
            return bool(delivery())
        except Exception as error:
            self._note(error)
            return False

    def _deliver_backlog(self) -> None:
        with try_lock(self._backlog_lock) as ours:
            for sweep_id in self._ledger.outbox.sweeps_with_unsent() if ours else ():
                self._deliver_sweep(sweep_id)

    def _deliver_sweep(self, sweep_id: str) -> bool:
        """Deliver what waits; return whether all was taken, or False while another sender delivers for the sweep."""
        lock = self._backlog_lock.parent / "sending" / f"{sweep_id}.lock"
        with wait_for_lock(lock, LOCK_SECONDS) as ours:
            return ours and self._deliver_waiting(sweep_id)

    def _deliver_waiting(self, sweep_id: str) -> bool:
        """Deliver what waits, leaving out streams in which a message was not taken; return whether there are none.

        A delivery may ask for files, so that what comes last is read once all else is sent.
        """
        blocked: set[str] = set()
        unsent = [message for message in self._ledger.outbox.unsent(sweep_id) if not message.comes_last]
        latest_of_sweep = max((message.id for message in unsent if not message.is_about_trial), default=0)
        for messages in _deliveries(unsent):
            first = messages[0]
            if first.id > latest_of_sweep and self._more_may_come(messages):
                continue
            if not self._deliver_unless_blocked(messages, blocked):
                return False
        for message in self._ledger.outbox.unsent(sweep_id):
            if message.comes_last and not self._deliver_unless_blocked([message], blocked):
                return False
        self._only_files_left = bool(blocked) and blocked <= set(self._files_pauses)
        return not blocked

    def _deliver_unless_blocked(self, messages: Sequence[Message], blocked: set[str]) -> bool:
        """Deliver messages unless their stream is blocked; return False if nothing else can be delivered now."""
        first = messages[0]
        if self._closed.is_set():
            return False
        if first.stream in blocked:
            return True
        next_try, _pause = self._files_pauses.get(first.stream, (0.0, 0.0))
        if time.monotonic() >= next_try and self._deliver(messages):
            return True
        blocked.add(first.stream)
        return self._deliverer is not None and not first.starts_sweep

    def _deliver(self, messages: Sequence[Message]) -> bool:
        """Return whether the messages were taken; note the reason if not."""
        ids, stream = [message.id for message in messages], messages[0].stream
        _, pause = self._files_pauses.pop(stream, (0.0, POLL_SECONDS))
        try:
            self._deliverer = self._deliverer or self._make()
            self._deliverer.deliver(messages)
        except Exception as error:  # after any error of MLflow or the network the messages wait
            self._note(error)
            self._ledger.outbox.note_failure(*ids, error=self.last_error or "")
            if isinstance(error, ArtifactError):
                longer = min(pause * 2, LONGEST_PAUSE_SECONDS)
                self._files_pauses[stream] = (time.monotonic() + longer, longer)
            return False
        self._ledger.outbox.mark_sent(*ids)
        self._gathering.pop(messages[0].stream, None)
        self._last_taken = time.monotonic()
        return True

    def _more_may_come(self, messages: Sequence[Message]) -> bool:
        """Return whether the messages are of a running trial and have not waited for long."""
        ours = messages[0].sweep_id == self._sweep_id and not self._finishing.is_set()
        if not ours or any(message.ends_trial for message in messages):
            return False
        since = self._gathering.setdefault(messages[0].stream, time.monotonic())
        return time.monotonic() - since < GATHER_SECONDS

    def _note(self, error: Exception) -> None:
        is_whole = isinstance(error, MeltpointError)
        self.last_error = str(error) if is_whole else f"{type(error).__name__}: {error}"
        log.info("MLflow did not take a message, or the ledger did not note it", exc_info=True)


def _deliveries(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield each trial's messages between two of the sweep's own as one list, and every other message alone."""
    for about_trials, group in groupby(messages, key=lambda message: message.is_about_trial):
        if about_trials:
            yield from _by_stream(group)
        else:
            yield from ([message] for message in group)


def _by_stream(messages: Iterable[Message]) -> list[list[Message]]:
    streams: dict[str, list[Message]] = {}
    for message in messages:
        streams.setdefault(message.stream, []).append(message)
    return list(streams.values())
