"""A checkup of what `meltpoint serve` needs, which starts nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from service.clusters import why_not_joinable
from service.file_locks import try_lock
from service.settings import Home
from service.upkeep.checks.findings import Finding, Surroundings, problem
from service.upkeep.checks.home import check_home
from service.upkeep.checks.ledger import check_ledger
from service.upkeep.checks.mlflow_store import check_mlflow_store
from service.upkeep.checks.shared_memory import check_shared_memory
from service.upkeep.checks.store import check_store
from service.upkeep.checkups import isolated

__all__ = ["ServiceNeeds", "describe_running_service", "examine_service"]


@dataclass(frozen=True, kw_only=True)
class ServiceNeeds:
    """The demands of a service: its address, the Ray cluster that it joins (None: its own), its locks."""

    host: str
    port: int
    ray: str | None
    has_api: bool
    has_drivers: bool


def examine_service(surroundings: Surroundings, needs: ServiceNeeds) -> Iterator[Finding]:
    """Yield the findings: home, disk, ledger, MLflow, Ray, shared memory, port, and a service that runs already."""
    for name, check in (
        ("home", check_home),
        ("ledger", check_ledger),
        ("checkpoints", check_store),
        ("mlflow store", check_mlflow_store),
    ):
        yield from isolated(name, check, surroundings)
    if needs.has_drivers:
        yield from isolated("ray cluster", lambda _: _check_ray(needs.ray), surroundings)
        yield from isolated("shared memory", check_shared_memory, surroundings)
    if needs.has_api:
        yield from isolated("port", lambda _: _check_port(needs), surroundings)
    yield from isolated("service", lambda _: _check_locks(surroundings.home, needs), surroundings)


def describe_running_service(home: Home) -> str:
    """Return the address and process of the service that serves a home, as far as its file tells."""
    try:
        facts = json.loads(home.service_file.read_text())
        return f"at {facts['url']} (process {facts['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "by another process"


def _check_ray(address: str | None) -> Iterator[Finding]:
    if address is None:
        yield Finding(name="ray cluster", text="starts on this machine")
    elif reason := why_not_joinable(address):
        yield problem("ray cluster", reason, "correct --ray, or start the head of the cluster")
    else:
        yield Finding(name="ray cluster", text=f"{address} answers, and accepts the token")


def _check_port(needs: ServiceNeeds) -> Iterator[Finding]:
    family = socket.AF_INET6 if ":" in needs.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((needs.host, needs.port))
        except OSError as error:
            reason = error.strerror or str(error)
            yield problem("port", f"{needs.host}:{needs.port}: {reason}", "choose another with --port, or 0 for any")
        else:
            yield Finding(name="port", text=f"{needs.host}:{needs.port} is free")


def _check_locks(home: Home, needs: ServiceNeeds) -> Iterator[Finding]:
    if not home.root.exists():
        return
    for lock in home.service_locks(has_api=needs.has_api, has_drivers=needs.has_drivers):
        with try_lock(lock) as is_free:
            if not is_free:
                where = describe_running_service(home)
                yield problem("service", f"this home is served already {where}", "stop that service, or use --home")
                return
    yield Finding(name="service", text="none runs on this home")
