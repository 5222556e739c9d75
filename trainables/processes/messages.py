"""Messages between a process, the fork server, and the processes that the server forks.

They are pickled and go over a Unix socket in a folder that only its owner can enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

__all__ = ["Answer", "Call", "EndQuestion", "ForkRequest", "ForkedError", "Progress", "Reply"]


class ForkedError(RuntimeError):
    """A forked process ended, or one of its methods raised an error that is not ours."""


@dataclass(frozen=True, kw_only=True)
class ForkRequest:
    """A request for a process.

    key: by which the process is asked for later. factory: a pickled function and its keyword arguments; only the forked
    process reads them, so that the server imports nothing more. environment: variables beside those of the server.
    role: for `ps`. folder: working folder. niceness: added to the server's. log: file for what the process prints,
    or "" for the server's stderr.
    """

    key: str
    factory: bytes
    environment: Mapping[str, str]
    role: str
    folder: str
    niceness: int
    log: str


@dataclass(frozen=True)
class EndQuestion:
    """A question to the server: how did the process with this key end?"""

    key: str


@dataclass(frozen=True)
class Call:
    """A call of a method; with_progress: whether it takes a function `progress`."""

    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    with_progress: bool


@dataclass(frozen=True)
class Progress:
    """The arguments that a method passes to `progress`."""

    args: tuple[Any, ...]


class Reply(Enum):
    """The kinds of answer."""

    RETURNED = auto()
    RAISED = auto()


@dataclass(frozen=True)
class Answer:
    """The result of a call, or the error that it raised."""

    kind: Reply
    value: Any
