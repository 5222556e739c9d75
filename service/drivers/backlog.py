"""Sends MLflow what it has not taken of sweeps that have ended, such as while it was away, without a next sweep."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

from service.clocks import now_ms
from service.ledgers import Ledger
from service.runs.helpers import Helpers, MlflowTasks
from service.settings import Home
from service.upkeep import why_mlflow_is_away

__all__ = ["Backlog"]

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
LONGEST_PAUSE_SECONDS: Final = 600.0
"""The longest time until the next look; it doubles each time that MLflow has not taken everything."""

_PATIENCE_SECONDS: Final = 600.0


class Backlog:
    """Looks for messages of ended sweeps from `start` to `close`, and has them sent.

    A sweep counts once two looks after each other have met it, and no driver has its lease: until then its own sender
    may be at work. Nothing is tried while MLflow's server does not answer.

    Thread safety: works in a thread of its own.

    Args:
        home: the home of the service.
        send: sends what waits of ended sweeps.
        wait: waits until an event is set or seconds have passed, and returns whether the event is set.
    """

    def __init__(
        self,
        home: Home,
        send: Callable[[], None],
        *,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._home, self._send, self._wait = home, send, wait
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self.look_until_closed, name="backlog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no longer; what is being sent just then is sent again later."""
        self._closed.set()

    def look_until_closed(self) -> None:
        """Look again and again."""
        pause, after_failure, before = LOOK_SECONDS, LOOK_SECONDS, set[str]()
        with closing(Ledger.open(self._home, clock=now_ms)) as ledger:
            while not self._wait(self._closed, pause):
                try:
                    waiting = _sweeps_with_messages(ledger)
                    pause = LOOK_SECONDS
                    if before & waiting and not self._is_mlflow_away():
                        log.info("sending MLflow what waits of %s", ", ".join(sorted(before & waiting)))
                        self._send()
                        waiting = _sweeps_with_messages(ledger)
                        after_failure = (
                            min(2 * after_failure, LONGEST_PAUSE_SECONDS) if before & waiting else LOOK_SECONDS
                        )
                        pause = after_failure
                    before = waiting
                except Exception:  # the ledger or the fork server may be away for a moment
                    log.info("unsent messages were not looked for", exc_info=True)

    def _is_mlflow_away(self) -> bool:
        uri = self._home.tracking_uri
        return uri.startswith(("http://", "https://")) and why_mlflow_is_away(uri) is not None


def send_by_fork(home: Home, fork_server: str) -> None:
    """Send what waits of ended sweeps from a process that is forked for it, and wait until it has ended."""
    with closing(Helpers(fork_server)) as helpers:
        sender = helpers.mlflow_helper(home)
        sender.call(MlflowTasks.start, "")
        sender.call(MlflowTasks.finish, _PATIENCE_SECONDS)


def _sweeps_with_messages(ledger: Ledger) -> set[str]:
    sweep_ids = ledger.outbox.sweeps_with_unsent()
    return {sweep_id for sweep_id in sweep_ids if ledger.leases.holder(sweep_id) is None}
