"""A checkup of a cluster from inside: what the service needs, then each node in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from search_spaces import SweepSpec
from service.clusters import why_not_joinable
from service.errors import ClusterError
from service.upkeep.checks.findings import Finding, Surroundings, problem
from service.upkeep.checks.ledger import check_ledger
from service.upkeep.checks.mlflow_rights import check_mlflow_rights
from service.upkeep.checks.mlflow_store import check_mlflow_store
from service.upkeep.checkups import isolated
from service.upkeep.cluster_checks.clocks import check_clocks
from service.upkeep.cluster_checks.data import check_node_data
from service.upkeep.cluster_checks.gpus import check_node_gpus
from service.upkeep.cluster_checks.looks import ClusterCheck, ClusterView, NodeFacts, read_facts
from service.upkeep.cluster_checks.room import check_room
from service.upkeep.cluster_checks.stores import check_node_stores
from service.upkeep.cluster_checks.versions import check_node_versions

__all__ = ["CLUSTER_CHECKS", "examine_cluster", "examine_nodes"]

CLUSTER_CHECKS: Sequence[tuple[str, ClusterCheck]] = (
    ("versions", check_node_versions),
    ("clock", check_clocks),
    ("disk", check_room),
    ("gpu", check_node_gpus),
    ("store", check_node_stores),
    ("data", check_node_data),
)
"""The checks of nodes, by the names under which their own failures are shown."""


def examine_cluster(
    surroundings: Surroundings, address: str, *, spec: SweepSpec | None = None, folder: Path | None = None
) -> Iterator[Finding]:
    """Yield the findings about ledger, MLflow, token and every node of the Ray cluster at `address`.

    spec: a sweep whose images each node must read. folder: of its file.
    """
    for name, check in (
        ("ledger", check_ledger),
        ("mlflow store", check_mlflow_store),
        ("mlflow rights", check_mlflow_rights),
    ):
        yield from isolated(name, check, surroundings)
    if reason := why_not_joinable(address):
        yield problem("token", reason, "correct --ray or RAY_ADDRESS, and the token of this machine")
        return
    yield Finding(name="token", text=f"the Ray cluster at {address} accepts it")
    from service.clusters.connections import connect
    from service.clusters.node_looks import has_node_here

    if not has_node_here():
        advice = "type the command where one runs, such as in the container of the drivers"
        yield problem("nodes", "no process of Ray runs on this machine, by which it could join the cluster", advice)
        return
    try:
        with connect():
            yield from examine_nodes(surroundings, spec=spec, folder=folder)
    except ClusterError as error:
        yield problem("nodes", str(error), "look at the log of the head")


def examine_nodes(
    surroundings: Surroundings, *, spec: SweepSpec | None = None, folder: Path | None = None
) -> Iterator[Finding]:
    """Yield the findings about every node of the cluster that this process has joined."""
    from service.clusters.node_looks import looking

    home = surroundings.home
    with looking() as looks:
        facts: dict[str, NodeFacts] = {}
        for node, answer in zip(looks.nodes, looks.ask(read_facts, str(home.root)).values(), strict=True):
            if isinstance(answer, NodeFacts):
                facts[node.id] = answer
                cores = "1 core" if node.cpus == 1 else f"{node.cpus:g} cores"
                text = f"{cores}, {node.gpus:g} GPUs at {node.address}"
                yield Finding(name="node", node=answer.name, text=text)
            else:
                advice = "use the same image on all nodes, and look at that node's log"
                yield problem("node", f"cannot be asked: {answer.reason}", advice, node=node.address)
        view = ClusterView(
            looks=looks,
            facts=facts,
            home=home.root,
            store=home.store,
            spec=spec,
            folder=folder or Path.cwd(),
        )
        if not view.trainers:
            yield Finding(name="nodes", text="none with cores: the first sweep that waits asks for one, if they scale")
        for name, check in CLUSTER_CHECKS:
            yield from isolated(name, partial(_of_view, check, view), surroundings)


def _of_view(check: ClusterCheck, view: ClusterView, _surroundings: Surroundings) -> Iterator[Finding]:
    return check(view)
