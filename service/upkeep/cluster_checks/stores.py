"""The store of checkpoints, as each node reaches it."""

from __future__ import annotations

from collections.abc import Iterator

from service.upkeep.checks.findings import Finding, problem, warning
from service.upkeep.cluster_checks.looks import ClusterView

__all__ = ["check_node_stores", "use_store"]


def check_node_stores(view: ClusterView) -> Iterator[Finding]:
    """Let each node read what this process writes into the store, then write, read and delete a file of its own."""
    from trainables.checkpoint_stores import open_store, write_marker
    from trainables.errors import StoreError

    store = view.store
    if store is None:
        if len(view.trainers) > 1:
            advice = "give a place that every node reaches: --store or MELTPOINT_STORE, such as s3://BUCKET/FOLDER"
            yield warning("store", "checkpoints lie in the home of this machine", advice, node="all")
        return
    try:
        marker = write_marker(store)
    except StoreError as error:
        advice = "correct MELTPOINT_STORE, or give this process the right to write"
        yield problem("store", str(error), advice, node="here")
        return
    try:
        for node, answer in view.ask(use_store, store, marker):
            if answer is None:
                yield Finding(name="store", node=node, text=f"{store} can be written and read")
            else:
                yield problem("store", answer.reason, "give that node the right to read and to write", node=node)
    finally:
        open_store(store).delete(marker)


def use_store(store: str, marker: str) -> None:
    """Read the marker that another machine wrote, and write, read and delete a file.

    Raises:
        StoreError: this node cannot do so.
    """
    from trainables.checkpoint_stores import check_marker, probe_store
    from trainables.nodes import Node

    check_marker(marker, Node.here().name)
    probe_store(store)
