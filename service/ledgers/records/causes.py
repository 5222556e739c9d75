"""The causes from which an attempt of a trial can fail."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cause"]


class Cause(StrEnum):
    """The cause from which an attempt failed.

    LOST_NODE: its machine went away. OUT_OF_MEMORY: an allocation failed, or the system killed its process.
    HUNG: it gave no sign of life. NO_SPACE: a disk or a store was full. NO_STORE: checkpoints could not be read or
    written. DIED: its process ended otherwise. CODE: its code raised an error. BAD_NODE: its node lacks what every
    trial needs. PREEMPTED: none; the attempt was paused, since its node was about to leave.
    """

    LOST_NODE = "lost node"
    OUT_OF_MEMORY = "out of memory"
    HUNG = "hung"
    NO_SPACE = "no space"
    NO_STORE = "no store"
    DIED = "died"
    CODE = "code"
    BAD_NODE = "bad node"
    PREEMPTED = "preempted"
