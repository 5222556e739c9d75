"""The contract of objects whose methods are called in this process and in another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from search_spaces import MeltpointError
from tests.trainables.processes.counters import Counter, make_counter
from trainables.processes import ForkedError, ForkedObject, ForkServer, LocalObject, ObjectHandle


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer(preload="trainables")) as server:
        yield server


@pytest.fixture(params=["local", "forked"])
def counter(request: pytest.FixtureRequest) -> Iterator[ObjectHandle[Counter]]:
    if request.param == "local":
        yield LocalObject(make_counter(2))
        return
    server: ForkServer = request.getfixturevalue("server")
    forked = ForkedObject(server.address, make_counter, {"begin": 2}, role="counter", environment=os.environ)
    with closing(forked):
        yield forked


def test_a_call_returns_what_the_method_returns_and_the_object_keeps_its_state(counter: ObjectHandle[Counter]) -> None:
    assert counter.call(Counter.count, 3) == 5
    assert counter.call(Counter.count, number=1) == 6


def test_progress_is_called_here_for_every_step_there(counter: ObjectHandle[Counter]) -> None:
    steps: list[int] = []
    assert counter.call(Counter.count, 3, progress=steps.append) == 5
    assert steps == [3, 4, 5]


def test_a_call_that_was_started_gives_its_result_later(counter: ObjectHandle[Counter]) -> None:
    pending = counter.start(Counter.count, 3)
    assert pending.result() == 5
    assert counter.call(Counter.count, 1) == 6


def test_an_error_of_ours_is_raised_as_it_is_and_the_object_lives_on(counter: ObjectHandle[Counter]) -> None:
    with pytest.raises(MeltpointError, match="the counter refuses"):
        counter.call(Counter.refuse)
    assert counter.call(Counter.count, 1) == 3


def test_another_error_names_its_type(counter: ObjectHandle[Counter]) -> None:
    with pytest.raises((ForkedError, KeyError), match="nothing"):
        counter.call(Counter.fail)


def test_the_number_of_a_process_may_be_asked_for_while_another_thread_calls_it(server: ForkServer) -> None:
    for _ in range(20):
        forked = ForkedObject(server.address, make_counter, {"begin": 0}, role="counter", environment=os.environ)
        with ThreadPoolExecutor(4) as threads, closing(forked):
            call = threads.submit(forked.call, Counter.pid)
            asked = [threads.submit(getattr, forked, "pid") for _ in range(3)]
            assert {call.result(20.0), *(each.result(20.0) for each in asked)} == {forked.pid}


def test_a_forked_object_lives_in_a_process_of_its_own(server: ForkServer) -> None:
    forked = ForkedObject(server.address, make_counter, {"begin": 0}, role="counter", environment=os.environ)
    with closing(forked):
        assert forked.call(Counter.pid) == forked.pid != os.getpid()
