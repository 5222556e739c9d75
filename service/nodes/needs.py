"""Checks before a node starts: whatever is missing is named within seconds, and nothing has started by then."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from typing import Final

from search_spaces.documents import format_size
from service.clusters import describe_other_versions, read_token, why_not_joinable
from service.errors import ClusterError, HomeError, ResourcesError, UsageError
from service.nodes.options import NodeOptions
from service.settings import Home
from trainables.devices import Gpu, find_gpus

__all__ = ["LEAST_FREE", "check_needs"]

LEAST_FREE: Final = 10**9
"""Bytes that must be free on the disk of a node's home: images are prepared and activations kept there."""

_HOW_TO_MAKE: Final = "a file with 32 random bytes or more, as `openssl rand -hex 32` prints them"


def check_needs(
    home: Home,
    options: NodeOptions,
    *,
    free_bytes: Callable[[Home], int] = lambda home: shutil.disk_usage(home.root).free,
    gpus: Callable[[], Sequence[Gpu]] = find_gpus,
) -> None:
    """Check everything that the node needs; takes 5 s at most.

    free_bytes: returns the free bytes of a home's disk. gpus: returns the GPUs that NVIDIA's driver lists.

    Raises:
        UsageError: the token of the cluster is missing.
        HomeError: the home's disk is full.
        ResourcesError: there are fewer GPUs than the node is to offer.
        ClusterError: the cluster cannot be joined, refuses the token, has another version, or the port is taken.
    """
    _check_token()
    free = free_bytes(home)
    if options.trains and free < LEAST_FREE:
        raise HomeError(
            f"home {home.root}: {format_size(free)} free, a node needs {format_size(LEAST_FREE)} for images and "
            "activations; make room, or give --home on a larger disk"
        )
    _check_gpus(options.gpus or 0, gpus())
    if options.ray is not None:
        reason = why_not_joinable(options.ray, seconds=4.0) or describe_other_versions(options.ray)
        if reason is not None:
            raise ClusterError(reason)
    else:
        _check_port(options)


def _check_token() -> None:
    """Raise UsageError if the token that every node of the cluster shows is missing."""
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token").lower()
    if mode != "token":
        return
    if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
        raise UsageError(f"the cluster's token is missing: set RAY_AUTH_TOKEN_PATH to it on every node, {_HOW_TO_MAKE}")
    try:
        token = read_token()
    except OSError as error:
        raise UsageError(
            f"RAY_AUTH_TOKEN_PATH: {error.filename}: {error.strerror}; it must be {_HOW_TO_MAKE}"
        ) from None
    if not token:
        raise UsageError(
            f"RAY_AUTH_TOKEN_PATH: {os.environ.get('RAY_AUTH_TOKEN_PATH')} is empty; it must be {_HOW_TO_MAKE}"
        )


def _check_gpus(asked: int, gpus: Sequence[Gpu]) -> None:
    if asked > len(gpus):
        there = f"NVIDIA's driver lists {len(gpus)}" if gpus else "NVIDIA's driver does not answer, or lists none"
        raise ResourcesError(
            f"--gpus {asked}: {there}; start the node where `nvidia-smi` lists them (a container needs --gpus or a GPU "
            "profile), or give fewer"
        )


def _check_port(options: NodeOptions) -> None:
    host = options.node_ip or ""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, options.port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ClusterError(
                f"the head cannot listen at {host or 'this machine'}, port {options.port}: {reason}; choose another "
                "--port or --node-ip"
            ) from None
