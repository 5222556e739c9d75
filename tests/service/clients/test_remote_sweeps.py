"""Following a sweep of a service whose stream of events breaks, stays away, or ends."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from search_spaces import Goal
from service.clients import Connection
from service.clients.remote_sweeps import FOLLOW_PATIENCE_SECONDS, RemoteSweeps
from service.errors import SweepNotFoundError, UnavailableError
from service.ledgers import Sweep, SweepState
from service.schemas import SweepModel
from service.settings import Context

LAB = Context(name="lab", url="http://127.0.0.1:8000", token="mp_secret")
REFUSED = httpx2.ConnectError("[Errno 111] Connection refused")


def sweep_answer(state: SweepState) -> httpx2.Response:
    sweep = Sweep(
        id="s-1",
        name="cells",
        state=state,
        spec_text="",
        spec_file="s.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={},
        settings={},
        created_at=1,
    )
    return httpx2.Response(200, json=SweepModel.from_record(sweep).model_dump(mode="json"))


def event(event_id: int, kind: str = "notice", **payload: Any) -> bytes:
    content = {"id": event_id, "sweep_id": "s-1", "kind": kind, "payload": payload, "at": 1}
    return f"id: {event_id}\nevent: {kind}\ndata: {json.dumps(content)}\n\n".encode()


class Broken(httpx2.SyncByteStream):
    """A body whose connection breaks at its end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Any:
        yield from self._pieces
        raise httpx2.ReadError("connection reset")


def stream(*pieces: bytes, breaks: bool = False) -> httpx2.Response:
    headers = {"Content-Type": "text/event-stream"}
    if breaks:
        return httpx2.Response(200, headers=headers, stream=Broken(*pieces))
    return httpx2.Response(200, headers=headers, content=b"".join(pieces))


class Service:
    """A service that answers each request for the stream with the next answer, and tells how the sweep stands."""

    def __init__(self, *streams: httpx2.Response | Exception, state: SweepState = SweepState.RUNNING) -> None:
        self.streams, self.state, self.now = list(streams), state, 0.0
        self.asked_after: list[str] = []

    def sweeps(self) -> RemoteSweeps:
        def sleep(seconds: float) -> None:
            self.now += seconds

        transport = httpx2.MockTransport(self._answer)
        connection = Connection(LAB, transport=transport, clock=lambda: self.now, sleep=sleep)
        return RemoteSweeps(connection, clock=lambda: self.now, sleep=sleep)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            return sweep_answer(self.state)
        self.asked_after.append(request.headers["Last-Event-ID"])
        is_last = len(self.streams) == 1
        if is_last and self.state is SweepState.RUNNING:
            self.state = SweepState.FAILED
        answer = self.streams[0] if is_last else self.streams.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_follower_goes_on_behind_the_last_event_after_breaks_and_a_restart() -> None:
    service = Service(
        stream(event(3), event(5), breaks=True),
        REFUSED,
        httpx2.Response(503, headers={"Content-Type": "text/html"}),
        stream(b": keepalive\n\n", event(8)),
        stream(event(9)),
    )
    assert [received.id for received in service.sweeps().events("last", follow=True)] == [3, 5, 8, 9]
    assert service.asked_after == ["0", "5", "5", "5", "8"]


def test_a_reader_may_begin_behind_an_event() -> None:
    service = Service(stream(event(9)), stream())
    assert [received.id for received in service.sweeps().events("last", after=7, follow=True)] == [9]
    assert service.asked_after == ["7", "9"]


def test_a_kind_that_this_client_does_not_know_is_passed_over_but_counted() -> None:
    service = Service(stream(event(1), event(2, "dance"), breaks=True), stream(event(3)))
    assert [received.id for received in service.sweeps().events("last", follow=True)] == [1, 3]
    assert service.asked_after == ["0", "2"]


def test_a_service_that_stays_away_is_given_up_after_the_patience() -> None:
    service = Service(stream(event(1), breaks=True), REFUSED, REFUSED)
    service.state = SweepState.QUEUED
    with pytest.raises(UnavailableError, match="does not answer"):
        list(service.sweeps().events("last", follow=True))
    assert service.now == pytest.approx(FOLLOW_PATIENCE_SECONDS, abs=5)


def test_a_sweep_that_is_deleted_meanwhile_ends_the_stream() -> None:
    problem = {"type": "urn:meltpoint:problem:sweep-not-found", "title": "no", "status": 404, "detail": "no sweep s-1"}
    gone = httpx2.Response(404, json=problem, headers={"Content-Type": "application/problem+json"})
    with pytest.raises(SweepNotFoundError, match="no sweep s-1"):
        list(Service(stream(event(1), breaks=True), gone).sweeps().events("last", follow=True))


def test_an_interrupted_sweep_is_waited_for_because_a_service_goes_on_with_it() -> None:
    service = Service(stream(event(1)), stream(), state=SweepState.INTERRUPTED)
    assert [received.id for received in service.sweeps().events("last", follow=True)] == [1]
    assert 60 <= service.now <= 70
