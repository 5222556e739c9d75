"""The keeper of the pool of lanes: starts Ray and the pool, and starts them again when they end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.clusters import why_not_joinable
from service.clusters.ray_heads import RayHead
from service.coordination import shorten
from service.drivers.messages import ask_status
from service.drivers.tasks import PoolTasks, make_pool
from service.errors import ClusterError
from service.logs import is_debug_enabled
from service.settings import Home
from trainables.processes import ForkedError, ForkedObject

__all__ = ["PoolKeeper"]

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_REACH_SECONDS = 3.0
_TOKEN_REFUSED = "InvalidAuthToken"
"""Text that Ray writes on stderr, and nowhere else, if a cluster refuses its token."""


class PoolKeeper:
    """Keeps one pool of lanes at `address`, from `start` to `close`.

    Thread safety: works in a thread of its own; every public name may be used from any thread.

    Args:
        home: the home of the service.
        address: path of the pool's socket.
        fork_server: address of the server that forks the pool.
        ray_address: the Ray cluster to join, unless `make_head` starts one.
        make_head: starts a Ray of this machine alone.
    """

    def __init__(
        self,
        home: Home,
        address: Path,
        fork_server: str,
        *,
        ray_address: str | None,
        make_head: Callable[[], RayHead] | None,
    ) -> None:
        self.address = address
        self._home, self._fork_server = home, fork_server
        self._ray_address, self._make_head = ray_address, make_head
        self._head = None if make_head is None else make_head()
        self._head_address: str | None = None
        self._problem: str | None = None
        self._process: ForkedObject[PoolTasks] | None = None
        self._log = home.root / "lanes.log"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="pool", daemon=True)

    def start(self) -> None:
        """Start the pool."""
        self._thread.start()

    def close(self) -> None:
        """End the pool, and Ray if it is ours."""
        self._closed.set()
        if self._process is not None:
            self._process.close()
        if self._head is not None:
            self._head.close()

    @property
    def problem(self) -> str | None:
        """The reason why no sweep can start now."""
        status = self.status()
        if status["state"] == "ready":
            return None
        return str(status["problem"] or "the service is starting")

    def status(self) -> dict[str, Any]:
        """Return how the pool stands, as the ledger keeps it: state, problem, cores, GPUs, lanes."""
        with suppress(OSError, EOFError):
            pool = ask_status(str(self.address))
            state = "ready" if pool.ready or pool.busy else "starting"
            return {"state": state, "problem": None} | vars(pool)
        problem = self._problem or self._problem_in_log()
        state = "starting" if problem is None else "failed"
        return {"state": state, "problem": problem, "cpus": 0.0, "gpus": 0.0, "lanes": 0, "ready": 0, "busy": 0}

    def _keep(self) -> None:
        while not self._closed.is_set():
            try:
                self._serve()
                self._problem = "the pool of workers ended"
            except (ForkedError, ClusterError, OSError) as error:
                self._problem = shorten(str(error))
                log.warning("the pool of workers ended: %s", error)
                if isinstance(error, ClusterError) or self._has_broken_head():
                    self._replace_head()
            self._closed.wait(_AGAIN_SECONDS)

    def _serve(self) -> None:
        if self._ray_address is not None:
            address = self._ray_address
            _check_joinable(address)
        else:
            address = self._own_address()
            _check_reachable(address)
        self.address.unlink(missing_ok=True)
        with suppress(OSError):
            self._log.write_bytes(b"")
        self._process = ForkedObject(
            self._fork_server,
            make_pool,
            {
                "home": self._home,
                "address": str(self.address),
                "ray_address": address,
                "here": self._make_head is not None,
                "debug": is_debug_enabled(),
            },
            role="lanes",
            environment=os.environ,
            log=str(self._log),
        )
        self._problem = None
        served = threading.Event()
        threading.Thread(target=self._watch_head, args=(self._process, served), name="head", daemon=True).start()
        try:
            self._process.call(PoolTasks.serve)
        finally:
            served.set()

    def _watch_head(self, process: ForkedObject[PoolTasks], served: threading.Event) -> None:
        """Kill the pool if our own Ray breaks: Ray's client in it would wait for a minute before it gives up."""
        while not served.wait(_LOOK_SECONDS):
            if self._has_broken_head():
                log.warning("a process of Ray ended")
                with suppress(ForkedError, ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                return

    def _has_broken_head(self) -> bool:
        return self._head is not None and self._head_address is not None and not self._head.is_whole()

    def _own_address(self) -> str:
        assert self._head is not None
        if self._head_address is None:
            self._head_address = self._head.address()
        return self._head_address

    def _replace_head(self) -> None:
        if self._make_head is not None and not self._closed.is_set():
            if self._head is not None:
                if self._has_broken_head():
                    self._head.kill()
                self._head.close()
            self._head, self._head_address = self._make_head(), None

    def _problem_in_log(self) -> str | None:
        with suppress(OSError):
            if _TOKEN_REFUSED in self._log.read_text(errors="replace"):
                return (
                    f"the Ray cluster at {self._ray_address} refuses the token; set RAY_AUTH_TOKEN_PATH to a file with "
                    "the cluster's token, and RAY_AUTH_MODE=token"
                )
        return None


def _check_joinable(address: str) -> None:
    """Raise ClusterError within 5 s if the cluster does not answer, or does not accept the token."""
    if reason := why_not_joinable(address):
        raise ClusterError(reason)


def _check_reachable(address: str) -> None:
    """Raise ClusterError at once if nothing listens at `address`; Ray itself would try for half a minute."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), _REACH_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise ClusterError(f"nothing answers at the Ray cluster's address {address}: {error}") from error
