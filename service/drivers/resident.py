"""The drivers of a service, as one resident process: Ray, the fork server, the pool of lanes and the supervisor."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

from search_spaces import MeltpointError
from service.clocks import now_ms
from service.clusters.ray_heads import RayHead
from service.coordination import describe_error, shorten
from service.drivers.backlog import Backlog, send_by_fork
from service.drivers.pool_keeper import PoolKeeper
from service.drivers.supervisor import DriverHandle, Supervisor
from service.drivers.tasks import DriverTasks, make_driver
from service.ledgers import Ledger, ServiceProcess
from service.logs import is_debug_enabled
from service.queues import Limits
from service.settings import Home
from trainables.processes import ForkedError, ForkedObject, ForkServer, make_socket_folder

__all__ = ["run_drivers"]

log = logging.getLogger(__name__)

PRELOAD: Final = "service.drivers.preload"
STEP_SECONDS = 0.1
BEAT_SECONDS = 2.0
DRAIN_SECONDS = 60.0


def run_drivers(
    home: Home,
    *,
    ray_address: str | None = None,
    limits: Limits | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Drive the sweeps of the home's ledger until SIGTERM or SIGINT; the sweeps under way are then queued again.

    A second signal ends everything at once.

    Args:
        home: the home; its environment is prepared.
        ray_address: an existing Ray cluster; by default a Ray of this machine alone is started.
        limits: of the service.
        stop: ends the drivers as a signal does.
    """
    stop, limits = stop or threading.Event(), limits or Limits()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(1) if stop.is_set() else stop.set())
    with ExitStack() as stack:
        folder = Path(make_socket_folder("meltpoint-drivers-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(closing(ForkServer(preload=PRELOAD)))
        make_head = None if ray_address else RayHead
        pool = PoolKeeper(home, folder / "pool", server.address, ray_address=ray_address, make_head=make_head)
        stack.enter_context(closing(pool))
        ledger = stack.enter_context(closing(Ledger.open(home, clock=now_ms)))
        starter = _DriverStarter(home, str(pool.address), server.address)
        stack.callback(starter.close)
        supervisor = Supervisor(ledger, home, starter.start, limits=limits, clock=time.monotonic)
        beat = stack.enter_context(closing(_Beat(home, pool, supervisor, limits)))
        backlog = stack.enter_context(closing(Backlog(home, partial(send_by_fork, home, server.address))))
        beat.start()
        pool.start()
        backlog.start()
        _step_until(stop, supervisor, pool)
        _drain(supervisor)


def _step_until(stop: threading.Event, supervisor: Supervisor, pool: PoolKeeper) -> None:
    while not stop.wait(STEP_SECONDS):
        try:
            supervisor.step(pool.problem)
        except Exception:  # the ledger may be away for a while: whatever was missed is done at the next step
            log.warning("a step of the supervisor failed", exc_info=True)
            stop.wait(1.0)


def _drain(supervisor: Supervisor) -> None:
    supervisor.drain()
    deadline = time.monotonic() + DRAIN_SECONDS
    while not supervisor.finish_draining() and time.monotonic() < deadline:
        time.sleep(STEP_SECONDS)


class _DriverStarter:
    """Forks driver processes."""

    def __init__(self, home: Home, pool: str, fork_server: str) -> None:
        self._home, self._pool, self._fork_server = home, pool, fork_server
        self._threads = ThreadPoolExecutor(max_workers=256, thread_name_prefix="driver")
        self._handles: list[_Handle] = []

    def start(self, sweep_id: str, may_start: bool) -> DriverHandle:
        """Fork the driver of a sweep, and have it drive."""
        arguments = {"home": self._home, "pool": self._pool, "fork_server": self._fork_server}
        folder = self._home.sweep(sweep_id)
        folder.mkdir(parents=True, exist_ok=True)
        process = ForkedObject(
            self._fork_server,
            make_driver,
            arguments | {"debug": is_debug_enabled()},
            role="driver",
            environment=os.environ,
            log=str(folder / "driver.log"),
        )
        handle = _Handle(process, self._threads.submit(process.call, DriverTasks.drive, sweep_id, may_start))
        self._handles = [other for other in self._handles if not other.has_ended()] + [handle]
        return handle

    def close(self) -> None:
        """End every driver at once."""
        for handle in self._handles:
            handle.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Handle(DriverHandle):
    def __init__(self, process: ForkedObject[DriverTasks], future: Future[None]) -> None:
        self._process, self._future = process, future
        future.add_done_callback(lambda _: process.close())

    def has_ended(self) -> bool:
        return self._future.done()

    def failure(self) -> str | None:
        error = self._future.exception()
        if error is None:
            return None
        if isinstance(error, MeltpointError):
            return str(error)
        return shorten(str(error)) if isinstance(error, ForkedError) else describe_error(error)

    def terminate(self) -> None:
        with suppress(ForkedError, ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        if not self._future.done():
            with suppress(ForkedError, ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)


class _Beat:
    """Writes into the ledger, every two seconds, that the drivers live, their limits, and how the cluster stands."""

    def __init__(self, home: Home, pool: PoolKeeper, supervisor: Supervisor, limits: Limits) -> None:
        self._home, self._pool, self._supervisor, self._limits = home, pool, supervisor, limits
        self._id, self._started_at = secrets.token_hex(8), now_ms()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write that the drivers have left."""
        self._closed.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        with closing(Ledger.open(self._home, clock=now_ms)) as ledger:
            state = None
            while True:
                status = self._pool.status()
                with suppress(Exception):  # the database may be back at the next beat
                    ledger.services.beat(self._describe(status))
                changed = status.get("state") != state
                state = status.get("state")
                if self._closed.wait(BEAT_SECONDS if state == "ready" or not changed else STEP_SECONDS):
                    break
            with suppress(Exception):
                ledger.services.leave(self._id)

    def _describe(self, status: dict[str, object]) -> ServiceProcess:
        return ServiceProcess(
            id=self._id,
            role="drivers",
            host=socket.gethostname(),
            version=metadata.version("meltpoint"),
            started_at=self._started_at,
            seen_at=now_ms(),
            status=status | {"sweeps": len(self._supervisor.driven), "limits": vars(self._limits)},
        )
