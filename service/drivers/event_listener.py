"""Writes how a sweep goes into the ledger's events, for those who follow it."""

from __future__ import annotations

import time
from collections.abc import Callable

from typing_extensions import override

from service.ledgers import EventKind, Ledger
from service.runs import Phase, SilentListener

__all__ = ["EventListener"]

_ADVANCE_SECONDS = 1.0


class EventListener(SilentListener):
    """Writes phases, notices and skipped images.

    The ledger itself writes events of trials and states, and `Confirming` those of a confirmation.
    """

    def __init__(self, ledger: Ledger, sweep_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._sweep_id, self._clock = ledger, sweep_id, clock
        self._advanced_at = -_ADVANCE_SECONDS

    @override
    def phase_started(self, phase: Phase) -> None:
        """Write the phase."""
        self._ledger.events.add(self._sweep_id, EventKind.PHASE, {"phase": phase.value})

    @override
    def phase_advanced(self, phase: Phase, done: int, total: int) -> None:
        """Write the progress, at most once a second."""
        if self._clock() - self._advanced_at >= _ADVANCE_SECONDS:
            self._advanced_at = self._clock()
            self._ledger.events.add(
                self._sweep_id, EventKind.PHASE, {"phase": phase.value, "done": done, "total": total}
            )

    @override
    def image_skipped(self, name: str, reason: str) -> None:
        """Write the image and the reason."""
        self._ledger.events.add(self._sweep_id, EventKind.IMAGE_SKIPPED, {"name": name, "reason": reason})

    @override
    def notice(self, text: str) -> None:
        """Write the warning."""
        self._ledger.events.add(self._sweep_id, EventKind.NOTICE, {"text": text})
