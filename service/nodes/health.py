"""The health of a node, as its main process writes it each second and `meltpoint node --check` reads it.

A file, and no HTTP endpoint: a container's health check runs inside the container anyway, and a node then has no open
port of ours.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from service.settings import Home

__all__ = ["STALE_SECONDS", "NodeHealth"]

STALE_SECONDS: Final = 15.0
"""Age of the file after which its writer counts as hung."""


@dataclass(frozen=True, kw_only=True)
class NodeHealth:
    """The state of a node at one moment.

    Attributes:
        state: `starting`, `ready` or `leaving`.
        name: of the node.
        pid: of its main process.
        trials: number of processes that train on it.
        problem: reason why it is not healthy; None if it is.
    """

    state: str
    name: str
    pid: int
    trials: int = 0
    problem: str | None = None

    def write(self, home: Home) -> None:
        """Write it into the home; a disk that is full for a moment makes it old."""
        file = _file(home)
        with suppress(OSError):
            partial = file.with_name(f".{file.name}.partial")
            partial.write_text(json.dumps(asdict(self)))
            partial.replace(file)

    @staticmethod
    def remove(home: Home) -> None:
        """Remove the file: the node has ended."""
        with suppress(OSError):
            _file(home).unlink(missing_ok=True)

    @classmethod
    def read(cls, home: Home) -> NodeHealth | None:
        """Return what the home's node wrote last, or None if no node runs there."""
        try:
            health = cls(**json.loads(_file(home).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return health if Path("/proc", str(health.pid)).exists() else None

    @classmethod
    def why_not_healthy(cls, home: Home, *, now: float | None = None) -> str | None:
        """Return why the home's node is not healthy, or None if it is. now: seconds since 1970."""
        health = cls.read(home)
        if health is None:
            return f"no node runs with home {home.root}"
        if health.problem is not None:
            return health.problem
        if health.state == "starting":
            return f"node {health.name} is starting"
        with suppress(OSError):
            age = (time.time() if now is None else now) - _file(home).stat().st_mtime
            if age > STALE_SECONDS:
                return f"node {health.name} has not written its health for {age:.0f} s: it hangs, or its disk is full"
        return None


def _file(home: Home) -> Path:
    return home.root / "node.json"
