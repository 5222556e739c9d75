"""The door lets signed-in people read MLflow, admins write, and nobody reach more than the open routes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from copy import copy
from functools import partial
from pathlib import Path

import httpx2
import pytest

from service.api.mlflow_door import JSON_BYTES, Upstream
from service.api.sessions import COOKIE
from service.ledgers import Ledger, Role
from service.settings import Home
from tests.service.api.doors import DAY_MS, LARGE_BYTES, Recorder, add_user, running, service_app

RUNS = "/mlflow/api/2.0/mlflow/runs"
ARTIFACT = "/mlflow/api/2.0/mlflow-artifacts/artifacts"


class Clock:
    """A clock that a test moves."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MELTPOINT_LEDGER", raising=False)
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger.open(home, clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def address(home: Home, clock: Clock, recorder: Recorder, tmp_path: Path) -> Iterator[str]:
    """The door's address; behind it the recorder, on a Unix socket."""
    path = tmp_path / "mlflow"
    upstream = Upstream(url="http://localhost/mlflow", unix_socket=str(path), streams_unprefixed=True)
    app = service_app(home, clock, lambda: upstream)
    with running(recorder.app(), path), running(app) as address:
        yield address


class Site:
    """The door, with a client for each user, and one for nobody. Ownership: `close` closes the clients."""

    def __init__(self, address: str, tokens: Mapping[str, str]) -> None:
        self.address, self.tokens = address, tokens
        self._stack = ExitStack()

    def client(self, user: str | None = None, **headers: str) -> httpx2.Client:
        """A program with the token of a user."""
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        return self._stack.enter_context(httpx2.Client(base_url=self.address, headers=headers))

    def browser(self, user: str) -> httpx2.Client:
        """A browser with the session of a user."""
        browser = self.client(Origin=self.address)
        answer = browser.post("/session", data={"token": self.tokens[user]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/mlflow/")
        return browser

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def tokens(ledger: Ledger, clock: Clock) -> dict[str, str]:
    """A token of a user of each role; the user is called like the role."""
    return {role.value: add_user(ledger, role.value, role, clock) for role in Role}


@pytest.fixture
def site(address: str, tokens: dict[str, str]) -> Iterator[Site]:
    with closing(Site(address, tokens)) as site:
        yield site


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "/mlflow/", {"viewer": 200, "submitter": 200, "admin": 200}),
        ("GET", f"{RUNS}/get?run_id=1", {"viewer": 200, "submitter": 200, "admin": 200}),
        ("POST", f"{RUNS}/search", {"viewer": 200, "submitter": 200, "admin": 200}),
        ("POST", f"{RUNS}/delete", {"viewer": 403, "submitter": 403, "admin": 200}),
        ("PUT", f"{ARTIFACT}/a/b", {"viewer": 403, "submitter": 403, "admin": 200}),
        ("DELETE", f"{ARTIFACT}/a/b", {"viewer": 403, "submitter": 403, "admin": 200}),
        ("POST", "/mlflow/ajax-api/3.0/jobs/", {"viewer": 404, "submitter": 404, "admin": 404}),
        ("POST", "/mlflow/gateway/proxy/a/b", {"viewer": 404, "submitter": 404, "admin": 404}),
        ("POST", "/mlflow/api/2.0/mlflow/webhooks", {"viewer": 404, "submitter": 404, "admin": 404}),
        ("GET", "/mlflow/not-there-yet", {"viewer": 404, "submitter": 404, "admin": 404}),
    ],
)
def test_each_role_gets_what_it_may_and_nobody_gets_nothing(
    site: Site, recorder: Recorder, method: str, path: str, statuses: dict[str, int]
) -> None:
    assert site.client().request(method, path).status_code == 401
    assert recorder.headers == []
    assert {user: site.client(user).request(method, path).status_code for user in statuses} == statuses
    assert len(recorder.headers) == list(statuses.values()).count(200)


def test_neither_credentials_nor_headers_of_the_way_reach_mlflow_and_no_cookie_of_it_comes_back(
    site: Site, recorder: Recorder
) -> None:
    sent = {
        "X-Forwarded-For": "1.2.3.4",
        "X-MLFLOW-WORKSPACE": "other",
        "Origin": site.address,
        "Proxy-Authorization": "a",
    }
    answer = site.browser("viewer").get("/mlflow/", headers={**sent, "Accept": "text/html", "Range": "bytes=0-1"})
    assert answer.status_code == 200
    assert recorder.headers[0].keys() <= {"accept", "accept-encoding", "host", "range", "user-agent"}
    assert recorder.headers[0]["host"] == "localhost"
    assert answer.headers.keys() & {"set-cookie", "x-secret", "access-control-allow-origin"} == set()
    assert answer.headers["cache-control"] == "max-age=60"
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_the_prefix_stays_but_for_artifacts_which_mlflow_streams_without_it(site: Site) -> None:
    admin = site.client("admin")
    assert admin.get(f"{RUNS}/get?run_id=a%2Fb&x=1").json() == {
        "path": f"{RUNS}/get",
        "query": "run_id=a%2Fb&x=1",
        "method": "GET",
    }
    assert admin.get(f"{ARTIFACT}/a b/ü%2525.txt").json()["path"] == "/api/2.0/mlflow-artifacts/artifacts/a b/ü%25.txt"
    assert admin.get("/mlflow").headers["location"] == "/mlflow/"


@pytest.mark.parametrize("path", ["/mlflow/static-files/..%2F..%2Fapi", "/mlflow/static-files/%2e%2e/x", "/mlflow//x"])
def test_no_spelling_leaves_the_prefix(site: Site, recorder: Recorder, path: str) -> None:
    assert site.client("admin").get(path).status_code == 404
    assert recorder.headers == []


def test_downloads_are_streamed_and_are_never_a_page_of_this_site(site: Site, recorder: Recorder) -> None:
    path = "/mlflow/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files"
    with site.client("viewer").stream("GET", f"{ARTIFACT}/large.bin") as answer:
        size = 0
        chunks = answer.iter_bytes()
        while size < LARGE_BYTES:  # MLflow has not ended its answer yet
            size += len(next(chunks))
        recorder.may_end.set()
        assert b"".join(chunks)[-3:] == b"end"
    answer = site.client("viewer").get(path)
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_uploads_are_streamed(site: Site, recorder: Recorder) -> None:
    def content() -> Iterator[bytes]:
        yield b"x" * 65536
        deadline = time.monotonic() + 10
        while not recorder.received:  # MLflow has the beginning before the end is sent
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for _ in range(200):
            yield b"x" * 65536

    answer = site.client("admin").put(f"{ARTIFACT}/big.bin", content=content())
    assert answer.status_code == 200
    assert sum(recorder.received) == 201 * 65536


def test_a_json_body_is_limited_and_a_location_elsewhere_is_refused(site: Site, recorder: Recorder) -> None:
    admin = site.client("admin")
    assert admin.post(f"{RUNS}/log-batch", content=b"x" * (JSON_BYTES + 1)).status_code == 413
    create = "/mlflow/api/2.0/mlflow/model-versions/create"
    refused = admin.post(create, json={"name": "a", "source": "http://169.254.169.254/"})
    assert refused.status_code == 403
    assert "source: must begin with one of" in refused.json()["detail"]
    assert recorder.headers == []
    assert admin.post(create, json={"name": "a", "source": "models:/m-1"}).status_code == 200
    assert admin.post(f"{RUNS}/log-batch", content=b"x" * JSON_BYTES).status_code == 200


def test_a_page_of_another_site_cannot_write_with_a_persons_cookie(site: Site, recorder: Recorder) -> None:
    admin = site.browser("admin")
    for headers in ({"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Origin": site.address + "0"}):
        assert admin.post(f"{RUNS}/delete", headers=headers).status_code == 401
    cookie = {"Cookie": f"{COOKIE}={admin.cookies[COOKIE]}"}
    for origin, status in (("cross-site", 401), ("same-site", 401), ("same-origin", 200)):
        headers = {**cookie, "Sec-Fetch-Site": origin}
        assert site.client(**headers).post(f"{RUNS}/delete").status_code == status
    assert admin.post(f"{RUNS}/delete").status_code == 200
    assert len(recorder.headers) == 2


def test_a_browser_that_is_not_signed_in_is_led_to_the_sign_in_page(site: Site) -> None:
    browser = site.client(Accept="text/html")
    answer = browser.get("/mlflow/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/mlflow/")
    assert browser.post(f"{RUNS}/search").status_code == 401


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_mlflow_that_is_down_is_a_problem_with_a_status_of_its_own(
    home: Home, tokens: dict[str, str], clock: Clock, tmp_path: Path, accept: str
) -> None:
    ways: list[Upstream | None] = [None, Upstream(url="http://localhost/mlflow", unix_socket=str(tmp_path / "absent"))]
    for way in ways:
        app = service_app(home, clock, partial(copy, way))
        with running(app) as address, closing(Site(address, tokens)) as site:
            answer = site.client("viewer").get("/mlflow/", headers={"Accept": accept})
        assert answer.status_code == 502
        assert "MLflow" in answer.text
        assert str(tmp_path) not in answer.text
        assert answer.headers["content-type"].startswith(
            "text/html" if accept == "text/html" else "application/problem+json"
        )


def test_revoked_and_expired_tokens_and_disabled_users_are_out_at_once(
    site: Site, ledger: Ledger, clock: Clock
) -> None:
    browsers = {user: site.browser(user) for user in ("viewer", "submitter", "admin")}
    assert all(browser.get("/mlflow/").status_code == 200 for browser in browsers.values())
    ledger.tokens.revoke(site.tokens["viewer"].split("_")[1])
    ledger.users.change("submitter", disabled_at=clock.now)
    statuses = {user: browser.get("/mlflow/").status_code for user, browser in browsers.items()}
    assert statuses == {"viewer": 401, "submitter": 401, "admin": 200}
    clock.now += DAY_MS // 2
    assert browsers["admin"].get("/mlflow/").status_code == 401


def test_writes_and_refusals_are_in_the_audit_log_and_reading_is_not(site: Site, ledger: Ledger) -> None:
    admin = site.client("admin")
    admin.post(f"{RUNS}/search")
    admin.get("/mlflow/")
    admin.post(f"{RUNS}/delete")
    admin.post("/mlflow/ajax-api/3.0/jobs/")
    entries = [(entry.user, entry.target, entry.status) for entry in ledger.audit.list(limit=10)]
    assert entries == [("admin", "/mlflow/ajax-api/3.0/jobs/", 404), ("admin", f"{RUNS}/delete", 200)]
