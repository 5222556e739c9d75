"""A trial's training in a process of its own, forked from the node's fork server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from trainables.nodes import FORK_SERVER_VARIABLE
from trainables.processes import ForkedObject, Rendezvous, died

__all__ = ["DIED", "NICENESS", "PRELOAD", "ForkedRun", "Run"]

Json = dict[str, Any]

PRELOAD = "trainables.trials.runner"
"""The module that a node's fork server imports before it forks: all that a trial needs."""

NICENESS = 10
"""Added to the niceness of a trial's process, so that the driver, which gives trials their work, comes first."""

_ROLE = "trial"
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

DIED = died(_ROLE)


class Run(Protocol):
    """Trains one trial after another."""

    def take(self, plan: Json) -> None:
        """Take up the next trial; plan: fields of a `TrialPlan`."""

    def step(self, progress: Callable[[], None] = ...) -> Json:
        """Train up to the next report; progress: called about once a second."""

    def close(self) -> None:
        """Let go of the last trial."""


def _make_run(threads: int, rendezvous: Rendezvous) -> Run:
    from trainables.trials.runner import TrialRun

    return TrialRun(threads=threads, reports_requested=rendezvous.reports_requested)


class ForkedRun:
    """A run in a process of its own, with a lower priority than the driver's.

    log: file to which what the process prints is added.
    patience: seconds without a sign of life after which the process is killed.

    Raises OSError if no fork server listens at `address`.
    """

    def __init__(
        self, address: str, *, threads: int, rendezvous: Rendezvous, log: str, patience: float | None = None
    ) -> None:
        self._object = ForkedObject(
            address,
            _make_run,
            {"threads": threads, "rendezvous": rendezvous},
            environment={name: os.environ[name] for name in _GPU_VARIABLES if name in os.environ}
            | {FORK_SERVER_VARIABLE: address},
            niceness=NICENESS,
            log=log,
            role=_ROLE,
            patience=patience,
        )
        assert self.pid

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._object.pid

    def take(self, plan: Json) -> None:
        """Take up the next trial."""
        self._object.call(Run.take, plan)

    def step(self, progress: Callable[[], None] = lambda: None) -> Json:
        """Train up to the next report."""
        return self._object.call(Run.step, progress=progress)

    def close(self) -> None:
        """Let the process end."""
        self._object.close()
