"""Ray on this machine as a process of its own, which starts while its user still loads what it needs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from search_spaces.errors import first_line
from service.errors import ClusterError

__all__ = ["RayHead"]

OBJECT_STORE_BYTES = 128 * 1024 * 1024

_ADDRESS, _FAILURE = "address ", "failure "

_MOST_CORES = 16
"""Up to which a worker a core is at hand from the start; each takes 140 MB."""

_WORKERS_AT_HAND = {
    "RAY_enable_worker_prestart": "1" if (os.cpu_count() or 1) <= _MOST_CORES else "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_preload_python_modules": "trainables.trials.ray_worker",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
"""They load Tune while the fork server loads torch, and are kept until the sweep's actors take them: once all cores are
spoken for, Ray would end them after a second. See `tuning.take_workers_at_hand`."""

_NOT_STARTED = ("start_monitor", "start_log_monitor", "start_api_server")
"""Of Ray's `Node`: its autoscaler, what passes on workers' output, and its dashboard's server. A Ray of one machine
that lives as long as one sweep has no use for them, and loading them took a second of two cores."""


class RayHead:
    """Ray's processes; they end with `close`, and with the process that made this, however that ends."""

    def __init__(self) -> None:
        self._joined = False
        command = [sys.executable, "-m", "service.clusters.ray_heads"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_WORKERS_AT_HAND | os.environ,
        )

    def address(self) -> str:
        """Where Ray can be joined, once it runs. Raises ClusterError where it does not start."""
        assert self._process.stdout is not None
        failure = "it ended at once"
        for line in self._process.stdout:
            said = line.decode(errors="replace").strip()
            if said.startswith(_ADDRESS):
                self._joined = True
                return said.removeprefix(_ADDRESS)
            if said.startswith(_FAILURE):
                failure = said.removeprefix(_FAILURE)
        raise ClusterError(f"Ray did not start: {failure}")

    def end(self) -> None:
        """Have Ray stop, which takes some seconds, and do not wait for it."""
        assert self._process.stdin is not None
        if not self._joined:
            self._process.kill()  # Ray's processes end with the one that starts them; nobody needs its good order
        self._process.stdin.close()

    def close(self) -> None:
        """Ray has stopped when this returns."""
        self.end()
        assert self._process.stdout is not None
        self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """Start Ray on loopback, say where, and stop it when stdin ends."""
    import ray

    _start_less()
    # On a busy machine Ray gives up on itself after 30 s (ray/_private/node.py); by then it has loaded what was slow.
    failure = _failure_to_start() and _failure_to_start()
    if failure is not None:
        print(f"{_FAILURE}{failure}", flush=True)  # noqa: T201
        return
    print(f"{_ADDRESS}{ray.get_runtime_context().gcs_address}", flush=True)  # noqa: T201
    sys.stdin.read()
    ray.shutdown()


def _failure_to_start() -> str | None:
    """Start Ray; why it did not, if it did not."""
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    except Exception as error:  # Ray raises whatever stopped it
        ray.shutdown()
        return first_line(error)
    return None


def _start_less() -> None:
    """Where another Ray calls these steps by other names, all of it starts."""
    from ray._private.node import Node

    for step in _NOT_STARTED:
        if hasattr(Node, step):
            setattr(Node, step, lambda self, **_: None)


if __name__ == "__main__":
    main()
