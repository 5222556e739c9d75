"""Ray on this machine as a process of its own, which starts while the calling process still imports."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress

import psutil

from search_spaces.errors import first_line
from service.clusters.ray_internals import prestart_variables, skip_unused_parts
from service.errors import ClusterError
from trainables.processes import LONGEST, socket_root

__all__ = ["RayHead"]

OBJECT_STORE_BYTES = 128 * 1024 * 1024

_PARTS = {"gcs_server", "raylet"}
"""Names of the processes without which Ray does nothing: the head's store, and the node."""

_ADDRESS, _FAILURE = "address ", "failure "
_PRELOAD = "trainables.trials.ray_worker"
"""The module that workers import beforehand: Tune, and the actor that trains."""


class RayHead:
    """The processes of Ray; they end with `close`, and with the process that created the head, however that ends."""

    def __init__(self) -> None:
        """Start the processes.

        Raises:
            ClusterError: there is no folder with a path short enough for Ray's sockets.
        """
        self._joined = False
        command = [sys.executable, "-m", __name__]
        variables = prestart_variables(_PRELOAD) | os.environ | {"RAY_TMPDIR": _ray_folder()}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=variables,
        )

    def address(self) -> str:
        """Wait until Ray runs, and return its address.

        Raises:
            ClusterError: Ray does not start.
        """
        assert self._process.stdout is not None
        failure = "it ended at once"
        for line in self._process.stdout:
            text = line.decode(errors="replace").strip()
            if text.startswith(_ADDRESS):
                self._joined = True
                return text.removeprefix(_ADDRESS)
            if text.startswith(_FAILURE):
                failure = text.removeprefix(_FAILURE)
        raise ClusterError(f"Ray did not start: {failure}")

    def is_whole(self) -> bool:
        """Return whether the processes live that Ray needs; call it once the address is known."""
        living = set()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children():
                with suppress(psutil.NoSuchProcess):
                    if child.status() != psutil.STATUS_ZOMBIE:
                        living.add(child.name())
        return living >= _PARTS

    def kill(self) -> None:
        """End all processes at once: what is left of a Ray that is not whole would wait a minute for the rest."""
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.kill()

    def end(self) -> None:
        """Tell Ray to stop, which takes some seconds, without waiting."""
        assert self._process.stdin is not None
        if not self._joined:
            self._process.kill()  # its processes end with it; nobody needs an orderly end
        self._process.stdin.close()

    def close(self) -> None:
        """Stop Ray, and wait until it has stopped."""
        self.end()
        assert self._process.stdout is not None
        self._process.wait()
        self._process.stdout.close()


def _ray_folder() -> str:
    """Return the folder below which Ray keeps its sockets and logs: RAY_TMPDIR, else one with a short path."""
    given = os.environ.get("RAY_TMPDIR")
    if not given:
        try:
            return socket_root()
        except OSError as error:
            raise ClusterError(f"Ray did not start: {error}") from None
    if len(os.fsencode(given)) > LONGEST:
        raise ClusterError(
            f"RAY_TMPDIR: must have at most {LONGEST} bytes, since Ray makes Unix sockets below it, whose paths may "
            f"have 107 ({given}); choose a shorter folder, or unset it"
        )
    return given


def main() -> None:
    """Start Ray on loopback, print its address, and stop it when stdin ends."""
    import ray

    skip_unused_parts()
    # On a busy machine Ray gives up on itself after 30 s (ray/_private/node.py); by then it has loaded what was slow.
    failure = _failure_to_start() and _failure_to_start()
    if failure is not None:
        print(f"{_FAILURE}{failure}", flush=True)  # noqa: T201
        return
    print(f"{_ADDRESS}{ray.get_runtime_context().gcs_address}", flush=True)  # noqa: T201
    sys.stdin.read()
    ray.shutdown()


def _failure_to_start() -> str | None:
    """Start Ray; return the reason if it did not start."""
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    except Exception as error:  # Ray raises errors of every kind
        ray.shutdown()
        return first_line(error)
    return None


if __name__ == "__main__":
    main()
