"""MLflow's own server as a child process, for `meltpoint ui` and for the service's door to MLflow."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from service.child_processes import ChildProcess
from service.errors import TrackingError
from service.settings import Home
from service.tracking.local_store import is_local_store_ready
from trainables.processes import make_socket_folder

__all__ = ["MlflowServer", "ServerAddress", "free_port"]

HOST = "127.0.0.1"
READY_SECONDS = 90.0

_GRACE_SECONDS = 1  # for pages that a browser still has open: without it they hold the server up
_LOG_BYTES = 10 * 1024 * 1024
_NOT_FOR_MLFLOW = ("MELTPOINT_", "RAY_")  # such as the ledger's password and Ray's token


@dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """The way to a server: a port of the loopback interface, or a Unix socket that only its owner can open."""

    port: int = 0
    unix_socket: str = ""


class MlflowServer:
    """A server of the home's MLflow store; it ends with `close`, and with this process, however that ends.

    Job execution is off, and only requests for the server's own address are answered.

    Args:
        home: the home, whose store is served.
        port: listens on this port of the loopback interface; None: on a Unix socket that only its owner can open.
        prefix: path under which everything is served, such as `/mlflow`.

    Raises:
        TrackingError: the port is taken.
    """

    def __init__(self, home: Home, *, port: int | None, prefix: str = "") -> None:
        self._prefix = prefix
        self._folder = make_socket_folder("meltpoint-mlflow-") if port is None else None
        if self._folder is not None:
            self.address = ServerAddress(unix_socket=str(Path(self._folder) / "socket"))
        else:
            assert port is not None
            self.address = ServerAddress(port=free_port(port))
        _shorten(home.server_log)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_MLFLOW)}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        self._child = ChildProcess(
            _command(home, self.address, prefix), log=home.server_log, grace_seconds=10.0, environment=environment
        )

    def wait_until_ready(self) -> None:
        """Return when the server answers.

        Raises:
            TrackingError: it ended, or does not answer within `READY_SECONDS`.
        """
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._child.exit_code() is not None:
                line = self._child.last_line() or "no message"
                raise TrackingError(f"MLflow's server ended at once: {line} (see {self._child.log})")
            if self.answers():
                return
            time.sleep(0.1)
        raise TrackingError(f"MLflow's server was not ready within {READY_SECONDS:.0f} s (see {self._child.log})")

    def answers(self) -> bool:
        """Return whether the server answers now."""
        connection = _Connection(self.address)
        try:
            connection.request("GET", f"{self._prefix}/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def exit_code(self) -> int | None:
        """Return the server's exit code, or None while it runs."""
        return self._child.exit_code()

    def wait(self) -> int:
        """Wait until the server has ended, and return its exit code."""
        return self._child.wait()

    def last_line(self) -> str:
        """Return the last line of the server's log, or ""."""
        return self._child.last_line()

    def end(self) -> None:
        """Ask the server to end, without waiting."""
        self._child.end()

    def close(self) -> None:
        """End the server, and wait until it has ended."""
        self._child.close()
        self._remove_socket()

    def kill(self) -> None:
        """Kill the server at once."""
        self._child.kill()
        self._remove_socket()

    def _remove_socket(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Connection(http.client.HTTPConnection):
    """A connection to a `ServerAddress`."""

    def __init__(self, address: ServerAddress) -> None:
        super().__init__("localhost", address.port or None, timeout=2)
        self._address = address

    def connect(self) -> None:
        """Connect to the socket, or to the port."""
        if self._address.unix_socket:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._address.unix_socket)
        else:
            self.sock = socket.create_connection((HOST, self._address.port), self.timeout)


def free_port(port: int, host: str = HOST) -> int:
    """Return the port if it is free; a free one for 0.

    Raises:
        TrackingError: it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TrackingError(f"port {port} is taken; choose another with --port, or 0 for any") from error
        return int(probe.getsockname()[1])


def _command(home: Home, address: ServerAddress, prefix: str) -> list[str]:
    listening = f"--uds {address.unix_socket} " if address.unix_socket else ""
    hosts = ["localhost", f"localhost:{address.port}", f"{HOST}:{address.port}"]
    is_ready = not home.has_local_tracking or is_local_store_ready(home)
    program = ["mlflow"] if is_ready else ["service.tracking.mlflow_program", str(home.root)]
    return [
        *(sys.executable, "-m", *program),
        *("server", "--host", HOST, "--port", str(address.port or 1), "--workers", "1"),
        *("--backend-store-uri", home.tracking_uri),
        *("--artifacts-destination", home.mlflow_artifacts.as_uri(), "--serve-artifacts"),
        *("--allowed-hosts", ",".join(hosts)),
        *(("--static-prefix", prefix) if prefix else ()),
        *("--uvicorn-opts", f"{listening}--timeout-graceful-shutdown {_GRACE_SECONDS}"),
    ]


def _shorten(log: Path) -> None:
    """Start the log anew once it is long, and keep the one before as `NAME.1`."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
