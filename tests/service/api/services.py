"""An API in this process, with users, tokens and sweeps, for tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from starlette.testclient import TestClient

from search_spaces import Goal
from service.api import ApiSettings
from service.api.app import create_app
from service.api.state import Api
from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import Ledger, Role, ServiceProcess, Sweep, SweepState
from service.settings import Home
from tests.service.sweeps.sweeps import SPEC

ROLES = {"vic": Role.VIEWER, "sue": Role.SUBMITTER, "ann": Role.SUBMITTER, "bob": Role.SUBMITTER, "root": Role.ADMIN}

_STEPS = {
    SweepState.VALIDATING: (),
    SweepState.QUEUED: (SweepState.QUEUED,),
    SweepState.RUNNING: (SweepState.QUEUED, SweepState.RUNNING),
    SweepState.PAUSED: (SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED),
    SweepState.COMPLETED: (SweepState.RUNNING, SweepState.COMPLETED),
    SweepState.CANCELLED: (SweepState.CANCELLED,),
    SweepState.FAILED: (SweepState.FAILED,),
}


@dataclass
class RunningApi:
    """An API, its ledger, and a token of every user. Requests are sent as `ann` unless they say otherwise."""

    client: TestClient
    ledger: Ledger
    home: Home
    tokens: dict[str, str]
    driver: ServiceProcess
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def request(self, method: str, path: str, *, user: str | None = "ann", **options: Any) -> Any:
        """Return the answer to a request of a user; None: of nobody."""
        headers = dict(options.pop("headers", {}))
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        return self.client.request(method, f"/api/v1{path}", headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Return the answer to a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """Return the answer to a POST of JSON."""
        return self.request("POST", path, json=body, **options)

    def add_sweep(
        self, state: SweepState = SweepState.RUNNING, *, owner: str = "ann", name: str | None = None
    ) -> Sweep:
        """Return a new sweep of a user in this state."""
        sweep, _ = self.ledger.sweeps.submit(
            name=name or f"cells-{next(self._numbers)}",
            spec_text=SPEC,
            spec_file="sweep.yaml",
            metric="val/accuracy",
            goal=Goal.MAXIMIZE,
            seed=0,
            settings={},
            owner=owner,
        )
        for step in _STEPS[state]:
            sweep = self.ledger.sweeps.move(sweep.id, step)
        return sweep

    def beat(self, **status: Any) -> None:
        """Write the status of the process that seems to drive sweeps."""
        self.ledger.services.beat(ServiceProcess(**vars(self.driver) | {"status": status}))


@contextmanager
def start_api(folder: Path, **settings: Any) -> Iterator[RunningApi]:
    """Start an API on a new home in a folder; a submission does not wait for a driver."""
    home = Home(folder).create()
    options: dict[str, Any] = {"acceptance_seconds": 0.0, "poll_seconds": 0.01} | settings
    app = create_app(ApiSettings(home=home, **options))
    with TestClient(app, raise_server_exceptions=False) as client:
        ledger = cast(Api, app.state.api).ledger
        tokens = {}
        for name, role in ROLES.items():
            ledger.users.create(name, role)
            tokens[name] = issue_token(ledger, name, label="test", days=1, clock=now_ms)
        driver = ServiceProcess(id="drivers", role="drivers", host="here", version="0", started_at=now_ms())
        running = RunningApi(client, ledger, home, tokens, driver)
        running.beat(state="ready")
        yield running
