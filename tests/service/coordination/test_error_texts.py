"""Short texts of errors that Ray writes on many lines."""

from __future__ import annotations

import pytest

from service.coordination import describe_error, describe_memory_shortage, shorten
from service.tune.sources import crash_reason

KILLED = """\
Failure # 1 (occurred at 2026-11-29)
Traceback (most recent call last):
  File "worker.py", line 1, in get
ray.exceptions.OutOfMemoryError: 2 worker(s) were killed due to the node running low on memory.
Memory on the node was 22.80GB / 24.00GB (0.950000), above the threshold of 0.950000.
Object store memory usage: 0.10GB
PID  MEM(GB)  COMMAND
11   9.10     ray::TrialWorker
12   8.90     ray::TrialWorker
Consider provisioning more memory on this node. To adjust the kill threshold, set an environment variable.
"""
SENTENCE = "2 worker(s) were killed due to the node running low on memory; let fewer trials run at once: "


def test_only_the_first_sentence_and_a_way_out_are_kept() -> None:
    reason = describe_memory_shortage(KILLED)
    assert reason is not None
    assert reason.startswith(SENTENCE)
    assert reason.endswith("a larger resources.cpu in the sweep file, or fewer slots on a service")
    assert "\n" not in reason


def test_the_reason_of_a_crash_and_of_the_end_of_a_sweep_is_the_same_sentence() -> None:
    assert crash_reason(KILLED).startswith(SENTENCE)
    assert describe_error(RuntimeError(KILLED)).startswith(SENTENCE)


def test_the_pool_of_a_service_says_the_same_sentence() -> None:
    forked = KILLED.replace("ray.exceptions.OutOfMemoryError", "RuntimeError: Caught unexpected exception")

    assert shorten(forked).startswith(SENTENCE)
    assert shorten("ClusterError: the head is away\nTraceback\n") == "ClusterError: the head is away"


def test_an_actor_killed_for_memory_is_described_too() -> None:
    reason = describe_memory_shortage("The actor died because its node was killed due to low memory. More text.")
    assert reason is not None
    assert reason.startswith("The actor died because its node was killed due to low memory; let fewer")


@pytest.mark.parametrize("text", ["CUDA out of memory. Tried to allocate 2.00 GiB.", "the disk is full", ""])
def test_other_texts_are_left_alone(text: str) -> None:
    assert describe_memory_shortage(text) is None


def test_an_error_of_many_lines_is_described_by_its_first() -> None:
    assert describe_error(ValueError("a wrong value\nand where it came from")) == "ValueError: a wrong value"
