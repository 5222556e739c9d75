"""Messages between the pool of lanes and the drivers of sweeps, over a Unix socket.

They are pickled; the socket lies in a folder that only its owner can enter. After `Join` and `Welcome` the pool asks
and the driver answers, one question at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Client

from service.ledgers import Cause, Json

__all__ = [
    "Crashed",
    "Join",
    "LookQuestion",
    "NextTrial",
    "Notice",
    "Offer",
    "PoolStatus",
    "Preempt",
    "Reported",
    "StatusQuestion",
    "Unreadable",
    "Welcome",
    "ask_status",
    "look_from_workers",
]


@dataclass(frozen=True, kw_only=True)
class Join:
    """The first message of a driver. cpu, gpu, accelerator: of each trial. wanted: trials that could start now.

    rendezvous: folder of the sweep's `Rendezvous`.
    """

    sweep_id: str
    cpu: float
    gpu: float
    wanted: int
    rendezvous: str
    accelerator: str | None = None


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """The pool's answer to `Join`; refusal: why the sweep cannot be served, or None."""

    refusal: str | None = None


@dataclass(frozen=True)
class NextTrial:
    """A question for a trial to start. The answer is an `Offer`. node: name of the node that is to train it."""

    node: str | None = None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A trial's config for its worker, None if there is none now; wanted: trials that could start besides."""

    config: Json | None
    wanted: int


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A report of a worker. The answer is whether its trial has ended, and the number of trials wanted.

    is_nodes_fault: whether the error that it reports is that of the node.
    """

    trial_id: str
    report: Json
    is_nodes_fault: bool = False


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """The loss of a worker. The answer is the number of trials wanted."""

    trial_id: str
    reason: str
    text: str
    cause: Cause


@dataclass(frozen=True, kw_only=True)
class Preempt:
    """A request to pause a trial that has just reported. The answer is the number of trials wanted.

    cause: noted for the attempt.
    """

    trial_id: str
    reason: str
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A sentence about the nodes for the sweep's user. The answer is the number of trials wanted."""

    text: str


@dataclass(frozen=True, kw_only=True)
class LookQuestion:
    """A question instead of `Join`: which of these paths can a worker not read, on which node? See `Unreadable`."""

    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A path that cannot be read on a node; node: its address."""

    path: str
    node: str


@dataclass(frozen=True)
class StatusQuestion:
    """A question about the pool, instead of `Join`. The answer is a `PoolStatus`."""


@dataclass(frozen=True, kw_only=True)
class PoolStatus:
    """The pool at one moment.

    cpus, gpus: of the cluster. lanes: workers there are; ready: those that are up. busy: those that train.
    here: whether all workers run on this machine. nodes: see `describe_nodes`.
    """

    cpus: float
    gpus: float
    lanes: int
    ready: int
    busy: int
    here: bool = True
    nodes: tuple[Json, ...] = ()


def look_from_workers(address: str, paths: Iterable[str]) -> list[Unreadable]:
    """Return which paths workers cannot read. Raises OSError or EOFError if no pool listens at `address`."""
    with Client(address, "AF_UNIX") as connection:
        connection.send(LookQuestion(paths=tuple(paths)))
        unreadable: list[Unreadable] = connection.recv()
        return unreadable


def ask_status(address: str) -> PoolStatus:
    """Return how the pool at `address` stands. Raises OSError or EOFError if no pool listens there."""
    with Client(address, "AF_UNIX") as connection:
        connection.send(StatusQuestion())
        status: PoolStatus = connection.recv()
        return status
