"""Cores and GPUs of a Ray that has just started."""

from __future__ import annotations

from service.clusters.resources import PATIENCE_SECONDS, await_resources


class Ray:
    """Stands for a Ray that knows of its cores after some seconds, by a clock that only waiting moves."""

    def __init__(self, *, ready_after: float) -> None:
        self.now, self._ready_after = 0.0, ready_after

    def resources(self) -> dict[str, float]:
        """Return Ray's resources by name."""
        there = {"memory": 1e9, "object_store_memory": 1e8}
        return there | ({"CPU": 4.0, "GPU": 1.0} if self.now >= self._ready_after else {})

    def ask(self) -> tuple[float, float]:
        """Return the cores and GPUs."""
        return await_resources(self.resources, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def test_cores_that_are_known_are_returned_at_once() -> None:
    ray = Ray(ready_after=0)
    assert (ray.ask(), ray.now) == ((4.0, 1.0), 0)


def test_cores_that_are_not_known_yet_are_waited_for() -> None:
    ray = Ray(ready_after=1)
    assert ray.ask() == (4.0, 1.0)
    assert 1 <= ray.now < 1.2


def test_a_cluster_without_cores_is_taken_as_it_is_after_a_while() -> None:
    ray = Ray(ready_after=1e9)
    assert ray.ask() == (0.0, 0.0)
    assert PATIENCE_SECONDS <= ray.now < PATIENCE_SECONDS + 1
