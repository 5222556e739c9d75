"""A trial's training in a process of its own, forked from the node's fork server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trainables.processes import Forked, died

__all__ = ["DIED", "NICENESS", "ForkedRun"]

Json = dict[str, Any]

NICENESS = 10
"""Added to the niceness of a trial's process, so that the driver, which gives trials their work, comes first."""

_ROLE = "trial"
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

DIED = died(_ROLE)


class ForkedRun(Forked):
    """A `TrialRun` in a process of its own, which leaves the driver the first place on a busy machine.

    line: the fields of a `Rendezvous`; log: the file to which whatever the process prints is added.
    """

    def __init__(
        self, address: str, *, threads: int, line: Mapping[str, Any], log: str, patience: float | None = None
    ) -> None:
        super().__init__(
            address,
            "trainables.trials.runner:run_from",
            {"threads": threads, "line": dict(line)},
            environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            niceness=NICENESS,
            log=log,
            role=_ROLE,
            patience=patience,
        )
        assert self.pid

    def take(self, plan: Json) -> None:
        self.ask("take", plan)

    def step(self) -> Json:
        report: Json = self.ask("step", progress=lambda: None)
        return report
