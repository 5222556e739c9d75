"""The queue: sweeps under way, and those that wait."""

from __future__ import annotations

from service.api.routes.strict_routes import make_router
from service.api.state import Viewer
from service.schemas import NodeModel, QueueEntryModel, QueueModel
from service.sweeps import read_nodes, read_queue

__all__ = ["router"]

router = make_router("queue")


@router.get("/queue", operation_id="get_queue")
def get_queue(caller: Viewer) -> QueueModel:
    """Return the sweeps under way, and then those that wait, in the order of their start.

    A submitter sees only their own; positions count the sweeps of all users.
    """
    return QueueModel(
        items=[QueueEntryModel(**vars(entry)) for entry in read_queue(caller.ledger, owner=caller.owner)],
        nodes=[
            NodeModel(**{name: node.get(name) for name in NodeModel.model_fields}) for node in read_nodes(caller.ledger)
        ],
    )
