"""The queue as a service sends it."""

from __future__ import annotations

from pydantic import Field

from service.ledgers import SweepState
from service.schemas.base import Answer, Milliseconds

__all__ = ["NodeModel", "QueueEntryModel", "QueueModel"]


class QueueEntryModel(Answer):
    """A sweep under way or waiting."""

    sweep_id: str
    name: str
    owner: str | None = None
    state: SweepState
    priority: int
    slot_cap: int | None = None
    """Most trials at once; null for no limit."""
    position: int | None = None
    """Place in the queue: 1 for the sweep that starts next; null if it has started."""
    reason: str | None = None
    """Reason for which it waits."""
    queued_at: Milliseconds | None = None


class NodeModel(Answer):
    """A node of the service's cluster, as its pool of lanes saw it last."""

    name: str
    cores: float
    gpus: float
    accelerator: str | None = None
    """Kind of its GPUs; null if it is not known."""
    lanes: int
    """Workers there."""
    problem: str | None = None
    """Reason why it gets no trials; null if it gets some."""


class QueueModel(Answer):
    """Sweeps under way, and then those that wait, in the order of their start."""

    items: list[QueueEntryModel]
    nodes: list[NodeModel] = Field(default_factory=list)
    """Nodes that train."""
