"""The options of `meltpoint node`, and Ray's command that they lead to."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.clusters import version_labels
from service.errors import UsageError

__all__ = ["DEFAULT_PORT", "NodeOptions"]

DEFAULT_PORT: Final = 6379

_OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
"""Memory for Ray's objects: trials pass files and small messages, which take none of it."""


@dataclass(frozen=True, kw_only=True)
class NodeOptions:
    """The options, as they were typed.

    Attributes:
        ray: host and port of the cluster's head; None on the head itself.
        port: of the head, on the head.
        cpus: cores that trials may use; None for those that Ray counts, and none of them on a head.
        gpus: GPUs that trials may use; None for those that Ray finds.
        name: name of the node; None for the host's.
        node_ip: address by which other nodes reach this one; None for the one that Ray chooses.
        grace: seconds that trials have to leave when the node ends.
        ray_options: options passed on to `ray start`.
    """

    ray: str | None = None
    port: int = DEFAULT_PORT
    cpus: int | None = None
    gpus: int | None = None
    name: str | None = None
    node_ip: str | None = None
    grace: float = 25.0
    ray_options: Sequence[str] = ()

    @property
    def is_head(self) -> bool:
        """Return whether the node is the cluster's head."""
        return self.ray is None

    @property
    def shown_name(self) -> str:
        """Return the name that people see."""
        return self.name or platform.node()

    @property
    def cores(self) -> int | None:
        """Return the cores that trials may use; None for those that Ray counts."""
        return 0 if self.cpus is None and self.is_head else self.cpus

    @property
    def trains(self) -> bool:
        """Return whether trials can run on the node."""
        return self.cores != 0

    @classmethod
    def typed(cls, *, head: bool, ray: str | None, **others: object) -> NodeOptions:
        """Return the options of a head or of another node.

        Raises:
            UsageError: neither a head nor a cluster to join is given, or both.
        """
        if head and ray is not None:
            raise UsageError("--head and --ray: a head joins no other cluster; give one of them")
        if not head and ray is None:
            raise UsageError(
                "a node joins a cluster, or is the head of one: give --ray HOST:PORT of the cluster's head, or --head"
            )
        return cls(ray=ray, **others)  # type: ignore[arg-type]

    def command(self, folder: Path) -> list[str]:
        """Return Ray's public command that starts the node. folder: where Ray keeps its sockets and logs."""
        place = ["--head", f"--port={self.port}", "--include-dashboard=false", "--no-monitor"] if self.is_head else []
        place += [] if self.ray is None else [f"--address={self.ray}"]
        place += [] if self.cores is None else [f"--num-cpus={self.cores}"]
        place += [] if self.gpus is None else [f"--num-gpus={self.gpus}"]
        place += [] if self.node_ip is None else [f"--node-ip-address={self.node_ip}"]
        labels = ",".join(f"{name}={value}" for name, value in version_labels().items())
        beside = Path(sys.executable).with_name("ray")
        return [
            str(beside) if beside.exists() else "ray",
            *("start", "--block", "--disable-usage-stats", "--no-redirect-output"),
            *("--include-log-monitor=false", *place),
            *(f"--node-name={self.shown_name}", f"--labels={labels}", f"--temp-dir={folder}"),
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
            *self.ray_options,
        ]
