"""A token signs a browser in; the cookie is for this site's pages only, and leads nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api import ApiSettings
from service.api.service_app import create_service_app
from service.api.sessions import COOKIE, SESSION_SECONDS
from service.ledgers import Ledger, Role
from service.settings import Home
from tests.service.api.doors import DAY_MS, add_user, service_app

NOW = 1_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MELTPOINT_LEDGER", raising=False)
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    ledger = Ledger.open(home, clock=lambda: NOW)
    yield ledger
    ledger.close()


@pytest.fixture
def token(ledger: Ledger) -> str:
    return add_user(ledger, "ada", Role.SUBMITTER, lambda: NOW)


@pytest.fixture
def browser(home: Home, ledger: Ledger) -> Iterator[TestClient]:
    app = service_app(home, lambda: NOW, lambda: None)
    with TestClient(app, base_url="https://meltpoint.example", follow_redirects=False) as browser:
        yield browser


def test_the_form_works_without_scripts_and_names_no_other_site(browser: TestClient) -> None:
    page = browser.get("/sign-in?next=/mlflow/%3Fa=%22%3E%3Cb%3E")
    assert page.status_code == 200
    assert '<form method="post" action="/session">' in page.text
    assert "<b>" not in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "location.hash" in browser.get("/sign-in.js").text


def test_the_cookie_cannot_be_read_by_scripts_and_goes_to_this_site_only(browser: TestClient, token: str) -> None:
    answer = browser.post("/session", data={"token": f" {token}\n", "next": "/mlflow/x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/mlflow/x")
    cookie = answer.headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "secure", "path=/", f"max-age={SESSION_SECONDS}"} <= attributes
    assert token not in cookie
    assert token.rpartition("_")[2] not in cookie


def test_a_session_ends_with_its_token(browser: TestClient, ledger: Ledger) -> None:
    day_ago = NOW - DAY_MS + 60_000
    token = add_user(ledger, "eve", Role.VIEWER, lambda: day_ago, days=1)
    assert "Max-Age=60;" in browser.post("/session", data={"token": token}).headers["set-cookie"]


@pytest.mark.parametrize("text", ["", "wrong", "mp_" + "0" * 16 + "_" + "1" * 64])
def test_a_wrong_token_gets_the_form_again_and_no_cookie(browser: TestClient, token: str, text: str) -> None:
    answer = browser.post("/session", data={"token": text, "next": "/docs"})
    assert answer.status_code == 401
    assert 'class="problem"' in answer.text
    assert 'value="/docs"' in answer.text
    assert "set-cookie" not in answer.headers
    if text:
        assert text not in answer.text


@pytest.mark.parametrize(
    "place",
    [
        "http://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/mlflow/\\x",
        "/mlflow/\r\nSet-Cookie: a=b",
        "mlflow/",
    ],
)
def test_the_sign_in_page_leads_to_no_other_site(browser: TestClient, token: str, place: str) -> None:
    assert browser.post("/session", data={"token": token, "next": place}).headers["location"] == "/mlflow/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://meltpoint.example.evil.example"])
def test_another_site_cannot_sign_a_person_in_or_out(browser: TestClient, token: str, origin: str) -> None:
    for path in ("/session", "/sign-out"):
        answer = browser.post(path, data={"token": token}, headers={"Origin": origin})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_signing_out_takes_the_cookie_away(browser: TestClient, token: str) -> None:
    browser.post("/session", data={"token": token})
    assert COOKIE in browser.cookies
    assert browser.post("/sign-out").headers["location"] == "/sign-in"
    assert COOKIE not in browser.cookies


def test_a_form_that_is_too_long_is_refused(browser: TestClient) -> None:
    assert browser.post("/session", data={"token": "x" * 20_000}).status_code == 413
    assert browser.post("/session", content="&".join(f"a{n}=1" for n in range(50))).status_code == 401


def test_json_signs_in_too(browser: TestClient, token: str) -> None:
    assert browser.post("/session", json={"token": token}).status_code == 303
    assert browser.post("/session", json=[token]).status_code == 401


def test_a_session_opens_pages_and_no_routes_of_the_api(browser: TestClient, token: str) -> None:
    browser.post("/session", data={"token": token})
    assert browser.get("/docs").status_code == 200
    assert browser.get("/api/v1/whoami").status_code == 401
    assert browser.get("/api/v1/whoami", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_signing_in_and_out_is_in_the_audit_log_and_so_are_wrong_tokens(
    browser: TestClient, ledger: Ledger, token: str
) -> None:
    browser.post("/session", data={"token": "wrong"})
    browser.post("/session", data={"token": token})
    browser.post("/sign-out")
    browser.post("/sign-out")
    browser.post("/api/v1/login", headers={"Authorization": f"Bearer {token}"})
    browser.post("/api/v1/login", headers={"Authorization": "Bearer wrong"})
    browser.get("/api/v1/whoami", headers={"Authorization": f"Bearer {token}"})
    entries = [(entry.user, entry.action, entry.status) for entry in ledger.audit.list()]
    assert entries[::-1] == [
        (None, "POST /session", 401),
        ("ada", "POST /session", 303),
        ("ada", "POST /sign-out", 303),
        ("ada", "POST /api/v1/login", 200),
        (None, "POST (no route)", 401),
    ]
    newest = ledger.audit.list()[1]
    assert (newest.address, newest.token_id, newest.at) == ("testclient", token.split("_")[1], NOW)


def test_the_host_must_be_a_name_of_the_service(home: Home, ledger: Ledger) -> None:
    app = create_service_app(ApiSettings(home=home), upstream=lambda: None, hosts=["127.0.0.1", "[::1]"])
    with TestClient(app) as client:
        statuses = {
            host: client.get("/api/v1/version", headers={"Host": host}).status_code
            for host in ("127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[::1]", "evil.example", "127.0.0.1.evil.example")
        }
    assert list(statuses.values()) == [200, 200, 200, 200, 421, 421]
