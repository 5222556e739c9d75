"""Hosts on one machine: each a network, mount, process and host-name namespace with a root folder of its own.

They share the machine's programs and nothing else but what is mounted into several. A host's first process reads from
a pipe of the test's process, so that all of its processes end with that process, however it ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

__all__ = ["Host", "Network", "require_namespaces"]

REPOSITORY: Final = Path(__file__).parents[2]

_NAMESPACES: Final = ("--net", "--mount", "--uts", "--ipc", "--pid")
_UNSHARE: Final = ("unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc")
_OWN: Final = ("data", "dev", "home", "mnt", "proc", "run", "srv", "store", "artifacts", "tmp", "root")
"""Folders of a host's root that are not the machine's."""


def require_namespaces() -> None:
    """Skip the test if this machine allows no namespaces; fail it where the variable CI is set."""
    reason = _why_no_namespaces()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"this machine allows no namespaces, without which a cluster is not tested: {reason}")
    pytest.skip(f"this machine allows no namespaces: {reason}")


def _why_no_namespaces() -> str | None:
    for program in ("unshare", "nsenter", "ip", "mount", "chroot"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    script = "mount -t tmpfs tmpfs /mnt && ip link add name tried type bridge"
    tried = subprocess.run([*_UNSHARE, "sh", "-c", script], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]


class _Namespace:
    """Namespaces with a first process that waits for the end of its stdin. script: run in them at first, by sh."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            [*_UNSHARE, "sh", "-ec", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != b"ready\n":
            raise OSError(self._process.stderr.read().decode())
        (first,) = psutil.Process(self._process.pid).children()
        self.pid = first.pid

    def kill(self) -> None:
        """End all of it at once, as a power cut does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


_WAIT: Final = 'trap "" CHLD; echo ready; exec {} cat'
"""Last words of a script: the first process lets the system take note of the ends of orphans."""


class Network:
    """A switch, in a namespace of its own; hosts are plugged into it."""

    def __init__(self) -> None:
        script = "ip link add name switch type bridge; ip link set switch up; "
        self._namespace = _Namespace(script + _WAIT.format(""))
        self._ports: dict[str, str] = {}

    def plug(self, host: str, pid: int, address: str) -> None:
        """Give the host whose first process is `pid` an interface with an address."""
        port = self._ports.setdefault(host, f"port{len(self._ports)}")
        self._ip(f"link add {port} type veth peer name eth0 netns {pid}")
        self._ip(f"link set {port} master switch up")
        for words in ("link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up"):
            _run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words.split()])

    def cut(self, host: str) -> None:
        """Cut a host's link: what is sent is lost, without a word to either end."""
        self._ip(f"link set {self._ports[host]} nomaster")

    def mend(self, host: str) -> None:
        """Undo `cut`."""
        self._ip(f"link set {self._ports[host]} master switch")

    def close(self) -> None:
        """Remove the switch and all links."""
        self._namespace.kill()

    def _ip(self, words: str) -> None:
        _run(["nsenter", f"--net=/proc/{self._namespace.pid}/ns/net", "ip", *words.split()])


class Host:
    """A host, up from its making until `kill` or `close`; `boot` makes it anew, with the files that it had.

    Args:
        network: the switch that it is plugged into.
        name: its host name.
        address: in 10.77.0.0/24.
        folder: on the test's file system, for the files of the host: `tmp`, `home`, `data` and so on.
        names: addresses by name, as `/etc/hosts` has them.
        mounts: absolute path on the host -> folder of the test, which others may share.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        address: str,
        *,
        folder: Path,
        names: Mapping[str, str],
        mounts: Mapping[str, Path] | None = None,
    ) -> None:
        self.name, self.address, self.folder = name, address, folder
        self._network = network
        self._mounts = dict(mounts or {})
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{number} {known}" for known, number in names.items())]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        self.boot()

    def boot(self) -> None:
        """Start the host."""
        self._namespace = _Namespace(self._script())
        self._network.plug(self.name, self._namespace.pid, self.address)

    @property
    def first(self) -> int:
        """The number of the host's first process."""
        return self._namespace.pid

    def path(self, inside: str) -> Path:
        """Return the place on the test's file system of an absolute path on the host, of its own or mounted."""
        for mount, folder in self._mounts.items():
            if inside == mount or inside.startswith(f"{mount}/"):
                return folder / inside.removeprefix(mount).lstrip("/")
        return self.folder / inside.lstrip("/")

    def command(self, *words: str, variables: Mapping[str, str] | None = None) -> list[str]:
        """Return the command that runs `words` on the host, with these variables and no others."""
        target = str(self._namespace.pid)
        assignments = [f"{name}={value}" for name, value in (variables or {}).items()]
        return [
            *("nsenter", "--target", target, *_NAMESPACES, "--root"),
            *("env", "--ignore-environment", "--chdir=/tmp", *assignments, *words),
        ]

    def processes(self) -> list[psutil.Process]:
        """Return the processes that run on the host, but its first."""
        own = _pid_namespace(self._namespace.pid)
        others = [process for process in psutil.process_iter() if process.pid != self._namespace.pid]
        inside = [process for process in others if own is not None and _pid_namespace(process.pid) == own]
        return [process for process in inside if _runs(process)]

    def stop(self) -> None:
        """Stop all processes, as a machine that hangs does."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `stop`."""
        starters = [child for child in psutil.Process().children() if child.name() == "nsenter"]  # they stop, too
        for process in [*self.processes(), *starters]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the host at once, as a power cut does."""
        self._namespace.kill()

    close = kill

    def _script(self) -> str:
        """Return the script that makes the host's root from folders of the machine and its own."""
        root = self.folder / "root"
        lines = [f"hostname {self.name}", "mount --make-rprivate /", f"mkdir -p {root}"]
        lines += [f"mount -t tmpfs tmpfs {root}"]
        for entry in sorted(Path("/").iterdir()):
            inside = f"{root}/{entry.name}"
            if entry.is_symlink():
                lines += [f"ln -s {entry.readlink()} {inside}"]
            elif entry.is_dir() and entry.name not in _OWN:
                lines += [f"mkdir {inside}", f"mount --rbind {entry} {inside}"]
        for name in set(_OWN) - {"dev", "proc"}:
            own = self.folder / name
            lines += [f"mkdir -p {own} {root}/{name}", f"mount --bind {own} {root}/{name}"]
        lines += [f"chmod 1777 {root}/tmp"]
        lines += [f"mkdir {root}/dev {root}/proc", f"mount --rbind /dev {root}/dev", f"mount --rbind /proc {root}/proc"]
        lines += [f"mount -t tmpfs tmpfs {root}/dev/shm"]
        for needed in _needed():
            lines += [f"mkdir -p {root}{needed}", f"mount --rbind {needed} {root}{needed}"]
        for mount, folder in self._mounts.items():
            lines += [f"mkdir -p {folder} {root}{mount}", f"mount --bind {folder} {root}{mount}"]
        lines += [f"mount --bind {self.folder / 'hosts'} {root}/etc/hosts"]
        return "; ".join(lines) + "; " + _WAIT.format(f"chroot {shlex.quote(str(root))}")


def _needed() -> list[Path]:
    """Return the folders of Python and of this repository that lie where a host has its own files."""
    folders = {REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(folder for folder in folders if folder.parts[1] in _OWN)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _pid_namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"
