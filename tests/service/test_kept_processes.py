"""A process that ends by itself is started again; one that is asked to end is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from service import kept_processes
from service.errors import TrackingError
from service.kept_processes import KeptProcess


class Scripted:
    """A process that ends when the test says so."""

    def __init__(self, *, is_stubborn: bool = False) -> None:
        self.code: int | None = None
        self.calls: list[str] = []
        self._is_stubborn = is_stubborn

    def exit_code(self) -> int | None:
        return self.code

    def last_line(self) -> str:
        return "no more room"

    def end(self) -> None:
        self.calls.append("end")
        self.code = None if self._is_stubborn else 0

    def close(self) -> None:
        self.calls.append("close")

    def kill(self) -> None:
        self.calls.append("kill")
        self.code = 137


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_processes, "FIRST_WAIT", 0.01)


def test_a_process_that_ends_is_started_again_and_the_end_is_told() -> None:
    started: list[Scripted] = []
    sentences: list[str] = []

    def start() -> Scripted:
        if len(started) == 1 and not sentences[1:]:
            raise TrackingError("port 5000 is taken")
        started.append(Scripted())
        return started[-1]

    kept = KeptProcess("MLflow", start, sentences.append)
    wait_for(lambda: started)
    started[0].code = 3
    wait_for(lambda: len(started) == 2)
    kept.end()
    assert kept.wait(10)
    assert sentences[0] == "MLflow ended (exit code 3: no more room); started again in 0 s"
    assert sentences[1].startswith("MLflow ended (port 5000 is taken)")
    assert started[1].calls == ["end", "close"]
    assert len(started) == 2


def test_a_process_that_does_not_end_is_killed_when_asked_twice() -> None:
    process = Scripted(is_stubborn=True)
    is_started = threading.Event()

    def start() -> Scripted:
        is_started.set()
        return process

    kept = KeptProcess("drivers", start, lambda _: None)
    is_started.wait(10)
    kept.end()
    assert not kept.wait(0.3)
    kept.kill()
    assert kept.wait(10)
    assert process.calls == ["end", "kill", "close"]
