"""Retries: the cause of a failed attempt, and the number of retries for each cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from service.ledgers import Cause

__all__ = ["RETRIES", "Retries", "cause_of", "cause_reported", "node_fault"]


@dataclass(frozen=True, kw_only=True)
class Retries:
    """At most `most` retries for one cause: the first after `pause` seconds, each further one after twice as many."""

    most: int
    pause: float

    def pause_before(self, number: int) -> float:
        """Seconds before retry `number`, from 0."""
        return self.pause * 2.0**number


RETRIES = {
    Cause.LOST_NODE: Retries(most=5, pause=1.0),
    Cause.OUT_OF_MEMORY: Retries(most=1, pause=5.0),
    Cause.HUNG: Retries(most=1, pause=1.0),
    Cause.NO_SPACE: Retries(most=8, pause=5.0),  # 21 minutes in all
    Cause.NO_STORE: Retries(most=8, pause=5.0),
    Cause.DIED: Retries(most=2, pause=1.0),
    Cause.CODE: Retries(most=0, pause=0.0),
    Cause.PREEMPTED: Retries(most=5, pause=0.0),
    Cause.BAD_NODE: Retries(most=20, pause=0.0),  # the node is set aside before one trial has met it so often
}
"""Retries by cause. An error of the code is not tried again: the same recipe and seed would raise it again."""

_OF_MACHINES = (
    (Cause.NO_SPACE, ("no space left", "Disk quota exceeded")),
    (Cause.NO_STORE, ("the checkpoint store",)),
    (
        Cause.OUT_OF_MEMORY,
        ("out of memory", "OutOfMemory", "MemoryError", "when memory runs out", "running low on memory"),
    ),
)
_OF_WORKERS = (
    (Cause.HUNG, ("no sign of life",)),
    (
        Cause.LOST_NODE,
        (
            "node died",
            "node has been marked dead",
            "preempt",
            "Node is dead",
            "was terminated unexpectedly",
            "raylet died",
            "may or may not have been executed on the actor",  # the first that Ray writes of a node that was killed
        ),
    ),
    *_OF_MACHINES,
    (Cause.DIED, ("process died", "Worker unexpectedly exits", "actor died", "worker died")),
)


_REMOTE_STORE = re.compile(r"the checkpoint store \w+://")
"""Sign of an error of a store that is no part of the node."""

_NODE_FAULTS = ("NodeError", "WeightsError", "DeviceError")
"""Names of errors that a trial raises if its node lacks what other nodes may have."""


def cause_of(text: str) -> Cause:
    """Return the cause from what Ray or the worker wrote about an attempt that ended without a report.

    If nothing was written, the worker is taken to have died.
    """
    return _first(_OF_WORKERS, text) if text.strip() else Cause.DIED


def cause_reported(error: str) -> Cause:
    """Return the cause from the error that a trial reported: a lack of space or memory, else its own code."""
    return _first(_OF_MACHINES, error)


def node_fault(error: str, trace: str = "") -> str | None:
    """Return the first line of an error that is the fault of the node where it was raised; None for other errors.

    error: what a trial reported, or Ray wrote. trace: the traceback that came with it.
    """
    is_full = _first(_OF_MACHINES, error) is Cause.NO_SPACE and _REMOTE_STORE.search(error) is None
    if not is_full and not any(f"{sign}: " in trace or f"{sign}: " in error for sign in _NODE_FAULTS):
        return None
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    marked = [line for line in lines if any(f"{sign}: " in line for sign in _NODE_FAULTS)]
    return (marked or lines or [error])[-1]


def _first(known: Iterable[tuple[Cause, tuple[str, ...]]], text: str) -> Cause:
    lowered = text.lower()
    return next((cause for cause, signs in known if any(sign.lower() in lowered for sign in signs)), Cause.CODE)
