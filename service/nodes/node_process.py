"""The main process of a node: Ray and the node's fork server as its children, from the start to an orderly end."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import psutil

from service.clusters import frugal_variables
from service.errors import ClusterError, UsageError
from service.file_locks import try_lock
from service.logs import is_debug_enabled
from service.nodes.fork_server_keeper import ForkServerKeeper
from service.nodes.health import NodeHealth
from service.nodes.janitor import Janitor
from service.nodes.needs import check_needs
from service.nodes.options import NodeOptions
from service.nodes.output_lines import OutputLines, print_line
from service.settings import Home
from trainables.nodes import Node
from trainables.processes import ForkServer, make_socket_folder

__all__ = ["NodeProcess"]

RAY_END_SECONDS: Final = 4.0
"""Time between SIGTERM and SIGKILL for Ray, which has no trial left by then."""

MARK: Final = "MELTPOINT_NODE_RUN"
"""Variable that all processes of one run of a node have; its value is the run's."""

_PREFIX: Final = "mp-"
"""First letters of the name of a run's folder."""

_STARTED: Final = "Ray runtime started"
_IDLE_TALK: Final = r"^\S+ \S+\s(INFO|SUCC) |^\[\S+ \S+ I |^=+ Running|^\(Press C|^:(job_id|actor_name|task_name):"
"""Pattern of lines of Ray that tell of nothing unusual."""

_LOOK_SECONDS: Final = 0.1
_HEALTH_SECONDS: Final = 1.0

_RAY_VARIABLES: Final[Mapping[str, str]] = frugal_variables() | {
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # trials have left before Ray is told to end
    "RAY_BACKEND_LOG_LEVEL": "warning",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
}


class NodeProcess:
    """Runs one node until SIGTERM or Ctrl-C, or until Ray ends; nothing of it outlives this process.

    All that the node needs besides its home lies in one folder with a short path, which a janitor removes in the end.
    """

    def __init__(self, home: Home, options: NodeOptions) -> None:
        self._home, self._options = home, options
        self._ending = threading.Event()
        self._is_ready = False

    def run(self) -> int:
        """Run the node; returns the exit code: 0 after SIGTERM or Ctrl-C.

        Raises:
            MeltpointError: something is missing, as `check_needs` finds, or another node has the home.
            ClusterError: Ray did not start, or ended by itself.
        """
        with ExitStack() as stack:
            if not stack.enter_context(try_lock(self._home.root / "node.lock")):
                raise UsageError(
                    f"{self._home.root} is the home of a node that runs; stop that node, or give another --home"
                )
            check_needs(self._home, self._options)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._ending.set())
            folder = self._new_folder()
            mark = MARK, secrets.token_hex(8)
            janitor = Janitor(folder, mark)
            stack.callback(janitor.close)
            stack.callback(NodeHealth.remove, self._home)
            return self._run(stack, folder, mark, janitor)

    def _new_folder(self) -> Path:
        """Make the run's folder; remove that of the last run if the power went and no janitor could."""
        noted = self._home.root / "node.folder"
        with suppress(OSError):
            last = Path(noted.read_text(encoding="utf-8"))
            if last.name.startswith(_PREFIX):
                shutil.rmtree(last, ignore_errors=True)
        folder = make_socket_folder(_PREFIX)
        noted.write_text(folder, encoding="utf-8")
        return Path(folder)

    def _run(self, stack: ExitStack, folder: Path, mark: tuple[str, str], janitor: Janitor) -> int:
        fork_folder = str(folder / "fork")
        node = Node(
            name=self._options.shown_name,
            home=self._home.root,
            fork_server=ForkServer.address_in(fork_folder) if self._options.trains else None,
            leaving=folder / "leaving",
        )
        environment = {**os.environ, **_RAY_VARIABLES, **node.variables(), mark[0]: mark[1]}
        environment.pop("RAY_ADDRESS", None)
        server = ForkServerKeeper(fork_folder, environment, say=_say)
        if self._options.trains:
            server.start()
            stack.callback(server.close)
        lines = OutputLines("ray", dropped=None if is_debug_enabled() else _IDLE_TALK, awaited=_STARTED)
        stack.callback(lines.close)
        ray = subprocess.Popen(
            self._options.command(folder / "ray"),
            stdin=subprocess.DEVNULL,
            stdout=lines.writable,
            stderr=lines.writable,
            start_new_session=True,
            env=environment,
        )
        janitor.add_session(ray.pid)
        stack.callback(_end_ray, ray)
        self._announce()
        self._watch(ray, lines, server)
        if not self._ending.is_set():
            raise ClusterError(_why_ended(ray, lines, was_ready=self._is_ready))
        assert node.leaving is not None
        self._leave(node.leaving, server)
        lines.mute()  # parts of Ray complain about each other's end
        return 0

    def _watch(self, ray: subprocess.Popen[bytes], lines: OutputLines, server: ForkServerKeeper) -> None:
        """Look after the children until the node is to end, or Ray has ended."""
        next_health = 0.0
        while not self._ending.wait(_LOOK_SECONDS) and ray.poll() is None:
            server.look()
            if not self._is_ready and lines.has_awaited:
                self._is_ready = True
                _say(f"node {self._options.shown_name} has joined, and is ready")
            if time.monotonic() >= next_health:
                self._write_health("ready" if self._is_ready else "starting", server)
                _reap_orphans({ray.pid, *server.pids()})
                next_health = time.monotonic() + _HEALTH_SECONDS

    def _leave(self, leaving: Path, server: ForkServerKeeper) -> None:
        """Announce the end, and wait until trials have left, as long as the grace allows."""
        leaving.touch()
        _say(f"node {self._options.shown_name} leaves: its trials go on elsewhere")
        deadline = time.monotonic() + self._options.grace
        while (trials := server.trials()) and time.monotonic() < deadline:
            self._write_health("leaving", server)
            time.sleep(_LOOK_SECONDS)
        if trials:
            _say(
                f"{len(trials)} trials have not left within {self._options.grace:.0f} s; they go on from their last "
                "checkpoints"
            )

    def _write_health(self, state: str, server: ForkServerKeeper) -> None:
        health = NodeHealth(
            state=state,
            name=self._options.shown_name,
            pid=os.getpid(),
            trials=len(server.trials()),
            problem=server.problem,
        )
        health.write(self._home)

    def _announce(self) -> None:
        options = self._options
        place = f"is the head, port {options.port}" if options.ray is None else f"joins {options.ray}"
        _say(f"node {options.shown_name} {place}; home {self._home.root}; SIGTERM or Ctrl-C lets its trials leave")


def _end_ray(ray: subprocess.Popen[bytes]) -> None:
    """Stop Ray: SIGTERM, and SIGKILL after some seconds. Its processes end with it, the janitor sees to the rest."""
    if ray.poll() is None:
        ray.terminate()
        try:
            ray.wait(RAY_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(ray.pid, signal.SIGKILL)
            ray.wait()


def _why_ended(ray: subprocess.Popen[bytes], lines: OutputLines, *, was_ready: bool) -> str:
    """Return the sentence about a Ray that ended by itself."""
    lines.close()
    how = "Ray ended" if was_ready else "Ray did not start"
    causes = [line for cause in reversed(_CAUSES) for line in lines.last if cause in line]
    reason = (causes or list(lines.last) or ["it printed nothing"])[-1]
    return f"{how} (exit code {ray.returncode}): {reason.strip()}"


_CAUSES: Final = ("Version mismatch", "Failed to connect to GCS within", "[exit code=", "Check failed", "Error: ")
"""Words of Ray's lines that tell the cause of its end, those that tell it best first."""


def _reap_orphans(own: set[int]) -> None:
    """Take note of the end of processes that lost their parents, if this process is the container's first."""
    if os.getpid() != 1:
        return
    for child in psutil.Process().children():
        with suppress(psutil.Error, ChildProcessError):
            if child.pid not in own and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def _say(sentence: str) -> None:
    print_line("node", sentence)
