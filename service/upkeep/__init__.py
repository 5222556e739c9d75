"""Upkeep of a home and its machine: caches and checks."""

from service.upkeep.checks.mlflow_store import why_mlflow_is_away
from service.upkeep.checkups import Finding, Level, Surroundings, examine, examine_ray_start
from service.upkeep.cluster_checkup import examine_cluster, examine_nodes
from service.upkeep.service_checkups import ServiceNeeds, describe_running_service, examine_service

__all__ = [
    "Finding",
    "Level",
    "ServiceNeeds",
    "Surroundings",
    "describe_running_service",
    "examine",
    "examine_cluster",
    "examine_nodes",
    "examine_ray_start",
    "examine_service",
    "why_mlflow_is_away",
]
