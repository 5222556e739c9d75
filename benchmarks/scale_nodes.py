"""Several nodes of Ray on this machine, each of one core and with processes of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.cluster_utils import Cluster

STORE_BYTES = 80_000_000
"""Bytes of a node's object store, close to the least that Ray takes."""


@contextmanager
def nodes(number: int) -> Iterator[None]:
    """Join a cluster of `number` nodes of one core, and a head without cores, while entered."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False},
    )
    try:
        for _ in range(number):
            cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        cluster.wait_for_nodes()
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()
