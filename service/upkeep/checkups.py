"""A checkup: every check of the machine and the home in turn, none of which can stop another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search_spaces import MeltpointError
from service.upkeep.checks.bytecode import check_bytecode
from service.upkeep.checks.cores import check_cores
from service.upkeep.checks.findings import Check, Finding, Level, Surroundings, problem
from service.upkeep.checks.gpus import check_gpus
from service.upkeep.checks.home import check_home
from service.upkeep.checks.ledger import check_ledger
from service.upkeep.checks.memory import check_memory
from service.upkeep.checks.mlflow_store import check_mlflow_store
from service.upkeep.checks.nodes import check_nodes
from service.upkeep.checks.ray_cluster import check_ray_cluster, check_ray_start
from service.upkeep.checks.settings import check_settings
from service.upkeep.checks.shared_memory import check_shared_memory
from service.upkeep.checks.store import check_store
from service.upkeep.checks.versions import check_versions
from service.upkeep.checks.weights import check_weights_packages

__all__ = ["CHECKS", "Finding", "Level", "Surroundings", "examine", "examine_ray_start", "isolated"]

CHECKS: Sequence[tuple[str, Check]] = (
    ("versions", check_versions),
    ("cores", check_cores),
    ("memory", check_memory),
    ("gpu", check_gpus),
    ("shared memory", check_shared_memory),
    ("home", check_home),
    ("ledger", check_ledger),
    ("checkpoints", check_store),
    ("mlflow store", check_mlflow_store),
    ("ray cluster", check_ray_cluster),
    ("nodes", check_nodes),
    ("weights", check_weights_packages),
    ("bytecode", check_bytecode),
    ("settings", check_settings),
)
"""All checks, by the names under which their own failures are shown; each yields one finding or several."""


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield the findings of every check of `CHECKS`, in their order."""
    for name, check in CHECKS:
        yield from isolated(name, check, surroundings)


def examine_ray_start(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield the finding of starting Ray as a sweep would, which takes some seconds."""
    return isolated("ray start", check_ray_start, surroundings)


def isolated(name: str, check: Check, surroundings: Surroundings) -> Iterator[Finding]:
    """Yield the findings of a check; its own error, if any, is the last of them."""
    try:
        yield from check(surroundings)
    except MeltpointError as error:
        yield problem(name, str(error), "")
    except Exception as error:  # a broken machine can raise any error in a check
        reason = str(error).splitlines()[0] if str(error) else ""
        yield problem(name, f"{type(error).__name__}: {reason}", "run again with --debug for the traceback")
