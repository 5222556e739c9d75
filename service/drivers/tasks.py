"""Tasks of the forked processes of a service, as protocols that import nothing heavy."""

from __future__ import annotations

from typing import Protocol

from service.logs import configure_helper_logs
from service.settings import Home

__all__ = ["DriverTasks", "PoolTasks", "make_driver", "make_pool"]


class DriverTasks(Protocol):
    """The task of a driver's process. Thread safety: one call."""

    def drive(self, sweep_id: str, may_start: bool) -> None:
        """Admit a sweep that is `validating`, and drive it to its end if it may start; else leave it `queued`.

        A sweep that cannot be admitted or prepared ends as `failed` with the reason. Nothing happens if another
        process drives the sweep, or if it is neither validating nor queued.
        """


class PoolTasks(Protocol):
    """The task of the process of the pool of lanes."""

    def serve(self) -> None:
        """Serve drivers until the process ends.

        Raises:
            ClusterError: Ray cannot be joined.
        """


def make_driver(home: Home, pool: str, fork_server: str, *, debug: bool) -> DriverTasks:
    """Make the object of a driver's process. pool: socket of the lanes. fork_server: of helpers and trials."""
    from service.drivers.driver_process import DriverProcess

    configure_helper_logs(debug=debug)
    return DriverProcess(home, pool, fork_server)


def make_pool(home: Home, address: str, ray_address: str, *, here: bool, debug: bool) -> PoolTasks:
    """Make the object of the pool's process. address: socket for drivers. here: whether the Ray is ours alone."""
    from service.drivers.pool_process import PoolProcess

    configure_helper_logs(debug=debug)
    return PoolProcess(home, address, ray_address, here)
