"""The rendezvous of a sweep's workers: they wait for each other, and are asked to report."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ABANDONED", "Rendezvous"]

PATIENCE_SECONDS = 90.0

_POLL_SECONDS = 0.02
_OPEN, _REPORT = "open", "report"

ABANDONED = "abandoned"
"""Notice that trials are to be given up."""


@dataclass(frozen=True)
class Rendezvous:
    """Empty files in a folder that all processes of a sweep see; a look costs microseconds.

    No worker starts its first trial before all `workers` are up, so that no trial's time includes another's start.
    """

    folder: str
    workers: int

    def wait(self) -> None:
        """Arrive, and return when all workers have arrived, when no more will come, or after `PATIENCE_SECONDS`."""
        folder = Path(self.folder)
        (folder / f"worker-{uuid.uuid4().hex}").touch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not (folder / _OPEN).exists():
            if sum(1 for _ in folder.glob("worker-*")) >= self.workers:
                return
            time.sleep(_POLL_SECONDS)

    def open(self) -> None:
        """Let workers start: no more will come."""
        (Path(self.folder) / _OPEN).touch()

    def request_reports(self) -> None:
        """Ask every worker to report after its present epoch."""
        (Path(self.folder) / _REPORT).touch()

    def withdraw_request(self) -> None:
        """Let workers report when they are due again."""
        (Path(self.folder) / _REPORT).unlink(missing_ok=True)

    def reports_requested(self) -> bool:
        """Return whether workers are asked to report."""
        return (Path(self.folder) / _REPORT).exists()

    def abandon(self) -> None:
        """Let every worker give up its trial within about a second: nobody takes its results any longer."""
        with suppress(OSError):
            (Path(self.folder) / ABANDONED).touch()

    def is_abandoned(self) -> bool:
        """Return whether trials are to be given up; they are also if the folder is gone."""
        folder = Path(self.folder)
        return (folder / ABANDONED).exists() or not folder.exists()

    def notice(self) -> str:
        """Return the state in a word, for processes that do not see the folder."""
        return ABANDONED if self.is_abandoned() else _REPORT if self.reports_requested() else _OPEN

    def follow(self, notice: str) -> None:
        """Take over the state of a rendezvous elsewhere. notice: of `notice`; any other word changes nothing."""
        if notice == ABANDONED:
            self.abandon()
        elif notice == _REPORT:
            self.request_reports()
        elif notice == _OPEN:
            self.withdraw_request()
