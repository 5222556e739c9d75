"""Ray on this machine or elsewhere, and the share of a machine that each trial gets."""

from service.clusters.addresses import describe_other_versions, read_token, version_labels, why_not_joinable
from service.clusters.allotments import TRIALS_A_GPU, Allotment
from service.clusters.machines import Machine, cgroup_cores, memory_available, usable_cores, workers_gpus
from service.clusters.prestarts import Prestarted, prestart
from service.clusters.ray_internals import (
    actor_of,
    end_waiting,
    error_text,
    forget_results,
    frugal_variables,
    live_lanes,
    use_prestarted_workers,
)

__all__ = [
    "TRIALS_A_GPU",
    "Allotment",
    "Machine",
    "Prestarted",
    "actor_of",
    "cgroup_cores",
    "describe_other_versions",
    "end_waiting",
    "error_text",
    "forget_results",
    "frugal_variables",
    "live_lanes",
    "memory_available",
    "prestart",
    "read_token",
    "usable_cores",
    "use_prestarted_workers",
    "version_labels",
    "why_not_joinable",
    "workers_gpus",
]
