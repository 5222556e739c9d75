"""Markers: small files by which workers on other nodes see that they use the driver's store."""

from __future__ import annotations

import secrets

from trainables.checkpoint_stores.opening import open_store
from trainables.checkpoint_stores.places import name_of_place, parent_place
from trainables.errors import CheckpointError, NodeError, StoreError

__all__ = ["check_marker", "write_marker"]

_PREFIX = "marker-"


def write_marker(folder: str) -> str:
    """Write a marker with a new token into a folder of a store, and return its location.

    Raises:
        StoreError: the store cannot be written.
    """
    token = secrets.token_hex(8)
    return open_store(folder).write(folder, f"{_PREFIX}{token}", token.encode())


def check_marker(location: str, node: str) -> None:
    """Check that this process reads a marker that the driver has written; node: name of the node of this process.

    Raises:
        NodeError: it does not; the message names node, store and way out.
    """
    folder = parent_place(location)
    try:
        content = open_store(location).read(location)
    except (CheckpointError, StoreError) as error:
        reason = str(error)
    else:
        if content.decode(errors="replace") == name_of_place(location).removeprefix(_PREFIX):
            return
        reason = f"{location} has another content"
    raise NodeError(
        f"the checkpoint store {folder} cannot be seen from the node {node} ({reason}); give --store a place that the "
        "driver and every node reach, such as s3://BUCKET/FOLDER or a mounted folder"
    )
