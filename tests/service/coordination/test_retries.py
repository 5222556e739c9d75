"""The cause of a failed attempt, read from Ray's messages."""

from __future__ import annotations

import pytest
from ray import exceptions

from service.coordination import cause_of
from service.coordination.retries import RETRIES
from service.ledgers import Cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (exceptions.ActorUnavailableError("RpcError: RPC error: Socket closed rpc_code: 14", None), Cause.LOST_NODE),
        (exceptions.LocalRayletDiedError(), Cause.LOST_NODE),
        (exceptions.ActorDiedError(), Cause.DIED),
        (exceptions.WorkerCrashedError(), Cause.DIED),
        (
            exceptions.OutOfMemoryError("Task was killed due to the node running low on memory."),
            Cause.OUT_OF_MEMORY,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_worker_that_ray_lost_is_tried_again(error: Exception, cause: Cause) -> None:
    """Take the texts from Ray's own classes, so that the test fails if another version of Ray words them otherwise."""
    assert cause_of(f"Failure # 1 (occurred at 2026-11-29)\n{error}\n") is cause
    assert RETRIES[cause].most


def test_without_a_text_the_worker_is_taken_to_have_died() -> None:
    assert cause_of(" \n") is Cause.DIED


def test_an_error_of_the_code_is_not_tried_again() -> None:
    assert cause_of("Traceback ...\nValueError: betas must be below 1") is Cause.CODE
    assert RETRIES[Cause.CODE].most == 0
