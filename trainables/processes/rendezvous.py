"""Where the workers of one sweep wait for each other, and where they are called in."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rendezvous"]

PATIENCE_SECONDS = 90.0

_POLL_SECONDS = 0.02
_OPEN, _CALLED_IN = "open", "called-in"


@dataclass(frozen=True)
class Rendezvous:
    """Empty files in a folder that all of a sweep's processes see; asking them costs microseconds.

    None of `workers` starts its first trial before all are up: no trial's time has another worker's start in it.
    """

    folder: str
    workers: int

    def wait(self) -> None:
        """Arrive, and return when all workers have, when no more will, or when patience is at its end."""
        folder = Path(self.folder)
        (folder / f"worker-{uuid.uuid4().hex}").touch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not (folder / _OPEN).exists():
            if sum(1 for _ in folder.glob("worker-*")) >= self.workers:
                return
            time.sleep(_POLL_SECONDS)

    def open(self) -> None:
        """No more workers will come than have."""
        (Path(self.folder) / _OPEN).touch()

    def request_reports(self) -> None:
        """Every worker shall report after the epoch that it is in."""
        (Path(self.folder) / _CALLED_IN).touch()

    def reports_requested(self) -> bool:
        return (Path(self.folder) / _CALLED_IN).exists()
