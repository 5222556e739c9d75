"""A cluster as docker/compose.yaml brings it up, on hosts of one machine: with its roles, commands and variables."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import psutil
from ruamel.yaml import YAML

from tests.running_services import until
from tests.topologies.hosts import REPOSITORY, Host, Network

__all__ = ["ADDRESSES", "Cluster", "Part", "compose_part"]

COMPOSE: Final = REPOSITORY / "docker" / "compose.yaml"
ENTRYPOINT: Final = REPOSITORY / "docker" / "entrypoint.sh"
NODES: Final = ("node1", "node2")

ADDRESSES: Final = {
    "head": "10.77.0.1",
    "postgres": "10.77.0.2",
    "mlflow": "10.77.0.3",
    "drivers": "10.77.0.4",
    "api": "10.77.0.5",
    "node1": "10.77.0.11",
    "node2": "10.77.0.12",
}

END_SECONDS: Final = 30.0
"""Time in which the whole cluster ends in order."""

_RESTART_SECONDS: Final = 1.0
_HOME: Final = "/home/meltpoint"
_PROXY: Final = """
import asyncio, sys
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def serve(reader, writer):
    inner = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 5432)
    await server.serve_forever()
asyncio.run(main())
"""
"""Passes connections on to the socket of the tests' PostgreSQL, which thus has an address of its own."""


@cache
def compose_services() -> Mapping[str, Any]:
    """Return the services of docker/compose.yaml."""
    services: Mapping[str, Any] = YAML(typ="safe").load(COMPOSE.read_text())["services"]
    return services


def compose_part(name: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return a service's command and variables, with the defaults of its `${NAME:-default}`."""
    service = compose_services()[name]
    variables = {key: _default(str(value)) for key, value in service.get("environment", {}).items()}
    return [_default(str(word)) for word in service["command"]], variables


def _default(text: str) -> str:
    return text.partition(":-")[2].rstrip("}") if text.startswith("${") else text


class Part:
    """A process on a host, started again whenever it ends, as a container is, until `end` or `kill`.

    log: file to which its output is added. Ownership: ends with the host, too.
    """

    def __init__(
        self, host: Host, words: Sequence[str], variables: Mapping[str, str], log: Path, *, restart: bool = True
    ) -> None:
        self.host, self.log = host, log
        self._words, self._variables, self._restart = words, variables, restart
        self._ending = threading.Event()
        self.exit_code: int | None = None
        self.starts = self._run_start = 0
        self._thread = threading.Thread(target=self._keep, name=f"part {host.name}", daemon=True)
        self._thread.start()

    @property
    def main(self) -> psutil.Process:
        """The main process, as `docker kill` means it."""
        (child,) = psutil.Process(self._process.pid).children()
        return child

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def text_of_run(self) -> str:
        """Return what its newest run has printed."""
        with self.log.open("rb") as file:
            file.seek(self._run_start)
            return file.read().decode(errors="replace")

    def end(self) -> None:
        """Send SIGTERM, without waiting; it is not started again."""
        self._ending.set()
        with suppress(psutil.Error, ValueError):
            self.main.send_signal(signal.SIGTERM)

    def restart(self) -> None:
        """Send SIGTERM to the main process, which is then started again."""
        self.main.send_signal(signal.SIGTERM)

    def forget(self) -> None:
        """Start it no more: its host is gone."""
        self._ending.set()

    def wait(self, seconds: float) -> int:
        """Wait for the end; return the exit code of the last run."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{self.host.name} has not ended: {self.text()[-2000:]}"
        assert self.exit_code is not None
        return self.exit_code

    def _keep(self) -> None:
        while not self._ending.is_set():
            with self.log.open("ab") as log:
                self._run_start = log.tell()
                command = self.host.command(*self._words, variables=self._variables)
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.starts += 1
            self.exit_code = self._process.wait()
            if not self._restart:
                return
            self._ending.wait(_RESTART_SECONDS)


class Cluster:
    """The roles of docker/compose.yaml, each on its own host; nodes and drivers share a checkpoint store.

    Args:
        folder: for the files of all hosts.
        database: path of the socket of a PostgreSQL server with the databases `meltpoint` and `mlflow`.
        data: folder that is copied to each host that reads data.
    """

    def __init__(self, folder: Path, database: Path, data: Path) -> None:
        self.folder, self._database, self._data = folder, database, data
        self.hosts: dict[str, Host] = {}
        self.parts: dict[str, Part] = {}
        self._stack = ExitStack()
        self.network = self._stack.enter_context(closing(Network()))
        self._token = secrets.token_hex(32)

    def __enter__(self) -> Cluster:
        """Start everything, and wait until the API answers and both nodes are ready."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts.values():
            part.forget()
        self._stack.close()

    def _start(self) -> None:
        for name in ADDRESSES:
            self._add_host(name)
        self._proxy()
        migrate = self.start("migrate", host="drivers", restart=False)
        for name in ("mlflow", "head"):
            self.start(name)
        assert migrate.wait(120) == 0, migrate.text()
        for name in ("api", "drivers"):
            self.start(name)
        for name in NODES:
            self.start_node(name)

    def await_ready(self, seconds: float = 240.0) -> None:
        """Wait until the nodes have joined and the API serves."""
        signs = {
            **dict.fromkeys(("head", *NODES), "has joined"),
            "api": "admin token",
            "mlflow": "startup complete",
            "drivers": "drivers are ready",
        }
        deadline = time.monotonic() + seconds
        for name, sign in signs.items():
            is_ready = partial(self._has_printed, name, sign)
            until(is_ready, partial(self.tail, name), max(1.0, deadline - time.monotonic()))

    def _has_printed(self, name: str, words: str) -> bool:
        return words in self.parts[name].text()

    def has_joined(self, name: str) -> bool:
        """Return whether the newest run of a node says that it has joined."""
        return "has joined" in self.parts[name].text_of_run()

    def lose(self, name: str) -> None:
        """End a node's host at once, as a power cut does."""
        self.parts[name].forget()
        self.hosts[name].kill()

    def return_node(self, name: str) -> None:
        """Start a lost node's host again, with its files, and the node on it."""
        self.hosts[name].boot()
        self.start_node(name)

    def tail(self, name: str) -> str:
        """Return the end of a part's log, for a failure's message."""
        return f"{name} is not ready: {self.parts[name].text()[-3000:]}"

    def start(self, name: str, *, host: str | None = None, restart: bool = True) -> Part:
        """Start a service of docker/compose.yaml on a host of its own name or another one."""
        words, variables = compose_part(name)
        return self._run(name, host or name, words, variables, restart=restart)

    def start_node(self, name: str, *, cpus: int = 1, restart: bool = True) -> Part:
        """Start a node on the host of that name."""
        words, variables = compose_part("node")
        return self._run(name, name, [*words, "--cpus", str(cpus)], variables, restart=restart)

    def run(self, host: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the image on a host to its end."""
        command = self.hosts[host].command("sh", str(ENTRYPOINT), *words, variables=self._variables() | variables)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def end(self) -> dict[str, int]:
        """End all parts in order within 30 s; return their exit codes by name."""
        for part in self.parts.values():
            part.end()
        return {name: part.wait(END_SECONDS) for name, part in self.parts.items() if part.host.name != "postgres"}

    def _run(
        self, name: str, host: str, words: Sequence[str], variables: Mapping[str, str], *, restart: bool = True
    ) -> Part:
        log = self.folder / f"{name}.log"
        command = ["sh", str(ENTRYPOINT), *words]
        part = Part(self.hosts[host], command, {**self._variables(), **variables}, log, restart=restart)
        self.parts[name] = part
        self._stack.callback(part.forget)
        return part

    def _add_host(self, name: str) -> None:
        mounts = {"/store": self.folder / "store"} if name in ("drivers", "api", *NODES) else {}
        if name == "api":
            mounts[_HOME] = self.folder / "drivers" / "home" / "meltpoint"  # one volume in compose
        host = Host(self.network, name, ADDRESSES[name], folder=self.folder / name, names=ADDRESSES, mounts=mounts)
        self.hosts[name] = host
        self._stack.callback(host.close)
        host.path(_HOME).mkdir(parents=True, exist_ok=True)
        secret = host.path("/run/secrets")
        secret.mkdir(parents=True, exist_ok=True)
        (secret / "ray-token").write_text(self._token)
        (secret / "ledger-password").write_text("none")
        if name in ("drivers", "api", *NODES):
            shutil.copytree(self._data, host.path("/data"), dirs_exist_ok=True)

    def _proxy(self) -> None:
        host = self.hosts["postgres"]
        command = ["nsenter", f"--net=/proc/{host.first}/ns/net", sys.executable, "-c", _PROXY, str(self._database)]
        process = subprocess.Popen(command)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    @staticmethod
    def _variables() -> dict[str, str]:
        """Return the variables that the image sets."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {
            "PATH": path,
            "PYTHONPATH": str(REPOSITORY),
            "HOME": _HOME,
            "MELTPOINT_HOME": f"{_HOME}/.meltpoint",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
