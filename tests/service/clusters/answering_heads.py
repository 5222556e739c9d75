"""A server that answers as the head of a Ray cluster does, for tests that join none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import grpc

from service.clusters.ray_internals import ALL_NODES, CHECK_ALIVE

__all__ = ["answering_head"]


@contextmanager
def answering_head(token: str, *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """Answer as the head of Ray 2.60 does while entered; yield the address.

    labels: of the head; None if it does not know the question.
    """
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Head(token, labels)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class _Head(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, token: str, labels: Mapping[str, str] | None) -> None:
        self._token = token
        self._answers = {CHECK_ALIVE: b""}
        if labels is not None:
            # Ray reads its environment at its import, which is made later than this file's.
            messages: Any = import_module("ray.core.generated.gcs_service_pb2")
            reply = messages.GetAllNodeInfoReply()
            reply.node_info_list.add()
            reply.node_info_list.add(is_head_node=True, labels=labels)
            self._answers[ALL_NODES] = reply.SerializeToString()

    def service(self, details: Any) -> Any:
        answer = self._answers.get(details.method)
        if answer is None:
            return None
        sent = dict(details.invocation_metadata).get("authorization")

        def respond(_request: bytes, context: Any) -> bytes:
            if sent != f"Bearer {self._token}":
                reason = "InvalidAuthToken: Authentication token is missing or incorrect"
                context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)
            return answer

        return grpc.unary_unary_rpc_method_handler(respond)
