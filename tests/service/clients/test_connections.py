"""A connection to a service: what is tried again, what is refused before it is sent, and errors as classes."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from search_spaces import MeltpointError, SpecError
from service.clients import Connection
from service.clients.connections import START_PATIENCE_SECONDS, client_version
from service.errors import (
    ConflictError,
    ForbiddenError,
    QuotaError,
    ServiceError,
    SweepNotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UsageError,
)
from service.settings import MAX_BODY_BYTES, Context

LAB = Context(name="lab", url="http://127.0.0.1:8000", token="mp_secret")
Answer = httpx2.Response | Exception


class Service:
    """Answers requests in turn, in place of a network; the last answer is repeated."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests = list(answers), list[httpx2.Request]()
        self.now, self.notices = 0.0, list[str]()

    def connection(self) -> Connection:
        def sleep(seconds: float) -> None:
            self.now += seconds

        transport = httpx2.MockTransport(self._answer)
        return Connection(
            LAB, notice=self.notices.append, transport=transport, clock=lambda: self.now, sleep=sleep, patience=5
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, kind: str = "", headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
    content = {"type": f"urn:meltpoint:problem:{kind}", "title": "title", "status": status} | fields
    all_headers = {"Content-Type": "application/problem+json"} | (headers or {})
    return httpx2.Response(status, json=content, headers=all_headers)


REFUSED = httpx2.ConnectError("[Errno 111] Connection refused")
BROKEN = httpx2.ReadError("connection reset")
FINE = httpx2.Response(200, json={"id": "s-1"})


def test_a_request_carries_token_and_version() -> None:
    service = Service(FINE)
    assert service.connection().get("/sweeps", limit=3, name=None) == {"id": "s-1"}
    (request,) = service.requests
    assert str(request.url) == "http://127.0.0.1:8000/api/v1/sweeps?limit=3"
    assert request.headers["Authorization"] == "Bearer mp_secret"
    assert request.headers["Meltpoint-Client"] == client_version()


@pytest.mark.parametrize("answer", [REFUSED, BROKEN, httpx2.Response(502), problem(503, headers={"Retry-After": "1"})])
def test_a_safe_request_is_tried_again_while_the_service_restarts(answer: Answer) -> None:
    service = Service(answer, answer, FINE)
    assert service.connection().get("/sweeps") == {"id": "s-1"}
    assert len(service.requests) == 3


@pytest.mark.parametrize("answer", [REFUSED, BROKEN])
def test_a_submission_is_tried_again_with_the_same_key(answer: Answer) -> None:
    service = Service(answer, answer, FINE)
    assert service.connection().post("/sweeps", {}, key="k1") == {"id": "s-1"}
    assert [request.headers["Idempotency-Key"] for request in service.requests] == ["k1"] * 3


def test_a_change_whose_answer_was_lost_is_not_repeated() -> None:
    service = Service(BROKEN, FINE)
    with pytest.raises(ServiceError, match=r"the request may have been carried out: look with `meltpoint status`"):
        service.connection().post("/sweeps/last/pause")
    assert len(service.requests) == 1


def test_a_change_that_did_not_reach_the_service_is_tried_again() -> None:
    service = Service(REFUSED, FINE)
    assert service.connection().post("/sweeps/last/pause") == {"id": "s-1"}


def test_a_service_that_stays_away_is_named_after_the_patience() -> None:
    service = Service(REFUSED)
    with pytest.raises(
        UnavailableError, match=r"^the service lab \(http://127.0.0.1:8000\) does not answer: .*refused"
    ):
        service.connection().get("/sweeps")
    assert 3 <= service.now <= 5
    assert len(service.notices) == 1
    assert "trying for 5 s" in service.notices[0]


def test_a_service_that_starts_is_waited_for_longer_than_one_that_is_away() -> None:
    starting = problem(503, "unavailable", headers={"Retry-After": "2"}, detail="the service is starting")
    service = Service(*[starting] * 30, FINE)
    assert service.connection().get("/sweeps") == {"id": "s-1"}
    assert 20 < service.now < START_PATIENCE_SECONDS
    (notice,) = service.notices
    assert notice.endswith("is starting; trying for 120 s")
    never = Service(starting)
    with pytest.raises(UnavailableError, match="the service is starting"):
        never.connection().get("/sweeps")
    assert START_PATIENCE_SECONDS - 5 < never.now <= START_PATIENCE_SECONDS


def test_a_service_that_cannot_run_sweeps_is_believed_at_once() -> None:
    service = Service(problem(503, "unavailable", detail="no drivers; start them with: meltpoint serve"))
    with pytest.raises(UnavailableError, match=r"^no drivers; start them with: meltpoint serve$"):
        service.connection().get("/sweeps")
    assert len(service.requests) == 1


def test_a_body_that_the_service_would_refuse_is_not_sent() -> None:
    service = Service(FINE)
    with pytest.raises(TooLargeError, match=f"must be at most {MAX_BODY_BYTES} bytes"):
        service.connection().post("/sweeps", {"spec": "x" * MAX_BODY_BYTES}, key="k")
    assert service.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (problem(404, "sweep-not-found", detail="no sweep x"), SweepNotFoundError, "no sweep x"),
        (problem(403, "forbidden", detail="a viewer"), ForbiddenError, "a viewer"),
        (problem(409, "conflict", detail="same key"), ConflictError, "same key"),
        (problem(409, "usage", detail="s-1 is completed"), UsageError, "s-1 is completed"),
        (problem(413, "too-large", detail="too large"), TooLargeError, "too large"),
        (problem(422, "refused", detail="photos: no such folder"), MeltpointError, "photos: no such folder"),
    ],
)
def test_a_problem_becomes_the_error_with_the_services_words(
    answer: httpx2.Response, kind: type[MeltpointError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        Service(answer).connection().get("/sweeps")
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_broken_rules_become_the_lines_that_validate_prints() -> None:
    rules = [
        {"file": "s.yaml", "line": 7, "column": 10, "path": "budget.trials", "rule": "must be > 0", "value": 0},
        {"file": "s.yaml", "line": 2, "column": 3, "path": "data.sise", "rule": "unknown key"},
    ]
    with pytest.raises(SpecError) as caught:
        Service(problem(422, "spec", problems=rules)).connection().post("/sweeps", {}, key="k")
    assert str(caught.value).splitlines() == [
        "s.yaml:2:3 data.sise: unknown key",
        "s.yaml:7:10 budget.trials: must be > 0 (0)",
    ]


def test_a_quota_says_how_long_to_wait() -> None:
    with pytest.raises(QuotaError, match="2 of 2 sweeps") as caught:
        Service(problem(429, "quota", {"Retry-After": "30"}, detail="2 of 2 sweeps")).connection().get("/sweeps")
    assert caught.value.retry_after == 30


def test_a_token_that_is_not_taken_is_replaced_by_login() -> None:
    with pytest.raises(
        UnauthenticatedError, match=r"expired; sign in with another token: meltpoint login http://127.0.0.1:8000"
    ):
        Service(problem(401, "unauthenticated", detail="the token has expired")).connection().get("/sweeps")


@pytest.mark.parametrize("answer", [httpx2.Response(500, text="<html>"), httpx2.Response(404, text="nginx")])
def test_an_answer_of_something_else_is_named_by_its_status(answer: httpx2.Response) -> None:
    with pytest.raises(ServiceError, match=rf"the service lab \(.*\) answers {answer.status_code}"):
        Service(answer).connection().get("/sweeps")


@pytest.mark.parametrize(("theirs", "count"), [(client_version(), 0), ("99.0.0", 1)])
def test_another_version_is_said_once(theirs: str, count: int) -> None:
    service = Service(httpx2.Response(200, json={}, headers={"Meltpoint-Version": theirs}))
    connection = service.connection()
    connection.get("/sweeps")
    connection.get("/sweeps")
    assert len(service.notices) == count


def test_an_answer_that_sends_elsewhere_is_not_followed_with_the_token() -> None:
    service = Service(httpx2.Response(307, headers={"Location": "http://elsewhere.example.org/"}))
    with pytest.raises(ServiceError):
        service.connection().get("/sweeps")
    assert len(service.requests) == 1
