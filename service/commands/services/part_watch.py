"""Messages of `meltpoint serve` about its parts: which are ready, and which are in trouble."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from service.clusters import why_not_joinable
from service.ledgers import Ledger
from service.tracking import MlflowServer
from service.upkeep import why_mlflow_is_away

__all__ = ["PartWatch"]

_WATCH_SECONDS: Final = 0.5
_MLFLOW_SECONDS: Final = 5.0
"""Time between two looks if MLflow's server, which others run, is there."""


class PartWatch:
    """Says when MLflow and the drivers are ready, and once what each complains about, from `start` on.

    Ownership: borrows the ledger. Thread safety: works in a thread of its own, which ends once `ending` is set.

    Args:
        ledger: where the drivers write how they stand.
        since: time (UTC milliseconds) since which drivers count.
        ray: address of the cluster that the drivers of this process join, if it is not their own.
        own_mlflow: returns this home's MLflow server; None if there is none yet.
        mlflow_address: address of MLflow's server, if others run it.
        ending: is set once the service ends.
        say: prints a message; the second argument is its style.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        since: int,
        ray: str | None,
        own_mlflow: Callable[[], MlflowServer | None],
        mlflow_address: str | None,
        ending: threading.Event,
        say: Callable[[str, str], None],
    ) -> None:
        self._ledger, self._since, self._ray = ledger, since, ray
        self._own_mlflow, self._mlflow_address = own_mlflow, mlflow_address
        self._ending, self._say = ending, say
        self._began = time.monotonic()
        self._waits_for_mlflow, self._mlflow_is_away = True, False
        self._next_look = 0.0
        self._drivers: tuple[object, object] | None = None
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def _watch(self) -> None:
        self._look_at_cluster()
        while not self._ending.wait(_WATCH_SECONDS):
            if self._waits_for_mlflow:
                self._look_at_mlflow()
            with contextlib.suppress(SQLAlchemyError):  # the ledger is away for a moment; the drivers say so themselves
                self._look_at_drivers()

    def _look_at_cluster(self) -> None:
        """Complain at once about a cluster that cannot be joined: the drivers see it only when they have started."""
        reason = None if self._ray is None else why_not_joinable(self._ray)
        if reason is not None:
            self._complain_about_drivers("failed", reason)

    def _look_at_mlflow(self) -> None:
        if self._mlflow_address is None:
            server = self._own_mlflow()
            if server is not None and server.answers():
                self._say(f"MLflow is ready after {self._seconds():.0f} s", "green")
                self._waits_for_mlflow = False
        elif time.monotonic() >= self._next_look:
            reason = why_mlflow_is_away(self._mlflow_address)
            if reason is None:
                if self._mlflow_is_away:
                    self._say(f"MLflow answers at {self._mlflow_address}", "green")
                self._waits_for_mlflow = False
            elif not self._mlflow_is_away:
                self._mlflow_is_away = True
                self._say(
                    f"MLflow: {reason}; sweeps run without it, and what it is to be sent waits in the ledger", "yellow"
                )
            self._next_look = time.monotonic() + _MLFLOW_SECONDS

    def _look_at_drivers(self) -> None:
        status = self._status_of_drivers()
        state = status.get("state"), status.get("problem")
        if state == self._drivers:
            return
        if status.get("problem"):
            self._complain_about_drivers(*state)
        elif status.get("state") == "ready":
            slots = status.get("slots", status.get("lanes"))
            self._say(f"drivers are ready after {self._seconds():.0f} s: {slots} trials at a time", "green")
            self._drivers = state

    def _complain_about_drivers(self, state: object, problem: object) -> None:
        self._say(f"drivers: {problem}", "yellow")
        self._drivers = state, problem

    def _status_of_drivers(self) -> dict[str, Any]:
        """Return the status of the drivers that were seen last; empty if there are none."""
        processes = [each for each in self._ledger.services.list(role="drivers") if each.started_at >= self._since]
        return dict(max(processes, key=lambda process: process.seen_at).status) if processes else {}

    def _seconds(self) -> float:
        return time.monotonic() - self._began
