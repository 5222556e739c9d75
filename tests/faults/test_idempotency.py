"""Submissions with one key, many at once and after a restart: one sweep."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from service.api import ApiSettings
from service.api.app import create_app
from service.api.state import Api
from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import Ledger, Role, ServiceProcess
from service.settings import Home
from tests.service.sweeps.sweeps import SPEC

REQUESTS = 50


@pytest.mark.experiment(7)
def test_one_key_makes_one_sweep_fifty_times_at_once_and_after_a_restart(tmp_path: Path) -> None:
    home = Home(tmp_path).create()
    settings = ApiSettings(home=home, acceptance_seconds=0.0)
    with TestClient(create_app(settings)) as client:
        ledger = _ledger(client)
        ledger.users.create("ann", Role.SUBMITTER)
        token = issue_token(ledger, "ann", label="test", days=1, clock=now_ms)
        ledger.services.beat(
            ServiceProcess(
                id="d", role="drivers", host="here", version="0", started_at=now_ms(), status={"state": "ready"}
            )
        )
        with ThreadPoolExecutor(REQUESTS) as threads:
            answers = list(threads.map(lambda _: _submit(client, token), range(REQUESTS)))
        assert {answer.status_code for answer in answers} == {201}
        (sweep_id,) = {answer.json()["id"] for answer in answers}
    with TestClient(create_app(settings)) as client:
        assert _submit(client, token).json()["id"] == sweep_id
        assert _submit(client, token, priority=-1).status_code == 409
        assert [sweep.id for sweep in _ledger(client).sweeps.list()] == [sweep_id]


def _ledger(client: TestClient) -> Ledger:
    return cast(Api, cast(Any, client.app).state.api).ledger


def _submit(client: TestClient, token: str, **options: object) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "the-same"}
    return client.post("/api/v1/sweeps", json={"spec": SPEC} | options, headers=headers)
