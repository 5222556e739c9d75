"""Wrong requests: each gets a problem that says what is wrong, and never the status 500."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces.documents import MAX_BYTES
from service.ledgers import EventKind, SweepState
from service.schemas import Problem
from service.settings import MAX_BODY_BYTES
from tests.service.api.services import RunningApi, start_api
from tests.service.sweeps.sweeps import SPEC

LIMIT = MAX_BODY_BYTES


def problem_of(answer: Any, status: int) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == status
    assert problem.request_id == answer.headers["X-Request-Id"]
    return problem


def test_a_body_whose_length_is_too_large_is_refused_before_it_is_read(module_api: RunningApi) -> None:
    def read() -> bytes:
        raise AssertionError("the body was read")

    answer = module_api.request("POST", "/sweeps", content=iter(read, b""), headers={"Content-Length": str(LIMIT + 1)})
    assert problem_of(answer, 413).detail == f"the body must be at most {LIMIT} bytes ({LIMIT + 1} bytes)"


def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(module_api: RunningApi) -> None:
    answer = module_api.request("POST", "/sweeps", content=(b"x" * 65_536 for _ in range(80)))
    assert problem_of(answer, 413).kind == "too-large"


def test_a_sweep_file_that_is_too_large_gets_the_message_of_the_command_line(module_api: RunningApi) -> None:
    spec = "#" * (MAX_BYTES + 1)
    for path in ("/sweeps", "/validate", "/plan"):
        answer = module_api.post(path, {"spec": spec, "file": "cells.yaml"})
        (problem,) = problem_of(answer, 422).problems
        assert problem.file == "cells.yaml"
        assert problem.rule.startswith(f"must be at most {MAX_BYTES} bytes (1 MiB), but is {MAX_BYTES + 1}; check")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"spec": NaN}', "NaN is no JSON number"),
        (b'{"spec": -Infinity}', "-Infinity is no JSON number"),
        (b'{"priority": 1e999}', '"1e999" is too large'),
        (b'{"priority": ' + b"9" * 5000 + b"}", "too large for a number"),
        (b'{"spec": "a", "spec": "b"}', 'the key "spec" stands twice'),
        (b"[" * 33 + b"]" * 33, "at most 32 levels deep"),
        (b"[" * 20_000 + b"]" * 20_000, "at most 32 levels deep"),
        (b'{"spec": "\\ud800"}', "surrogate"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_that_is_no_strict_json_is_refused(module_api: RunningApi, body: bytes, message: str) -> None:
    answer = module_api.request("POST", "/sweeps", content=body, headers={"Content-Type": "application/json"})
    assert message in str(problem_of(answer, 422).detail)


def test_32_levels_are_allowed(module_api: RunningApi) -> None:
    body = b'{"assign":' + b"[" * 31 + b"]" * 31 + b"}"
    answer = module_api.request("POST", "/sweeps", content=body, headers={"Content-Type": "application/json"})
    assert problem_of(answer, 422).kind == "invalid-request"


def test_a_wrong_field_is_named_with_its_rule_and_value(module_api: RunningApi) -> None:
    answer = module_api.post("/sweeps", {"spec": SPEC, "slot_cap": 0, "environment": {}, "priority": 1.5})
    assert str(problem_of(answer, 422).detail).splitlines() == [
        "priority: must be an integer (1.5)",
        "slot_cap: must be >= 1 (0)",
        "environment: unknown key",
    ]


def test_a_sweep_file_is_refused_with_the_words_and_lines_of_validate(module_api: RunningApi) -> None:
    text = SPEC.replace("trials: 2", "trials: 0")
    for path in ("/sweeps", "/validate", "/plan"):
        problem = problem_of(module_api.post(path, {"spec": text, "file": "mine.yaml"}), 422)
        assert problem.detail == "mine.yaml:5:10 budget.trials: must be >= 1 (0)"
        assert str(problem.to_spec_error()) == problem.detail


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("source: digits", "source: os:listdir", "data.source"),
        ("name: cells", "name: cells\nmetric: {name: 'val/os:listdir', goal: maximize}", "metric.name"),
        ("space: {", "space: {backbone: {values: ['os:listdir']}, ", "backbone"),
        ("space: {", "space: {augment.policy: {values: [none, 'os:listdir']}, ", "augment.policy"),
        ("algorithm: random", "algorithm: points, points: [{augment.policy: 'os:listdir'}]", "augment.policy"),
        ("algorithm: random", "algorithm: points, points: [{backbone: 'os:listdir', freeze_depth: -1}]", "backbone"),
        ("space: {", "space: {backbone: 'os:listdir', freeze_depth: {values: [all, -1]}, ", "backbone"),
    ],
    ids=["data", "metric", "backbone", "augmentation", "point", "point with a backbone", "depths"],
)
def test_own_code_is_refused_unless_an_admin_allows_it(api: RunningApi, old: str, new: str, place: str) -> None:
    text = SPEC.replace(old, new)
    if "points" in new:
        text = text.replace("space: {batch_size: {values: [8, 16]}}\n", "").replace("trials: 2, ", "")
    problem = problem_of(api.post("/sweeps", {"spec": text}), 422)
    assert str(problem.detail).startswith(f"sweep.yaml {place}: is your own code"), problem.detail
    api.request("PATCH", "/users/ann", json={"own_code": True}, user="root")
    answer = api.post("/sweeps", {"spec": text})
    assert answer.status_code == 201, answer.text


def test_no_request_runs_the_code_that_a_sweep_file_names(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count stages by importing, as the command line does that runs the API."""
    monkeypatch.setattr("search_spaces.extensions.stage_counts._counters", [lambda _name, _folder: calls.append(1)])
    calls: list[int] = []
    api.request("PATCH", "/users/ann", json={"own_code": True}, user="root")
    drawn = SPEC.replace("space: {", "space: {backbone: {values: ['os:getcwd']}, freeze_depth: {values: [-1, all]}, ")
    listed = drawn.replace("algorithm: random", "algorithm: points, points: [{freeze_depth: -1}, {batch_size: 16}]")
    for text in (drawn, listed):
        assert api.post("/validate", {"spec": text}, user="vic").status_code == 200
        plan = api.post("/plan", {"spec": text}, user="vic")
        assert plan.status_code == 422
        assert "os:getcwd can be counted only by a program that imports it, such as `meltpoint plan`" in plan.text
        sweep = api.post("/sweeps", {"spec": text}).json()
        assert api.request("PATCH", f"/sweeps/{sweep['id']}", json={"assign": ["budget.wall=1h"]}).status_code == 200
        assert api.get(f"/comparison?first={sweep['id']}&second={sweep['id']}").status_code == 200
        assert api.post(f"/sweeps/{sweep['id']}/cancel").status_code == 200
    assert calls == []


def test_points_may_not_take_own_code_from_their_space_either(api: RunningApi) -> None:
    text = SPEC.replace("space: {", "space: {backbone: 'os:listdir', ").replace(
        "algorithm: random", "algorithm: points, points: [{batch_size: 8}]"
    )
    assert "is your own code" in str(problem_of(api.post("/sweeps", {"spec": text}), 422).detail)


def test_unknown_routes_methods_and_sweeps_are_problems(module_api: RunningApi) -> None:
    assert problem_of(module_api.get("/nothing"), 404).kind == "no-such-route"
    answer = module_api.request("PUT", "/sweeps")
    assert problem_of(answer, 405).kind == "method-not-allowed"
    assert answer.headers["Allow"]
    assert problem_of(module_api.get("/sweeps/s-000000"), 404).kind == "sweep-not-found"
    assert problem_of(module_api.get("/users/nobody", user="root"), 404).kind == "user-not-found"


def test_the_same_key_gets_the_same_sweep_and_another_body_a_conflict(module_api: RunningApi) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = module_api.post("/sweeps", {"spec": SPEC}, headers=headers)
    assert first.status_code == 201
    assert first.headers["Location"] == f"/api/v1/sweeps/{first.json()['id']}"
    again = module_api.post("/sweeps", {"spec": SPEC}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    other = module_api.post("/sweeps", {"spec": SPEC, "priority": -1}, headers=headers)
    assert problem_of(other, 409).kind == "conflict"
    assert module_api.post("/sweeps", {"spec": SPEC}, headers=headers, user="bob").json()["id"] != first.json()["id"]


def test_an_action_that_the_state_forbids_is_a_conflict(module_api: RunningApi) -> None:
    done = module_api.add_sweep(SweepState.CANCELLED)
    assert "nothing to pause" in str(problem_of(module_api.post(f"/sweeps/{done.id}/pause"), 409).detail)
    running = module_api.add_sweep()
    problem_of(module_api.request("DELETE", f"/sweeps/{running.id}"), 409)
    problem_of(module_api.post(f"/sweeps/{running.id}/resume", {}), 409)
    problem_of(module_api.request("PATCH", f"/sweeps/{done.id}", json={"priority": -1}), 409)


def test_only_an_admin_raises_a_priority(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep()
    problem_of(module_api.post("/sweeps", {"spec": SPEC, "priority": 1}), 403)
    problem_of(module_api.request("PATCH", f"/sweeps/{sweep.id}", json={"priority": 1}), 403)
    answer = module_api.request("PATCH", f"/sweeps/{sweep.id}", json={"priority": 5, "slot_cap": 2}, user="root")
    assert (answer.json()["priority"], answer.json()["slot_cap"]) == (5, 2)
    answer = module_api.request("PATCH", f"/sweeps/{sweep.id}", json={"slot_cap": None})
    assert (answer.json()["priority"], answer.json()["slot_cap"]) == (5, None)


def test_a_budget_changes_until_the_end_and_no_further_than_the_user_may_go(api: RunningApi) -> None:
    running, done = api.add_sweep(), api.add_sweep(SweepState.COMPLETED)
    api.request("PATCH", "/users/ann", json={"max_trials": 8}, user="root")
    body = {"assign": ["budget.trials=8", "budget.gpu_hours=2"]}
    answer = api.request("PATCH", f"/sweeps/{running.id}", json=body)
    assert answer.json()["settings"]["budget.trials"] == 8
    for user in ("ann", "root"):
        refusal = api.request("PATCH", f"/sweeps/{running.id}", json={"assign": ["budget.trials=9"]}, user=user)
        assert "a sweep of ann may have at most 8 trials" in str(problem_of(refusal, 403).detail)
    refusal = api.request("PATCH", f"/sweeps/{running.id}", json={"assign": ["budget.trials=0"]})
    assert "--set budget.trials=0: must be >= 1" in str(problem_of(refusal, 422).detail)
    assert "budget.epochs cannot change" in str(
        problem_of(api.request("PATCH", f"/sweeps/{running.id}", json={"assign": ["budget.epochs=9"]}), 409).detail
    )
    assert f"meltpoint resume {done.id} --set" in str(
        problem_of(api.request("PATCH", f"/sweeps/{done.id}", json=body), 409).detail
    )
    assert api.request("PATCH", f"/sweeps/{running.id}", json={"assign": ["budget.trials=2"]}).status_code == 200
    entries = api.get(f"/audit?target={running.id}", user="root").json()["items"]
    changes = [entry["detail"].get("changes") for entry in entries if entry["status"] == 200]
    assert changes[0] == {"budget.trials": [8, 2]}
    assert changes[1]["budget.gpu_hours"] == [None, 2.0]


def test_a_full_queue_is_a_429_with_the_time_to_wait(tmp_path: Path) -> None:
    from service.queues import Limits

    with start_api(tmp_path, limits=Limits(max_waiting=1)) as api:
        assert api.post("/sweeps", {"spec": SPEC}).status_code == 201
        answer = api.post("/sweeps", {"spec": SPEC})
        assert "1 sweeps in the queue" in str(problem_of(answer, 429).detail)
        assert int(answer.headers["Retry-After"]) > 0


def test_more_trials_than_the_user_may_have_are_refused(api: RunningApi) -> None:
    api.request("PATCH", "/users/ann", json={"max_trials": 1}, user="root")
    assert "may have at most 1 trials" in str(problem_of(api.post("/sweeps", {"spec": SPEC}), 403).detail)


def test_without_drivers_the_cause_is_named(api: RunningApi) -> None:
    api.beat(state="failed", problem="Ray at 10.0.0.1:6379 refuses the token")
    answer = api.post("/sweeps", {"spec": SPEC})
    assert "refuses the token" in str(problem_of(answer, 503).detail)
    assert "Retry-After" not in answer.headers
    problem_of(api.get("/ready", user=None), 503)
    api.beat(state="starting")
    assert api.post("/sweeps", {"spec": SPEC}).headers["Retry-After"]
    api.ledger.services.leave("drivers")
    assert "meltpoint serve" in str(problem_of(api.post("/sweeps", {"spec": SPEC}), 503).detail)
    assert api.ledger.sweeps.list() == []


def test_a_repeated_submission_gets_its_sweep_also_without_drivers_and_beyond_limits(tmp_path: Path) -> None:
    from service.queues import Limits

    with start_api(tmp_path, limits=Limits(max_waiting=1)) as api:
        first = api.post("/sweeps", {"spec": SPEC}, headers={"Idempotency-Key": "k1"})
        assert first.status_code == 201
        for status in ({"state": "ready"}, {"state": "starting"}, {"state": "failed", "problem": "no Ray"}):
            api.beat(**status)
            again = api.post("/sweeps", {"spec": SPEC}, headers={"Idempotency-Key": "k1"})
            assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
            other = api.post("/sweeps", {"spec": SPEC + "seed: 1\n"}, headers={"Idempotency-Key": "k1"})
            assert problem_of(other, 409).kind == "conflict"
        assert len(api.ledger.sweeps.list()) == 1


def test_a_hint_of_a_service_without_sweeps_works_there_for_each_role(api: RunningApi) -> None:
    hints = {user: problem_of(api.get("/sweeps/last", user=user), 404).detail for user in ("ann", "root", "vic")}
    submit = "no sweeps yet; start one with: meltpoint submit SPEC"
    assert hints == {"ann": submit, "root": submit, "vic": "no sweeps yet on this service"}


def test_a_sweep_that_a_driver_refuses_is_not_kept(tmp_path: Path) -> None:
    with start_api(tmp_path, acceptance_seconds=10.0) as api:
        import threading

        def refuse() -> None:
            while not (sweeps := api.ledger.sweeps.list()):
                pass
            api.ledger.sweeps.move(sweeps[0].id, SweepState.FAILED, error="data.source: no folder cells")

        driver = threading.Thread(target=refuse)
        driver.start()
        answer = api.post("/sweeps", {"spec": SPEC})
        driver.join()
        assert problem_of(answer, 422).detail == "data.source: no folder cells"
        assert api.ledger.sweeps.list() == []


def test_an_error_that_nobody_expects_shows_no_text(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of /srv/meltpoint")

    monkeypatch.setattr(api.ledger.sweeps, "find", fail)
    answer = api.get("/sweeps/last")
    assert problem_of(answer, 500).kind == "internal"
    assert "secret" not in answer.text
    assert "/srv" not in answer.text


def test_clients_of_other_versions_are_told_so(module_api: RunningApi) -> None:
    ours = module_api.get("/version", user=None).json()["version"]
    major, minor, _ = ours.split(".")
    answer = module_api.get("/version", user=None, headers={"Meltpoint-Client": ours})
    assert answer.headers["Meltpoint-Version"] == ours
    assert "Meltpoint-Notice" not in answer.headers
    other = f"{major}.{int(minor) + 1}.0"
    answer = module_api.get("/version", user=None, headers={"Meltpoint-Client": other})
    assert answer.headers["Meltpoint-Notice"] == f"this client has version {other}, the service {ours}"
    answer = module_api.get("/version", user=None, headers={"Meltpoint-Client": f"{int(major) + 1}.0.0"})
    assert problem_of(answer, 400).kind == "version"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic cm9vdDpyb290", "Bearer mp_a_\udc80"])
def test_a_wrong_token_is_refused(module_api: RunningApi, header: str) -> None:
    answer = module_api.get("/whoami", user=None, headers={"Authorization": header.encode("utf-8", "surrogateescape")})
    assert problem_of(answer, 401).kind == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_broken_ledger_is_a_503(api: RunningApi) -> None:
    api.ledger.close()
    for file in api.home.root.glob("ledger.db*"):
        file.write_bytes(b"not a database" * 1000)
    problem_of(api.get("/sweeps"), 503)


def test_values_in_messages_are_short(module_api: RunningApi) -> None:
    answer = module_api.post("/sweeps", {"spec": SPEC, "file": "x" * 100_000})
    problem_of(answer, 422)
    assert len(answer.content) < 2_000


def test_the_audit_log_has_who_what_when_and_from_where(api: RunningApi) -> None:
    sweep = api.add_sweep()
    api.post(f"/sweeps/{sweep.id}/cancel")
    api.post(f"/sweeps/{sweep.id}/cancel", user="bob")
    api.get("/users")
    api.get("/whoami", user=None)
    api.get("/sweeps")
    entries = [
        (entry["user"], entry["action"], entry["target"], entry["status"])
        for entry in api.get("/audit", user="root").json()["items"]
    ]
    assert entries == [
        (None, "GET (no route)", None, 401),
        ("ann", "GET /api/v1/users", None, 403),
        ("bob", "POST /api/v1/sweeps/{ref}/cancel", None, 404),
        ("ann", "POST /api/v1/sweeps/{ref}/cancel", sweep.id, 200),
    ]
    entry = api.get(f"/audit?target={sweep.id}", user="root").json()["items"][0]
    assert entry["address"] == "testclient"
    assert entry["token_id"] == api.tokens["ann"].split("_")[1]


def test_refusals_cannot_fill_the_ledger(api: RunningApi) -> None:
    for _ in range(100):
        api.get("/whoami", user=None)
    assert len(api.get("/audit?limit=200", user="root").json()["items"]) == 60


def test_metrics_count_requests_by_route(api: RunningApi) -> None:
    api.add_sweep()
    api.get("/sweeps/last")
    text = api.get("/metrics", user="vic").text
    assert 'meltpoint_http_requests_total{method="GET",route="/api/v1/sweeps/{ref}",status="200"} 1.0' in text
    assert 'meltpoint_sweeps{state="running"} 1.0' in text
    assert 'meltpoint_processes{role="drivers"} 1.0' in text


def test_no_answer_has_the_path_of_the_home(api: RunningApi) -> None:
    sweep = api.add_sweep()
    api.ledger.sweeps.note(sweep.id, mlflow={"tracking_uri": api.home.local_tracking_uri, "experiment_id": "1"})
    api.ledger.events.add(sweep.id, EventKind.NOTICE, {"text": f"{api.home.root}/data is full"})
    api.ledger.sweeps.move(sweep.id, SweepState.FAILED, error=f"{api.home.root}: no space left")
    path = f"/sweeps/{sweep.id}"
    for below in ("", "/status", "/leaderboard", "/events", "/logs"):
        answer = api.get(f"{path}{below}")
        assert answer.status_code == 200
        assert str(api.home.root) not in answer.text
    assert api.get(path).json()["error"] == "$MELTPOINT_HOME: no space left"
    stream = api.get(f"{path}/events", headers={"Accept": "text/event-stream"}).text
    assert "$MELTPOINT_HOME/data is full" in stream
    assert str(api.home.root) not in stream
