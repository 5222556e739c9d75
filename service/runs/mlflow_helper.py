"""The sender of a sweep with all that it needs, as one object that can live in a process of its own.

MLflow takes seconds to import, and writing to it would share an interpreter with the loop that feeds the trials.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from service.clocks import now_ms
from service.ledgers import Ledger, Message
from service.runs.helpers import MlflowTasks
from service.settings import Home
from service.tracking import Deliverer, Sender
from service.tracking.trackers import Tracker

__all__ = ["MlflowHelper"]

_LOWEST_PRIORITY = 19
"""Added to the sender's niceness once MLflow knows of the sweep: trials then come first."""


class MlflowHelper(MlflowTasks):
    """Delivers a sweep's messages from `start` to `finish`.

    lower_priority: let trials come first on a busy machine, once MLflow knows of the sweep.
    """

    def __init__(self, home: Home, *, lower_priority: bool = False) -> None:
        self._home = home
        self._lower_priority = lower_priority

    def start(self, sweep_id: str) -> None:
        """Begin to send the sweep's messages."""
        self._sweep_id = sweep_id
        self._ledger = Ledger.open(self._home, clock=now_ms)
        self._sender = Sender(self._ledger, sweep_id, self._tracker, backlog_lock=self._home.backlog_lock).start()

    def finish(self, patience: float) -> str | None:
        """Send what is left; return MLflow's last error if it has not taken everything."""
        self._sender.finish(patience)
        self._ledger.close()
        return self._sender.last_error

    def _tracker(self) -> Deliverer:
        tracker = Tracker(self._ledger, self._home)
        return _LowPriority(tracker, self._sweep_id) if self._lower_priority else tracker


class _LowPriority:
    """Delivers with the lowest priority once MLflow knows that the sweep runs.

    Until then the delivery is part of the sweep's start: MLflow is loaded, its store may have to be created, and nobody
    sees anything of the sweep. The priority is not `SCHED_IDLE`, since the driver waits for locks of the ledger, which
    this thread writes to as well.
    """

    def __init__(self, deliverer: Deliverer, sweep_id: str) -> None:
        self._deliverer, self._sweep_id = deliverer, sweep_id
        self._begun = False

    def deliver(self, messages: Sequence[Message]) -> None:
        """Deliver, and lower the priority after the sweep's start."""
        self._deliverer.deliver(messages)
        started = any(message.starts_sweep and message.sweep_id == self._sweep_id for message in messages)
        if started and not self._begun:
            self._begun = True
            os.nice(_LOWEST_PRIORITY)  # on Linux of this thread alone
