"""The sender of a sweep with what it needs, as one object that can live in a process of its own.

MLflow takes seconds to import, and its writing would share an interpreter with the loop that feeds the trials.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from service.clocks import now_ms
from service.ledgers import Ledger, Message
from service.logs import configure_helper_logs
from service.settings import Home
from service.tracking import Deliverer, Sender
from service.tracking.trackers import Tracker

__all__ = ["MlflowHelper", "forked_mlflow_helper"]


_BEHIND = 19
"""Added to the sender's niceness once MLflow has been begun with: trials then come first."""


class MlflowHelper:
    """Delivers a sweep's messages from when it is told which until it is asked to finish.

    behind: give trials the first place.
    """

    def __init__(self, home: Home, *, behind: bool = False) -> None:
        self._home = home
        self._behind = behind

    def start(self, sweep_id: str) -> None:
        """See `Sender`."""
        self._sweep_id = sweep_id
        self._ledger = Ledger.open(self._home, clock=now_ms)
        self._sender = Sender(self._ledger, sweep_id, self._tracker, backlog_lock=self._home.backlog_lock).start()

    def finish(self, patience: float) -> str | None:
        """See `Sender.finish`; returns what MLflow said last, where it did not take something."""
        self._sender.finish(patience)
        self._ledger.close()
        return self._sender.last_error

    def _tracker(self) -> Deliverer:
        tracker = Tracker(self._ledger, self._home)
        return _Behind(tracker, self._sweep_id) if self._behind else tracker


class _Behind:
    """Delivers from the last place on a busy machine, once MLflow knows that the sweep runs. Before, it is part of the
    sweep's start: MLflow is loaded, its store may have to be made, and until then nobody sees anything of the sweep.

    The last place and not only what is idle (SCHED_IDLE): it writes to the ledger too, for which the driver waits.
    """

    def __init__(self, deliverer: Deliverer, sweep_id: str) -> None:
        self._deliverer, self._sweep_id = deliverer, sweep_id
        self._begun = False

    def deliver(self, messages: Sequence[Message]) -> None:
        self._deliverer.deliver(messages)
        if not self._begun and any(of.starts_sweep and of.sweep_id == self._sweep_id for of in messages):
            self._begun = True
            os.nice(_BEHIND)  # on Linux of this thread alone


def forked_mlflow_helper(home: Home, *, debug: bool) -> MlflowHelper:
    """In a process of its own, which takes one core, as a trial's does."""
    configure_helper_logs(debug=debug)
    torch.set_num_threads(1)
    return MlflowHelper(home, behind=True)
