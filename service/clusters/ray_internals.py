"""All uses of names that Ray and Ray Tune do not publish, each with the public way as its fallback.

Every function says by its result whether the name was there. Without it a sweep gives the same results and takes
longer; docs/ray-internals.md says how much longer. Checked with Ray 2.60.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "ALL_NODES",
    "CHANNEL_OPTIONS",
    "CHECK_ALIVE",
    "actor_of",
    "ask_head_labels",
    "end_waiting",
    "error_text",
    "forget_results",
    "frugal_variables",
    "live_lanes",
    "prestart_variables",
    "skip_unused_parts",
    "use_prestarted_workers",
]

CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""Method of Ray's head that answers at once, with its version, and refuses a wrong token by name.

The public way, `ray.init`, takes 30 s to say no more than that it cannot connect.
"""

ALL_NODES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
"""Method of Ray's head that tells of each node."""

CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0),)
"""Options of a channel to Ray's head: as Ray itself, no proxy is asked."""

_UNUSED_PARTS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Steps of Ray's `Node`: its autoscaler, the process that passes on workers' output, and the dashboard's server."""

_MOST_CORES = 16
"""Number of cores up to which a worker a core is started beforehand; each takes 140 MB."""


def skip_unused_parts() -> bool:
    """Let `ray.init` start no autoscaler, log monitor and dashboard server; return whether that could be arranged.

    Uses methods of `ray._private.node.Node`. A Ray of one machine that lives as long as one sweep does not need these
    processes. The public way is to start them all: about a second of two cores more at the start.
    """
    node: Any = getattr(_module("ray._private.node"), "Node", None)
    steps = [step for step in _UNUSED_PARTS if hasattr(node, step)]
    for step in steps:
        setattr(node, step, lambda _self, **_options: None)
    return len(steps) == len(_UNUSED_PARTS)


def prestart_variables(preload: str) -> dict[str, str]:
    """Return variables by which Ray starts workers beforehand, which import the module `preload`.

    Uses flags of Ray's C++ part that are not documented. Workers then load Tune while the fork server loads torch, and
    are kept for a minute; by default Ray would end them after a second once all cores are taken. Ray ignores a flag
    that it does not know: each worker then starts when its actor is asked for, 2 to 4 s later.
    """
    return {
        "RAY_enable_worker_prestart": "1" if (os.cpu_count() or 1) <= _MOST_CORES else "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_preload_python_modules": preload,
        "RAY_idle_worker_killing_time_threshold_ms": "60000",
    } | frugal_variables()


def frugal_variables() -> dict[str, str]:
    """Return variables by which Ray keeps no history of calls, and no metrics of its own.

    Uses flags of Ray's C++ part that are not documented. Nobody would read either here, and both grow for hours. Ray
    ignores a flag that it does not know.
    """
    return {"RAY_task_events_report_interval_ms": "0", "RAY_enable_metrics_collection": "0"}


def use_prestarted_workers() -> bool:
    """Let Tune's actors run in workers that Ray has started beforehand; return whether that could be arranged.

    Uses `DEFAULT_ENV_VARS` and `ENV_VARS_TO_PROPAGATE` of `ray.tune.execution.class_cache`. Tune gives actors some of
    this process's variables, and Ray starts a new worker for an actor that asks for any. Only for a Ray of this
    machine, whose workers have the variables already. The public way is to let Ray start new workers: 2 to 4 s more at
    the start.
    """
    cache = _module("ray.tune.execution.class_cache")
    collections = [getattr(cache, name, None) for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE")]
    if any(collection is None for collection in collections):
        return False
    for collection in collections:
        assert collection is not None
        collection.clear()
    return True


def actor_of(lane: Any) -> Any | None:
    """Return the handle of a Tune trial's actor; None if Tune keeps it elsewhere.

    Uses `Trial.temporary_state.ray_actor`, by which the actor is given its next trial before Tune asks for its next
    step. The public way is to end the lane: Tune then makes another, which takes some 20 ms a trial.
    """
    return getattr(getattr(lane, "temporary_state", None), "ray_actor", None)


def error_text(lane: Any) -> str:
    """Return what Ray wrote about a lost or failed worker; empty if Tune keeps it elsewhere.

    Uses `Trial.error_file`, by which the cause of a failure is known. The public way has it at the end of a run only:
    without it every lost worker counts as one that died, and is tried again twice.
    """
    file = getattr(lane, "error_file", None)
    return Path(file).read_text(errors="replace") if file and Path(file).exists() else ""


def ask_head_labels(address: str, metadata: Sequence[tuple[str, str]], seconds: float) -> Mapping[str, str]:
    """Return the labels of the head of the Ray cluster at an address; none if Ray does not tell.

    Uses the method GetAllNodeInfo of Ray's head and `ray.core.generated.gcs_service_pb2`, by which a node compares its
    versions before it joins. The public way, `ray.nodes()`, needs a node that has joined: without the method Ray's own
    check of Ray's and Python's versions remains.

    metadata: of the call, such as the token. seconds: the longest wait.
    """
    messages = _module("ray.core.generated.gcs_service_pb2")
    request, reply = getattr(messages, "GetAllNodeInfoRequest", None), getattr(messages, "GetAllNodeInfoReply", None)
    if request is None or reply is None:
        return {}
    import grpc

    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        ask = channel.unary_unary(
            ALL_NODES, request_serializer=request.SerializeToString, response_deserializer=reply.FromString
        )
        try:
            nodes = ask(request(), timeout=seconds, metadata=metadata).node_info_list
        except grpc.RpcError:
            return {}
    heads = [node for node in nodes if getattr(node, "is_head_node", False)]
    return dict(heads[-1].labels) if heads and hasattr(heads[-1], "labels") else {}


def live_lanes(tune_controller: Any) -> Collection[Any]:
    """Return Tune's trials that have not ended; none if Tune does not tell.

    Uses `TuneController.get_live_trials`, by which a lane that waits for a worker in vain, as after a node was lost, is
    given another lane's worker. The public way knows of no such lane: it waits until a lane ends by itself.
    """
    get_live_trials = getattr(tune_controller, "get_live_trials", None)
    return () if get_live_trials is None else get_live_trials()


def end_waiting(tune_controller: Any, lanes: Collection[str]) -> list[str]:
    """End those of Tune's trials with these ids that wait for a worker; return the ids of those that ended.

    Uses `stop_trial` and `get_live_trials` of `TuneController`, which Tune hands to schedulers; a lane bound to a node
    that is gone would wait for ever. The public way has no name for it: without this the run ends no lane, and a sweep
    whose node was lost before a worker started there ends its run only after a pause.
    """
    stop = getattr(tune_controller, "stop_trial", None)
    if not lanes or stop is None:
        return []
    waiting = [lane for lane in live_lanes(tune_controller) if lane.trial_id in lanes and lane.status == "PENDING"]
    for lane in waiting:
        stop(lane)
    return [str(lane.trial_id) for lane in waiting]


def forget_results(tune_controller: Any) -> bool:
    """Let go of the results of steps that have ended; return whether that could be arranged.

    Uses `_actor_manager` of Tune's controller, which keeps a reference to the result of every step until the step's
    actor ends. A lane lives as long as its service, and each reference holds about 5 KiB. The public way is to keep
    them all.
    """
    manager = getattr(tune_controller, "_actor_manager", None)
    results_by_actor = getattr(manager, "_tracked_actors_to_task_futures", None)
    get_awaited = getattr(getattr(manager, "_actor_task_events", None), "get_futures", None)
    if results_by_actor is None or get_awaited is None:
        return False
    awaited = set(get_awaited())
    for results in results_by_actor.values():
        results.intersection_update(awaited)
    return True


def _module(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
