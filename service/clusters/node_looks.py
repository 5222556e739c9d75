"""Questions to every node of the joined Ray cluster, answered by actors there that take no cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search_spaces import MeltpointError
from search_spaces.errors import first_line

__all__ = ["ClusterNode", "NoAnswer", "NodeLooks", "has_node_here", "looking"]

START_SECONDS: Final = 60.0
"""Time that a node has to start the process that answers."""

_CLOCK_ROUNDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class ClusterNode:
    """A living node. id: Ray's. address: of its host. cpus, gpus: cores and GPUs that trials may use."""

    id: str
    address: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class NoAnswer:
    """The reason why a node gave no answer."""

    reason: str


class _Look:
    def answer(self, question: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return question(*arguments)

    def clock(self) -> float:
        return time.time()


class NodeLooks:
    """The actors, by the node that they run on; `looking` makes them and ends them."""

    def __init__(self, nodes: Iterable[ClusterNode]) -> None:
        self.nodes = tuple(nodes)
        look: Any = ray.remote(num_cpus=0)(_Look)
        self._actors: dict[str, Any] = {
            node.id: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
            for node in self.nodes
        }

    def ask(
        self,
        question: Callable[..., Any],
        *arguments: Any,
        nodes: Iterable[ClusterNode] | None = None,
        seconds: float = START_SECONDS,
    ) -> Mapping[str, Any]:
        """Return the answer of each node by its id, or `NoAnswer`.

        question: a function of a module that every node has; called on all nodes at once. nodes: those to ask, by
        default all. seconds: the longest wait.
        """
        asked = {node.id: self._actors[node.id].answer.remote(question, arguments) for node in nodes or self.nodes}
        deadline = time.monotonic() + seconds
        return {node: _answer(reference, max(0.1, deadline - time.monotonic())) for node, reference in asked.items()}

    def clock_offset(self, node: ClusterNode) -> tuple[float, float] | NoAnswer:
        """Return the seconds by which a node's clock is ahead of this one's, and the error of that.

        The offset is measured against the middle of the quickest of five calls, and is wrong by half of that call's
        length at most (Cristian 1989, Probabilistic clock synchronization).
        """
        best: tuple[float, float] | None = None
        for _ in range(_CLOCK_ROUNDS):
            sent = time.time()
            answer = _answer(self._actors[node.id].clock.remote(), START_SECONDS)
            if isinstance(answer, NoAnswer):
                return answer
            error = (time.time() - sent) / 2
            if best is None or error < best[1]:
                best = answer - sent - error, error
        assert best is not None
        return best

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors.values():
            ray.kill(actor)


@contextmanager
def looking() -> Iterator[NodeLooks]:
    """Start an actor on every living node of the cluster that this process has joined, and end them."""
    looks = NodeLooks(
        ClusterNode(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    )
    try:
        yield looks
    finally:
        looks.close()


def has_node_here() -> bool:
    """Return whether a process of Ray runs on this machine, without which no process here can join a cluster."""
    return any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"]))


def _answer(reference: Any, seconds: float) -> Any:
    try:
        return ray.get(reference, timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        return NoAnswer(f"no answer within {seconds:.0f} s")
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        text = str(cause) if isinstance(cause, MeltpointError) else f"{type(cause).__name__}: {first_line(cause)}"
        return NoAnswer(text)
    except Exception as error:  # Ray raises errors of every kind for nodes that are gone
        return NoAnswer(first_line(error))
