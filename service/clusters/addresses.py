"""A look at the address of a Ray cluster, before a process joins it: its token, and its versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Final

from search_spaces.documents import expand_user
from service.clusters.ray_internals import CHANNEL_OPTIONS, CHECK_ALIVE, ask_head_labels

__all__ = ["describe_other_versions", "read_token", "version_labels", "why_not_joinable"]

_LABELS: Final[Mapping[str, str]] = {
    "Meltpoint": "meltpoint-version",
    "Ray": "meltpoint-ray-version",
    "Python": "meltpoint-python-version",
}
"""Labels by which the head of a cluster tells its versions."""

_DEFAULT_TOKEN = "~/.ray/auth_token"


def why_not_joinable(address: str, *, seconds: float = 5.0) -> str | None:
    """Return why the Ray cluster at an address cannot be joined from here, or None if it answers.

    Ray itself needs 30 s for that and hides the reason: the head is asked directly, with the token that Ray would send.
    A cluster with TLS (`RAY_USE_TLS`), or one that does not know the question, counts as joinable.

    Args:
        address: host and port of the head, as in `RAY_ADDRESS`.
        seconds: the longest wait for an answer.
    """
    if address.partition(":")[2] == "" or address.startswith("ray://"):
        return f"{address}: must be host:port of the head, such as 10.0.0.1:6379"
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return None
    try:
        token = read_token()
    except OSError as error:
        return f"the token of Ray cannot be read: {error.filename}: {error.strerror}"
    return _ask(address, token, seconds)


def version_labels() -> Mapping[str, str]:
    """Return the labels of a node that tell its versions: of Meltpoint, Ray and Python."""
    return {_LABELS[name]: version for name, version in _own_versions().items()}


def describe_other_versions(address: str, *, seconds: float = 3.0) -> str | None:
    """Return in which versions the head at an address differs from this process, or None if it does not.

    None also if the head does not tell, as one that `meltpoint node --head` has not started. Raises OSError if the
    token cannot be read.
    """
    labels = ask_head_labels(address, _metadata(read_token()), seconds)
    others = [
        f"{name} {labels[_LABELS[name]]} (here {version})"
        for name, version in _own_versions().items()
        if labels.get(_LABELS[name], version) != version
    ]
    if not others:
        return None
    return f"the Ray cluster at {address} runs {', '.join(others)}: use the same image on all nodes"


def _own_versions() -> Mapping[str, str]:
    return {
        "Meltpoint": metadata.version("meltpoint"),
        "Ray": metadata.version("ray"),
        "Python": platform.python_version(),
    }


def _metadata(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")] if token else []


def _ask(address: str, token: str, seconds: float) -> str | None:
    import grpc

    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        check_alive = channel.unary_unary(CHECK_ALIVE, request_serializer=bytes, response_deserializer=bytes)
        try:
            check_alive(b"", timeout=seconds, metadata=_metadata(token))
        except grpc.RpcError as error:
            return _reason(address, error.code().name, str(error.details()), has_token=bool(token))
    return None


def _reason(address: str, code: str, details: str, *, has_token: bool) -> str | None:
    if code == "UNAUTHENTICATED":
        wrong = "refuses the token" if has_token else "asks for a token"
        return f"the Ray cluster at {address} {wrong}: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to its token"
    if code == "DEADLINE_EXCEEDED":
        return f"nothing answers at {address}: is it the head's address, and is the port open from here?"
    if code == "UNAVAILABLE":
        return f"no Ray cluster answers at {address}: {details.rpartition(': ')[2] or details}"
    return None


def read_token() -> str:
    """Return the token that Ray would send, or "". Raises OSError if its file cannot be read."""
    if os.environ.get("RAY_AUTH_MODE", "disabled").lower() != "token":
        return ""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or _DEFAULT_TOKEN
    return expand_user(path).read_text().strip()
