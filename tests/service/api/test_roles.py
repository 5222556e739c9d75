"""Every route asked by everybody: nobody, a viewer, submitters with and without the sweep, and an admin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import Role, SweepState
from tests.service.api.services import RunningApi
from tests.service.sweeps.sweeps import SPEC

USERS: dict[str, str | None] = {
    "nobody": None,
    "viewer": "vic",
    "submitter": "sue",
    "owner": "ann",
    "other": "bob",
    "admin": "root",
}


@dataclass(frozen=True)
class Access:
    """The status of each user's answer; the sweep, or the token, belongs to the owner."""

    nobody: int
    viewer: int
    submitter: int
    owner: int
    other: int
    admin: int


def _access(*statuses: int) -> Access:
    return Access(*statuses)


OPEN = _access(200, 200, 200, 200, 200, 200)
READ = _access(401, 200, 200, 200, 200, 200)
READ_SWEEP = _access(401, 200, 404, 200, 404, 200)
CHANGE_SWEEP = _access(401, 403, 404, 200, 404, 200)
ADMIN = _access(401, 403, 403, 403, 403, 200)
OBSERVE = _access(401, 200, 403, 403, 403, 200)


@dataclass(frozen=True)
class Case:
    """A route with the access that it gives. state: of the sweep that it is asked about."""

    access: Access
    state: SweepState = SweepState.RUNNING
    body: Any = None
    query: str = ""


CASES: dict[str, Case] = {
    "GET /api/v1/health": Case(OPEN),
    "GET /api/v1/ready": Case(OPEN),
    "GET /api/v1/version": Case(OPEN),
    "GET /api/v1/metrics": Case(OBSERVE),
    "GET /openapi.json": Case(READ),
    "GET /docs": Case(READ),
    "GET /docs/oauth2-redirect": Case(READ),
    "GET /api/v1/sweeps": Case(READ),
    "POST /api/v1/sweeps": Case(_access(401, 403, 201, 201, 201, 201), body={"spec": SPEC}),
    "GET /api/v1/sweeps/{ref}": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/spec": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/status": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/trials": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/leaderboard": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/report": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/report.html": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/recipe": Case(_access(401, 409, 404, 409, 404, 409), SweepState.COMPLETED),
    "GET /api/v1/sweeps/{ref}/confirmation": Case(_access(401, 404, 404, 404, 404, 404), SweepState.COMPLETED),
    "GET /api/v1/sweeps/{ref}/retrainings": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/curves": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/events": Case(READ_SWEEP),
    "GET /api/v1/sweeps/{ref}/logs": Case(READ_SWEEP),
    "POST /api/v1/sweeps/{ref}/pause": Case(CHANGE_SWEEP),
    "POST /api/v1/sweeps/{ref}/stop": Case(CHANGE_SWEEP),
    "POST /api/v1/sweeps/{ref}/cancel": Case(CHANGE_SWEEP),
    "POST /api/v1/sweeps/{ref}/resume": Case(CHANGE_SWEEP, SweepState.PAUSED, body={}),
    "POST /api/v1/sweeps/{ref}/confirm": Case(_access(401, 403, 404, 409, 404, 409), body={}),
    "PATCH /api/v1/sweeps/{ref}": Case(CHANGE_SWEEP, body={"priority": -1}),
    "DELETE /api/v1/sweeps/{ref}": Case(CHANGE_SWEEP, SweepState.PAUSED),
    "GET /api/v1/comparison": Case(READ_SWEEP, query="?first={ref}&second={ref}"),
    "POST /api/v1/sweeps/{ref}/promotion": Case(_access(401, 403, 404, 409, 404, 409), body={}),
    "GET /api/v1/models": Case(READ),
    "GET /api/v1/models/{name}": Case(_access(401, 404, 404, 404, 404, 404)),
    "POST /api/v1/models/{name}/rollback": Case(_access(401, 403, 404, 404, 404, 404), body={}),
    "POST /api/v1/validate": Case(READ, body={"spec": SPEC}),
    "POST /api/v1/plan": Case(READ, body={"spec": SPEC}),
    "GET /api/v1/spaces": Case(READ),
    "GET /api/v1/backbones": Case(READ),
    "GET /api/v1/queue": Case(READ),
    "GET /api/v1/users": Case(ADMIN),
    "POST /api/v1/users": Case(_access(401, 403, 403, 403, 403, 201), body={"name": "new-{user}"}),
    "GET /api/v1/users/{name}": Case(ADMIN),
    "PATCH /api/v1/users/{name}": Case(ADMIN, body={"weight": 2}),
    "GET /api/v1/audit": Case(ADMIN),
    "GET /api/v1/whoami": Case(READ),
    "POST /api/v1/login": Case(READ),
    "GET /api/v1/tokens": Case(READ),
    "POST /api/v1/tokens": Case(_access(401, 201, 201, 201, 201, 201), body={"label": "laptop"}),
    "DELETE /api/v1/tokens/{token_id}": Case(_access(401, 404, 404, 200, 404, 200)),
}
"""Every route of the API. A route that is missing here fails the test below."""


def _routes(app: FastAPI) -> Iterator[str]:
    for context in iter_route_contexts(app.routes):
        for method in (context.methods or set()) - {"HEAD"}:
            yield f"{method} {context.path}"


def test_every_route_has_its_access_written_down(module_api: RunningApi) -> None:
    assert set(_routes(module_api.client.app)) == set(CASES)  # type: ignore[arg-type]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("route", CASES)
def test_a_route_answers_each_user_as_it_should(module_api: RunningApi, route: str, user: str) -> None:
    case = CASES[route]
    method, path = route.split()
    api = module_api
    sweep = api.add_sweep(case.state)
    token = issue_token(api.ledger, "ann", label="other", days=1, clock=now_ms)
    path = (path + case.query).replace("{ref}", sweep.id).replace("{name}", "bob")
    path = path.replace("{token_id}", token.split("_")[1])
    body = None if case.body is None else {k: _filled(v, user) for k, v in case.body.items()}
    name = USERS[user]
    headers = {} if name is None else {"Authorization": f"Bearer {api.tokens[name]}"}
    answer = api.client.request(method, path, json=body, headers=headers)
    assert answer.status_code == getattr(case.access, user), answer.text
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert sweep.name not in answer.text


def _filled(value: Any, user: str) -> Any:
    return value.replace("{user}", user) if isinstance(value, str) else value


def test_a_path_without_a_route_is_closed_too(module_api: RunningApi) -> None:
    assert module_api.get("/nothing", user=None).status_code == 401
    assert module_api.get("/nothing").status_code == 404


def test_lists_have_only_sweeps_that_the_user_may_see(api: RunningApi) -> None:
    mine, theirs = api.add_sweep(owner="ann"), api.add_sweep(owner="bob")

    def seen(user: str, query: str = "") -> list[str]:
        return [line["sweep_id"] for line in api.get(f"/sweeps{query}", user=user).json()["items"]]

    assert seen("ann") == [mine.id]
    assert seen("ann", "?owner=bob") == []
    assert seen("vic") == seen("root") == [theirs.id, mine.id]
    assert seen("root", "?owner=bob") == [theirs.id]
    assert [entry["sweep_id"] for entry in api.get("/queue").json()["items"]] == [mine.id]
    assert api.get(f"/sweeps?after={theirs.id}").status_code == 404


def test_names_and_prefixes_find_only_own_sweeps(api: RunningApi) -> None:
    mine = api.add_sweep(owner="ann", name="cells")
    api.add_sweep(owner="bob", name="cells")
    for reference in ("cells", "last", mine.id[:5]):
        assert api.get(f"/sweeps/{reference}").json()["id"] == mine.id


def test_a_token_gives_no_more_than_its_role(api: RunningApi) -> None:
    api.tokens["capped"] = issue_token(api.ledger, "root", label="ci", days=1, role=Role.VIEWER, clock=now_ms)
    sweep = api.add_sweep()
    assert api.get(f"/sweeps/{sweep.id}", user="capped").status_code == 200
    assert api.post(f"/sweeps/{sweep.id}/cancel", user="capped").status_code == 403
    assert api.get("/users", user="capped").status_code == 403
    refused = api.post("/tokens", {"role": "admin"}, user="capped")
    assert refused.status_code == 403
    assert refused.json()["detail"] == (
        "this needs the role admin, and this token of root gives only viewer. Another token of root may give it; an "
        "admin can create one: meltpoint token create --user root --role admin"
    )
    issued = api.post("/tokens", {}, user="capped").json()
    api.tokens["issued"] = issued["token"]
    assert api.get("/whoami", user="issued").json()["role"] == "viewer"


def test_a_role_that_a_token_cannot_give_is_refused_not_lowered(api: RunningApi) -> None:
    refused = api.post("/tokens", {"role": "admin"})
    assert refused.status_code == 403
    assert refused.json()["detail"] == (
        "this needs the role admin; ann is signed in as submitter. An admin can do it, or give ann the role, and a "
        "token that has it: meltpoint user set ann --role admin && meltpoint token create --user ann --role admin"
    )
    for_another = api.post("/tokens", {"role": "admin", "user": "ann"}, user="root")
    assert for_another.status_code == 409
    assert for_another.json()["detail"].endswith("first: meltpoint user set ann --role admin")
    api.request("PATCH", "/users/ann", json={"role": "admin"}, user="root")  # as the messages say
    api.tokens["raised"] = api.post("/tokens", {"role": "admin", "user": "ann"}, user="root").json()["token"]
    assert api.get("/whoami", user="raised").json()["role"] == "admin"


def test_refusals_about_users_and_tokens_name_the_command_that_leads_on(api: RunningApi) -> None:
    def detail(method: str, path: str, user: str, body: Any = None) -> str:
        return str(api.request(method, path, user=user, json=body).json()["detail"])

    assert "to add one: meltpoint user add eve" in detail("GET", "/users/eve", "root")
    assert detail("DELETE", "/tokens/abc", "ann").endswith("meltpoint token ls")
    assert "meltpoint user ls" in detail("POST", "/users", "root", {"name": "ann"})
    assert detail("POST", "/tokens", "ann", {"user": "bob"}).endswith("meltpoint token create --user bob")
    assert "another admin can type: meltpoint user set root --disable" in detail(
        "PATCH", "/users/root", "root", {"disabled": True}
    )
    api.request("PATCH", "/users/bob", json={"disabled": True}, user="root")
    assert detail("POST", "/tokens", "root", {"user": "bob"}).endswith("meltpoint user set bob --enable")
    sweep = api.add_sweep()
    assert detail("PATCH", f"/sweeps/{sweep.id}", "ann", {"priority": 3}).endswith(
        f"meltpoint change {sweep.id} --priority 3"
    )


def test_a_revoked_token_and_a_disabled_user_are_refused_at_once(api: RunningApi) -> None:
    issued = api.post("/tokens", {"label": "laptop"}).json()
    api.tokens["laptop"] = issued["token"]
    assert api.get("/whoami", user="laptop").status_code == 200
    assert api.request("DELETE", f"/tokens/{issued['id']}").status_code == 200
    assert api.get("/whoami", user="laptop").status_code == 401
    assert api.request("PATCH", "/users/ann", json={"disabled": True}, user="root").status_code == 200
    assert api.get("/whoami").status_code == 401
    assert api.request("PATCH", "/users/ann", json={"disabled": False}, user="root").status_code == 200
    assert api.get("/whoami").status_code == 200


def test_only_an_admin_issues_tokens_for_others(api: RunningApi) -> None:
    assert api.post("/tokens", {"user": "bob"}).status_code == 403
    api.tokens["issued"] = api.post("/tokens", {"user": "bob"}, user="root").json()["token"]
    assert api.get("/whoami", user="issued").json()["user"] == "bob"


def test_an_admin_cannot_take_the_own_rights(api: RunningApi) -> None:
    for change in ({"disabled": True}, {"role": "viewer"}):
        assert api.request("PATCH", "/users/root", json=change, user="root").status_code == 409
